"""The same as `jointseg prepare`, from a checkout: python prepare.py --help."""

import sys

from jointseg_jax.commands.prepare import main

if __name__ == "__main__":
    sys.exit(main())
