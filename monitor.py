"""The same as `jointseg monitor`, from a checkout: python monitor.py --help."""

from jointseg_jax import cli
from jointseg_jax.commands.monitor import main

if __name__ == "__main__":
    cli.end(main())
