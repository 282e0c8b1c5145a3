"""The same as `jointseg monitor`, from a checkout: python monitor.py --help."""

import sys

from jointseg_jax.commands.monitor import main

if __name__ == "__main__":
    sys.exit(main())
