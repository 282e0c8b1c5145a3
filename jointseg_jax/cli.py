"""Flags, one-sentence errors and exit statuses that all command-line programs share.

0   the work is done
1   a defect of the program, with a traceback
2   an input cannot be used (`InputError`)
3   training diverged (`Diverged`)
4   some units of work kept failing and were set aside, the others are done (`Unfinished`)
74  a write failed (`StorageError`, a full disk)
75  stopped by SIGTERM or Ctrl-C, or other processes not found in time: run the same command again (`Interrupted`)
130 Ctrl-C twice

Commands with a `FlagSet` end with `run`; the others parse with `Arguments` and end with `status_of`.
"""

import argparse
import contextlib
import errno
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

from absl import flags, logging

from jointseg_jax.bounds.config import FIELDS, check_present
from jointseg_jax.bounds.number import Number, shown
from jointseg_jax.errors import InputError, Interrupted, RunEnded, StorageError
from jointseg_jax.flag_set import FlagSet
from jointseg_jax.storage import retries
from jointseg_jax.storage.lasting_output import lasting_output

INPUT_ERROR_STATUS = 2
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|out of memory", re.I)  # JAX's messages for a full device
_NAME = re.compile(r"^--\w+(?==|$)", re.ASCII)  # of an option; fields of a config, such as --config.log_every, are none


class Arguments(argparse.ArgumentParser):
    """The parser of a command; it raises `InputError` for arguments that it cannot parse."""

    def __init__(self, **options: Any):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """Raises `InputError`."""
        found = re.fullmatch(r"argument (\S+): (\S+ must be .*)", message)
        raise InputError(f"{found[1]}={found[2]}" if found else f"{message} (--help lists the options)")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Also takes `--a_flag` for `--a-flag`, and refuses `--flag=--`, of which argparse makes an empty list."""
        given = list(sys.argv[1:] if args is None else args)
        end = given.index("--") if "--" in given else len(given)
        given[:end] = [_NAME.sub(lambda name: name[0].replace("_", "-"), text) for text in given[:end]]
        if empty := [text for text in given if text.startswith("--") and text.endswith("=--")]:
            raise InputError(f"{empty[0]} has no value (--help lists the options)")
        return super().parse_known_args(given, namespace)


def number(kind: Number) -> Callable[[str], Any]:
    """The `type` of an `Arguments` option, with the bounds of a kind in `bounds.flags`."""

    def parse(text: str) -> Any:
        try:
            return kind.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text} {error}") from None

    return parse


def run(flag_set: FlagSet, work: Callable[[], None], arguments: Sequence[str] | None = None) -> int:
    """Parses the flags of a program and does its work, or prints its help; returns the exit status, see `status_of`.

    Args:
        flag_set: of the program.
        work: reads the values of its flags.
        arguments: by default those of the process.
    """
    if arguments is not None:
        sys.argv = [f"jointseg {flag_set.name}", *arguments]  # where the overrides of a config are looked for

    def parsed() -> None:
        if flag_set.asks_help(sys.argv[1:]):
            print(flag_set.help())
            return
        _quieten()
        rest = _parse(flag_set, sys.argv)
        if len(rest) > 1:
            raise InputError(f"unexpected argument {rest[1]!r}: every option begins with --")
        work()

    return status_of(parsed)


def _quieten() -> None:
    """Leaves out what Orbax logs, some 25 warnings per save about intended behaviour."""
    logging.use_absl_handler()
    logging.set_verbosity(logging.ERROR)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain's workers read flags that libraries define


def run_command(name: str) -> NoReturn:
    """Runs a command of `jointseg` and ends the process: for `python -m` of the module that does its work."""
    program = importlib.import_module("jointseg_jax.commands.jointseg")  # above all rooms
    end(program.main([name, *sys.argv[1:]]))


def end(status: int) -> NoReturn:
    """Ends the process; signals that arrive while it ends do not change its status."""
    _settle(status)
    sys.exit(status)


def status_of(work: Callable[[], int | None]) -> int:
    """Runs the work of a program and returns the exit status; an early end prints one line on stderr.

    If the reader of the output has gone (`| head -1`), the output is dropped and the work continues. Characters that
    the terminal's encoding lacks are written as escapes.
    """
    with lasting_output() as streams, _stoppable():
        try:
            status = _outcome(work)
        except SystemExit as ended:  # so does --help end
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        sys.stdout.flush()
        lost = next((raw.lost for raw in streams if raw.lost), None)
        if lost and not status:
            status = _say(
                f"error: standard output cannot be written ({lost.strerror}): check the disk it is redirected to",
                StorageError.status,
            )
        return status


def _outcome(work: Callable[[], int | None]) -> int:
    try:
        return work() or 0
    except Interrupted as ended:
        return _say(str(ended), ended.status)
    except RunEnded as ended:
        return _say(f"error: {ended}", ended.status)
    except InputError as error:  # after RunEnded: `errors.Unwritable` is both
        return _say(f"error: {error}", INPUT_ERROR_STATUS)
    except _Stopped:
        return _say(
            "stopped before the work was done, and no file is half-written: run the same command again",
            Interrupted.status,
        )
    except OSError as error:
        if error.errno in retries.FULL | retries.PASSING:
            what = f"{error.filename or 'a file'} cannot be read or written ({error.strerror})"
            return _say(f"error: {what}: check the disk, then run the same command again", StorageError.status)
        if error.errno not in _REFUSED or error.filename is None:
            raise
        return _say(f"error: {error.filename} cannot be used ({error.strerror}): give another path", INPUT_ERROR_STATUS)
    except UnicodeEncodeError as error:
        return _say(f"error: {_unwritable_name(error)}", INPUT_ERROR_STATUS)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _MEMORY.search(str(error)):
            raise
        return _say(
            f"error: not enough memory ({_first_line(error)}): lower the batch (--config.data.batch, --batch) "
            "or the window (--tile); `jointseg plan` prints what a training step needs",
            INPUT_ERROR_STATUS,
        )


def _unwritable_name(error: UnicodeEncodeError) -> str:
    """Says what to do about a file name that a library or the system cannot encode."""
    name, encoding = error.object.split("\n")[0], sys.getfilesystemencoding()
    if encoding != "utf-8":
        name = name.encode(errors="surrogateescape").decode(errors="replace")
        return f"{name!r} cannot be used in this locale, whose encoding is {encoding}: set PYTHONUTF8=1"
    return f"{name.encode(errors='surrogateescape')!r} is not a file name in UTF-8: rename the file"


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _say(sentence: str, status: int) -> int:
    _settle(status)
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr)
    return status


def _settle(status: int) -> None:
    """Protects the exit status from later signals: ignores SIGTERM, and Ctrl-C exits at once with `status`."""
    with contextlib.suppress(ValueError):  # signals can only be set in the main thread
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: os._exit(status))


class _Stopped(KeyboardInterrupt):
    """SIGTERM or Ctrl-C, in a program that has no handler for them."""


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Makes SIGTERM and Ctrl-C raise `_Stopped`; a second Ctrl-C ends the process at once."""
    interrupted = False

    def hear(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if signum == signal.SIGINT:
            if interrupted:
                os._exit(128 + signal.SIGINT)
            interrupted = True
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second SIGTERM must not interrupt the cleanup
        raise _Stopped

    before = {}
    with contextlib.suppress(ValueError):  # signals can only be set in the main thread
        before = {n: signal.signal(n, hear) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)


def _parse(flag_set: FlagSet, arguments: Sequence[str]) -> list[str]:
    """Parses flags and checks the config; returns the other arguments; raises `InputError`."""
    try:
        rest = list(flag_set.values(arguments))
    except (flags.Error, InputError) as error:
        raise InputError(_explain(error)) from error
    if "config" in flag_set.values:
        check_present(flag_set.values.config)
    return rest


def _explain(error: BaseException) -> str:
    """Shortens absl's error message, which may have several lines and a traceback, to one sentence."""
    at: BaseException | None = error
    while at is not None:  # absl wraps the exceptions that it catches
        if isinstance(at, InputError):
            return str(at)
        at = at.__cause__ or at.__context__
    missing = re.search(r"[Ff]lag (--\w+) must have a value other than None", str(error))
    if missing:
        return f"{missing[1]} is missing (--help lists the flags)"
    found = re.fullmatch(r"flag (--[\w.-]+)=(.*?): (.*)", str(error), re.DOTALL)
    if found:
        given, field = f"{found[1]}={shown(found[2])}", found[1].removeprefix("--config.")
        if field in FIELDS:
            return f"{given} must be {FIELDS[field].wanted()}"
        if found[3].startswith("must be"):
            return f"{given} {found[3]}"
        if "Non-boolean argument" in found[3]:
            return f"{given} must be true or false"
        return f"{given}: {found[3].splitlines()[0].rstrip('.')} (--help lists the flags)"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{(lines[-1] if lines else type(error).__name__).rstrip('.')} (--help lists the flags)"
