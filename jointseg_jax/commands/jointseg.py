"""The program `jointseg`: finds the command and hands it the other arguments."""

import difflib
import importlib
import sys
from collections.abc import Sequence

import jointseg_jax
from jointseg_jax import cli
from jointseg_jax.commands.table import COMMANDS
from jointseg_jax.errors import InputError

_HELP = ("--help", "-h", "help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command by its name; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--version"]:
        return cli.status_of(lambda: print(f"jointseg-jax {jointseg_jax.__version__}"))
    if not given or given[0] in _HELP:
        return cli.status_of(lambda: print(listing()))
    if given[0] not in COMMANDS:
        return cli.status_of(lambda: _refuse(given[0]))
    command = COMMANDS[given[0]]
    module = importlib.import_module(command.module)
    return int(module.main([*command.before, *given[1:]]))


def listing() -> str:
    """The text of `jointseg --help`: every command with what it does."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.words}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: jointseg COMMAND [flags]",
            "",
            "1 m maps of impervious surface from 10 m Sentinel-2.",
            "",
            "commands:",
            *lines,
            "",
            "`jointseg COMMAND --help` shows the flags of a command; `jointseg --version` the version.",
        ]
    )


def _refuse(name: str) -> None:
    near = difflib.get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean {near[0]}?" if near else "jointseg --help lists the commands"
    raise InputError(f"{name!r} is not a command; {hint}")
