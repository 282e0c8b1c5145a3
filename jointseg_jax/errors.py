"""The exceptions that are meant for the user's eyes: their messages are one sentence, printed without a traceback."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_ENDLESS = re.compile(r"\S{401,}")


class _Sentence(Exception):
    """Its message stays on one line, whatever stands in it.

    A file's name may hold line breaks and the text of a record may hold thousands of letters: control characters are
    written as escapes, and the middle of a word of more than 400 letters is left out.
    """

    def __init__(self, sentence: str = ""):
        line = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], sentence)
        super().__init__(_ENDLESS.sub(lambda found: f"{found[0][:200]}...{found[0][-100:]}", line))


class InputError(_Sentence, ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that says what is wrong, where, and what to do about it. The doors print it without a
    traceback and end with exit status 2.
    """


class RunEnded(_Sentence):
    """A run ended before its work was done, through no mistake in what the user gave.

    Attributes:
        status: exit status of the door.
    """

    status = 1


class Diverged(RunEnded):
    """Too many updates in a row were not finite; running again would end the same way."""

    status = 3


class Unfinished(RunEnded):
    """All that could be done is done; some units kept failing and were set aside."""

    status = 4


class StorageError(RunEnded):
    """Something could not be written, and nothing older was touched. The status is EX_IOERR of sysexits.h."""

    status = 74


class Unwritable(StorageError, InputError):
    """A file of the output cannot be written: a full disk, a disk that fails, a permission that was taken away.

    A run of many units takes it for the end of the run, not for a fault of the unit. It is an `InputError` too: whoever
    gave the folder can mend it.
    """


class Interrupted(RunEnded):
    """The run was asked to stop and saved its state, or could not begin yet; the same command goes on.

    The status is EX_TEMPFAIL of sysexits.h.
    """

    status = 75
