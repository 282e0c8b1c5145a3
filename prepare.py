"""The same as `jointseg prepare`, from a checkout: python prepare.py --help."""

from jointseg_jax import cli
from jointseg_jax.commands.prepare import main

if __name__ == "__main__":
    cli.end(main())
