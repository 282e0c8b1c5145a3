"""The flags `--name=value` of one program, and what `--help` prints of them."""

import shutil
import textwrap
from collections.abc import Sequence
from typing import Any, TypeVar

from absl import flags

from jointseg_jax.bounds.number import Number

_COLUMN = 24  # where the words about a flag begin
_Text = TypeVar("_Text", str, None)
_Switch = TypeVar("_Switch", bool, None)
_HELP = ("--help", "-help", "-h", "--helpfull", "--helpshort")


class FlagSet:
    """Flags of absl that belong to one program: programs do not share them, and may be imported together.

    A hyphen may stand for each underscore of a flag's name.

    Args:
        name: of the command, such as "predict".
        words: what it does; the module's docstring.
    """

    def __init__(self, name: str, words: str | None):
        self.name, self.values = name, flags.FlagValues()
        self._words = (words or "").strip()
        self._shown: dict[str, tuple[str, str]] = {}
        self._required: list[str] = []

    def text(self, name: str, default: _Text, words: str) -> "flags.FlagHolder[_Text | str]":
        """Defines `--name=TEXT`."""
        self._show(name, f"--{name}=TEXT", words, default)
        return self._hyphened(flags.DEFINE_string(name, default, words, flag_values=self.values))

    def texts(self, name: str, default: Sequence[str] | None, words: str) -> Any:
        """Defines `--name=TEXT,TEXT`."""
        self._show(name, f"--{name}=TEXT,...", words, ",".join(default or ()))
        given = default if default is None else list(default)
        return self._hyphened(flags.DEFINE_list(name, given, words, flag_values=self.values))

    def switch(self, name: str, default: _Switch, words: str) -> "flags.FlagHolder[_Switch | bool]":
        """Defines `--name` and `--noname`."""
        self._show(name, f"--[no]{name}", words, "on" if default else None)
        return self._hyphened(flags.DEFINE_boolean(name, default, words, flag_values=self.values))

    def choice(self, name: str, default: _Text, choices: Sequence[str], words: str) -> "flags.FlagHolder[_Text | str]":
        """Defines `--name=WORD`, one of some words."""
        self._show(name, f"--{name}={'|'.join(choices)}", words, default)
        return self._hyphened(flags.DEFINE_enum(name, default, list(choices), words, flag_values=self.values))

    def number(self, name: str, default: float | None, words: str, kind: Number) -> Any:
        """Defines `--name=NUMBER` with the bounds of a kind in `bounds.flags`."""
        self._show(name, f"--{name}=NUMBER", words, None if default is None else f"{default:g}")
        return self._hyphened(flags.DEFINE(_NumberParser(kind), name, default, words, flag_values=self.values))

    def config(self) -> Any:
        """Defines `--config=FILE[:key=value,...]`, and an override of every field of the config."""
        from jointseg_jax.config_file import WORDS, define

        self._show("config", "--config=FILE|NAME[:KEY=VALUE,...]", WORDS, None)
        changes = "Changes a field of the config, such as --config.data.batch=8."
        self._show("config.", "--config.FIELD=VALUE", changes, None)
        return define(self.values)

    def share(self, other: "FlagSet", *names: str) -> None:
        """Takes over flags of another program: whoever parses them, both read their values."""
        for name in names:
            self.values[name] = other.values[name]
            self._shown[name] = other._shown[name]
            self._alias(name)

    def require(self, *names: str) -> None:
        """Makes flags required."""
        self._required += names
        flags.mark_flags_as_required(names, flag_values=self.values)

    @staticmethod
    def asks_help(arguments: Sequence[str]) -> bool:
        """Whether a command line asks for help, whatever else it says."""
        before = arguments[: arguments.index("--")] if "--" in arguments else arguments
        return any(argument in _HELP for argument in before)

    def help(self) -> str:
        """The text of `--help`: what the program does, and every flag with its default."""
        width = min(shutil.get_terminal_size().columns, 110)
        needed = " ".join(f"--{name}=..." for name in self._required)
        lines = [f"usage: jointseg {self.name} {needed} [flags]".replace("  ", " "), "", self._words, "", "flags:"]
        for flag, words in self._shown.values():
            label = f"  {flag}"
            if len(label) > _COLUMN - 2:
                lines.append(label)
                label = ""
            indent = " " * _COLUMN
            lines += textwrap.wrap(
                words, width, initial_indent=label.ljust(_COLUMN), subsequent_indent=indent, break_long_words=False
            )
        return "\n".join(lines)

    def _show(self, name: str, flag: str, words: str, default: str | None) -> None:
        self._shown[name] = (flag, f"{words} [{default}]" if default else words)

    def _hyphened(self, holder: Any) -> Any:
        self._alias(holder.name)
        return holder

    def _alias(self, name: str) -> None:
        if "_" in name:
            flags.DEFINE_alias(name.replace("_", "-"), name, flag_values=self.values)


class _NumberParser(flags.ArgumentParser):
    def __init__(self, kind: Number):
        self._kind = kind

    def parse(self, argument: Any) -> Any:
        if isinstance(argument, str):
            return self._kind.parse(argument)
        if fault := self._kind.fault(argument):
            raise ValueError(fault)
        return argument

    def flag_type(self) -> str:
        return "a whole number" if self._kind.whole else "a number"
