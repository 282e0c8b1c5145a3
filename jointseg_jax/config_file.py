"""The flag `--config=FILE[:argument]` and its overrides `--config.field=value`; errors name the file and the field.

A shipped config goes by its name, `--config=demo`, wherever the package is installed.
"""

import difflib
import pathlib
import re
import sys
import traceback
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from jointseg_jax.errors import InputError

SHIPPED = pathlib.Path(__file__).parent / "configs"
_NO_EXPERIMENTS = ("__init__", "ablations", "common")
WORDS = (
    "Config file, or the name of a shipped one; its arguments follow a colon: demo, configs/dubai.py:control=bilinear."
)


def define(values: flags.FlagValues) -> Any:
    """Defines the flag; its value is the config with its overrides, locked.

    Args:
        values: the flags of the program.
    """
    holder = config_flags.DEFINE_config_file("config", None, WORDS, lock_config=True, flag_values=values)
    values["config"].parser = _File(name="config", lock_config=True)
    return holder


def shipped() -> list[str]:
    """The names of the configs that the package contains."""
    return sorted(path.stem for path in SHIPPED.glob("*.py") if path.stem not in _NO_EXPERIMENTS)


def find(given: str) -> pathlib.Path:
    """The file that a user means by its path, or by the name of a shipped config.

    Args:
        given: without arguments.

    Raises:
        InputError: there is no such file.
    """
    if given in shipped():
        return SHIPPED / f"{given}.py"
    path = pathlib.Path(given)
    if not path.is_file():
        raise InputError(
            f"--config={given}: the file {given!r} does not exist; give a file, or the name of a shipped config: "
            f"{', '.join(shipped())}"
        )
    return path


class _File(config_flags.ConfigFileFlagParser):
    """Loads the config file; raises `InputError` if the file or an override of a field is wrong."""

    def parse(self, path: str) -> ConfigDict:
        given, colon, argument = path.partition(":")
        file = find(given)
        try:
            config = super().parse(f"{file}{colon}{argument}")
        except InputError as error:  # from get_config; ml_collections added a traceback to its message
            raise error.__context__ if isinstance(error.__context__, InputError) else error from None
        except Exception as error:  # a config is the user's program and may raise anything
            raise InputError(_failure(file, error)) from error
        if not isinstance(config, ConfigDict):
            raise InputError(
                f"{file}: get_config() must return a ConfigDict of ml_collections; configs/common.py builds one"
            )
        for override in _overrides(sys.argv):
            _check_known(config, override)
        return config


def _failure(file: pathlib.Path, error: Exception) -> str:
    """Says where in the file an exception was raised, with its message."""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}, line {error.lineno}"
        return f"{place}, is not valid Python ({error.msg}): correct it"
    at: BaseException = error
    frames = traceback.extract_tb(at.__traceback__)
    while at.__context__ is not None:  # the first exception has the place
        at = at.__context__
        frames = traceback.extract_tb(at.__traceback__)
    own = [frame for frame in frames if pathlib.Path(frame.filename).resolve() == file.resolve()]
    if isinstance(at, ModuleNotFoundError) and at.name == "configs":
        return f"{file} imports `configs`, which is part of the package: write `from jointseg_jax.configs import ...`"
    said = f"{type(at).__name__}: {str(at).splitlines()[0] if str(at) else 'no message'}"
    if own:
        return f"{file}, line {own[-1].lineno}, fails ({said}): correct it there, or the arguments after the colon"
    if isinstance(at, AttributeError):
        return f"{file} has no function get_config: give a config file, or the name of a shipped one such as demo"
    return f"{file} cannot be read as a config ({said}): give a config file, or the name of a shipped one such as demo"


def _overrides(arguments: list[str]) -> list[str]:
    """Dotted names of the fields that the command line changes."""
    found = (re.match(r"--?(?:no)?config\.([^=]+)", argument) for argument in arguments)
    return [match[1] for match in found if match]


def _check_known(config: ConfigDict, field: str) -> None:
    """Raises `InputError` if an overridden field does not exist."""
    if "[" in field:
        whole = field.partition("[")[0]
        raise InputError(f"--config.{field}: an entry of a tuple cannot be changed alone: give all of --config.{whole}")
    at: Any = config
    parts = field.split(".")
    for number, part in enumerate(parts):
        if isinstance(at, ConfigDict) and part in at:
            at = at[part]
        elif at is None:
            section = ".".join(parts[:number])
            raise InputError(f"--config.{field}: {section} is unset and has no fields: set it in the config file")
        else:
            known = list(at.keys()) if isinstance(at, ConfigDict) else []
            place = "config" + "".join(f".{p}" for p in parts[:number])
            near = difflib.get_close_matches(part, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'no fields'}"
            raise InputError(f"--config.{field}: {place} has no field {part!r}; {hint}")
