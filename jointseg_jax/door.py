"""What the command-line programs share: flags, one-sentence errors, exit status.

0   the work is done
1   a defect of the program, with a traceback
2   something the user gave cannot be used (`InputError`)
3   training diverged (`Diverged`)
4   some units of work kept failing and were set aside, the others are done (`Unfinished`)
74  something could not be written (`StorageError`, a full disk)
75  asked to stop, state saved, or other processes not found in time: run the same command again (`Interrupted`)
130 Ctrl-C twice
"""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from absl import app, flags, logging

from jointseg_jax.errors import InputError, Interrupted, RunEnded, StorageError
from jointseg_jax.jobs import retries

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
    """Parses flags and runs; an `InputError` or a `RunEnded` becomes one line on stderr and its exit status."""

    def guarded(arguments: list[str]) -> None:
        logging.set_verbosity(logging.ERROR)  # Orbax warns of what is meant, some 25 lines per save
        try:
            if len(arguments) > 1:
                raise InputError(f"unexpected argument {arguments[1]!r}: every option begins with --")
            main()
        except Interrupted as ended:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not hide that the state is saved
            _end(str(ended), ended.status)
        except RunEnded as ended:
            _end(f"error: {ended}", ended.status)
        except InputError as error:  # after those that are both, see `errors.Unwritable`
            _end(f"error: {error}", INPUT_ERROR_STATUS)
        except OSError as error:
            if error.errno not in retries.FULL:
                raise
            _end(f"error: {error.filename or 'a file'} cannot be written: {error.strerror}", StorageError.status)
        _flush()

    try:
        app.run(guarded, flags_parser=_parse)
    except InputError as error:
        _end(f"error: {error}", INPUT_ERROR_STATUS)


def _end(sentence: str, status: int) -> NoReturn:
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr)
    _flush()
    sys.exit(status)


def _flush() -> None:
    """Output that a full disk does not take is given up: Python would end with status 120 for it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
