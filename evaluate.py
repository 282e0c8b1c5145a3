"""The same as `jointseg evaluate`, from a checkout: python evaluate.py --help."""

import sys

from jointseg_jax.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
