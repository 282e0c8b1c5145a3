"""The same as `jointseg train`, from a checkout: python train.py --help."""

import sys

from jointseg_jax.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
