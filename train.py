"""The same as `jointseg train`, from a checkout: python train.py --help."""

from jointseg_jax import cli
from jointseg_jax.commands.train import main

if __name__ == "__main__":
    cli.end(main())
