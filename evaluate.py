"""The same as `jointseg evaluate`, from a checkout: python evaluate.py --help."""

from jointseg_jax import cli
from jointseg_jax.commands.evaluate import main

if __name__ == "__main__":
    cli.end(main())
