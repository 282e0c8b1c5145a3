"""What the command-line programs share: flags, one-sentence errors, exit status."""

import re
import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging

from jointseg_jax.errors import InputError

INPUT_ERROR_STATUS = 2


def define_config() -> Any:
    """The `--config=FILE[:key=value,...]` flag."""
    from ml_collections import config_flags

    return config_flags.DEFINE_config_file(
        "config",
        None,
        "configs/NAME.py, with structure behind a colon: configs/dubai.py:control=bilinear",
        lock_config=True,
    )


def run(main: Callable[[], None]) -> None:
    """Parses flags and runs; an `InputError` becomes one line on stderr and exit status 2."""

    def guarded(arguments: list[str]) -> None:
        logging.set_verbosity(logging.ERROR)  # Orbax warns of what is meant, some 25 lines per save
        try:
            if len(arguments) > 1:
                raise InputError(f"unexpected argument {arguments[1]!r}: every option begins with --")
            main()
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(INPUT_ERROR_STATUS)

    try:
        app.run(guarded, flags_parser=_parse)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(INPUT_ERROR_STATUS)


def _parse(arguments: list[str]) -> list[str]:
    """Parses flags; what absl says over several lines, sometimes with a traceback, is cut to its last sentence."""
    try:
        rest = list(flags.FLAGS(arguments))
        if "config" in flags.FLAGS and flags.FLAGS.config is not None:
            flags.FLAGS.config.to_dict()  # a file that is missing shows only at the first use
        return rest
    except (flags.Error, AttributeError, OSError, TypeError, ValueError) as error:  # ml_collections raises them all
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        sentence = lines[-1] if lines else type(error).__name__
        own = re.match(r"[\w.]*InputError: (.*)", sentence)
        if own:
            raise InputError(own[1]) from error
        plain = re.sub(r"^'(.*)'$", r"\1", sentence).replace("\\n", ": ").replace("\\'", "'").rstrip(".")
        raise InputError(f"{plain} (--help lists the flags)") from error
