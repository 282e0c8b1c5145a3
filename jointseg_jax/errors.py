"""Exceptions that users read: each message is one sentence, printed without a traceback."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_ENDLESS = re.compile(r"\S{401,}")
# GDAL's names of remote files -> the addresses that users know.
_NAMES = (
    (re.compile(r"/vsicurl/(https?):/+"), r"\1://"),
    (re.compile(r"/vsis3/+"), "s3://"),
    (re.compile(r"/vsigs/+"), "gs://"),
    (re.compile(r"/vsiaz/+"), "az://"),
)
# The query of an address may be a signature, and what stands before an @ a password.
_SECRETS = (
    (re.compile(r"(https?://)[^\s/@'\"]+@"), r"\1"),
    (re.compile(r"(https?://[^\s?'\"]*)\?(?:[^\s'\",;:()]|:(?=[^\s'\"]))*"), r"\1"),
)


class _Sentence(Exception):
    """An exception with a one-line message.

    File names may contain line breaks, and records may contain very long words. Control characters are written as
    escapes, and words of more than 400 characters are shortened in the middle. An address loses its query and its
    password.
    """

    def __init__(self, sentence: str = ""):
        line = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], sentence)
        for pattern, shown in (*_NAMES, *_SECRETS):
            line = pattern.sub(shown, line)
        super().__init__(_ENDLESS.sub(lambda found: f"{found[0][:200]}...{found[0][-100:]}", line))


class InputError(_Sentence, ValueError):
    """The user's input cannot be used.

    The message is one sentence: what is wrong, where, and what to do about it. The programs print it without a
    traceback and end with exit status 2.
    """


class RunEnded(_Sentence):
    """A run ended before its work was done, and no input was at fault.

    Attributes:
        status: exit status of the program.
    """

    status = 1


class Diverged(RunEnded):
    """Too many consecutive updates were not finite; running again would end the same way."""

    status = 3


class Unfinished(RunEnded):
    """Some units kept failing and were set aside; all others are done."""

    status = 4


class StorageError(RunEnded):
    """A write failed, and older files are unchanged. The status is EX_IOERR of sysexits.h."""

    status = 74


class Unwritable(StorageError, InputError):
    """An output file cannot be written: the disk is full or failing, or a permission was removed.

    It ends a run of many units; it does not count as a failure of the unit. It is also an `InputError`, because the
    user can choose another folder.
    """


class Interrupted(RunEnded):
    """The run was asked to stop and saved its state, or could not begin yet; the same command continues it.

    The status is EX_TEMPFAIL of sysexits.h.
    """

    status = 75
