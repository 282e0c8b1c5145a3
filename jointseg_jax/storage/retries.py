"""Retries where storage fails for a while."""

import errno
import random
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from jointseg_jax.errors import StorageError

T = TypeVar("T")

# Network file systems say these while a server restarts. A full disk is not among them: it needs a person.
_PASSING = (
    "EIO",
    "ESTALE",
    "ETIMEDOUT",
    "EAGAIN",
    "EINTR",
    "EBUSY",
    "EREMOTEIO",
    "ECONNRESET",
    "EHOSTDOWN",
    "ENETDOWN",
)
PASSING = frozenset(getattr(errno, name) for name in _PASSING if hasattr(errno, name))
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def storage_patience(error: Exception) -> float:
    """Seconds that a failure of this kind is worth: a minute where the storage may come back, none otherwise."""
    return 60.0 if isinstance(error, OSError) and error.errno in PASSING else 0.0


def is_full(error: BaseException) -> bool:
    """Whether an error, or what led to it, is that storage takes no more."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, StorageError) or (isinstance(at, OSError) and at.errno in FULL):
            return True
        at = at.__cause__ or at.__context__
    return False


def call(
    action: Callable[[], T],
    *,
    errors: type[Exception] | tuple[type[Exception], ...] = OSError,
    patience: Callable[[Exception], float] = storage_patience,
    first: float = 0.05,
    longest: float = 10.0,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """The result of `action`, retried with growing pauses while it fails.

    Pauses double from `first` to `longest` seconds and are spread by half to one and a half, so that many readers do
    not come back at once.

    Args:
        action: may be called several times.
        errors: exceptions that may pass; any other is raised at once.
        patience: seconds since the first attempt after which an error is raised.
        first: seconds.
        longest: seconds.
        sleep: waits.
    """

    def is_over(attempt: tenacity.RetryCallState) -> bool:
        error = attempt.outcome.exception() if attempt.outcome else None
        return isinstance(error, Exception) and (attempt.seconds_since_start or 0.0) >= patience(error)

    def pause(attempt: tenacity.RetryCallState) -> float:
        return min(first * 2 ** (attempt.attempt_number - 1), longest) * random.uniform(0.5, 1.5)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(errors), stop=is_over, wait=pause, sleep=sleep, reraise=True
    )
    return retrying(action)
