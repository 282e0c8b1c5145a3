"""The same as `jointseg predict`, from a checkout: python predict.py --help."""

from jointseg_jax import cli
from jointseg_jax.commands.predict import main

if __name__ == "__main__":
    cli.end(main())
