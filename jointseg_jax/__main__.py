"""The program `jointseg`, also as python -m jointseg_jax."""

from typing import NoReturn

from jointseg_jax import cli
from jointseg_jax.commands.jointseg import main


def program() -> NoReturn:
    """Runs the command that the process's arguments name, and ends the process."""
    cli.end(main())


if __name__ == "__main__":
    program()
