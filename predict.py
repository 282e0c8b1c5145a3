"""The same as `jointseg predict`, from a checkout: python predict.py --help."""

import sys

from jointseg_jax.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
