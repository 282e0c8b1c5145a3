"""Retries on passing storage failures."""

import errno
import random
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from jointseg_jax.errors import StorageError

T = TypeVar("T")

# Errors of network file systems while a server restarts. A full disk is not among them: the user must make room.
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
    """Seconds to retry after an error: 60 if the storage may come back, otherwise 0."""
    return 60.0 if isinstance(error, OSError) and error.errno in PASSING else 0.0


def is_full(error: BaseException) -> bool:
    """Whether an error or one of its causes says that storage is full."""
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
    """Returns the result of `action`; retries it with growing pauses while it fails.

    Pauses double from `first` to `longest` seconds. A random factor of 0.5 to 1.5 keeps many readers from returning at
    once.

    Args:
        action: may be called several times.
        errors: exceptions to retry on; others are raised at once.
        patience: seconds since the first attempt after which an error is raised.
        first: first pause in seconds.
        longest: longest pause in seconds.
        sleep: waits for some seconds.
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
