"""Stops a run of units on SIGTERM or Ctrl-C: the current unit may finish within a grace period, then is dropped."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType

_MAIN = threading.main_thread().ident or 0
_AGAIN = 10.0  # seconds after which `Dropped` is raised again if other code caught it
_NOTICE = b"\nstopping: running units may finish within %d s (press Ctrl-C again to stop at once)\n"


class Dropped(BaseException):
    """The current unit was dropped; subclasses BaseException so that `except Exception` misses it."""


class Stopping:
    """Handles SIGTERM and SIGINT while the block runs; works only in the main thread.

    Further SIGTERMs change nothing. A second SIGINT ends the process at once, like a kill; the ledger keeps the units
    that are done.

    Attributes:
        asked: whether the run was asked to stop.
    """

    def __init__(self, grace: float):
        """Installs no handlers yet.

        Args:
            grace: seconds for the current unit to finish.
        """
        self.asked = False
        self._grace, self._deadline = grace, float("inf")
        self._interrupted = self._in_hand = False
        self._left = threading.Event()

    def __enter__(self) -> "Stopping":
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def late(self) -> bool:
        """Whether the grace period is over."""
        return time.monotonic() >= self._deadline

    @contextlib.contextmanager
    def droppable(self) -> Iterator[None]:
        """Raises `Dropped` in the block once the grace period is over."""
        self._in_hand = True
        try:
            yield
        finally:
            self._in_hand = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                os._exit(128 + signal.SIGINT)
            self._interrupted = True
        if not self.asked:
            self.asked, self._deadline = True, time.monotonic() + self._grace
            with contextlib.suppress(OSError):  # print might deadlock if the signal interrupted another print
                os.write(2, _NOTICE % self._grace)
            threading.Thread(target=self._remind, daemon=True).start()
        if self.late and self._in_hand:
            raise Dropped

    def _remind(self) -> None:
        """Makes the main thread run `_hear` again when the grace period is over."""
        wait = self._grace
        while not self._left.wait(wait):
            signal.pthread_kill(_MAIN, signal.SIGTERM)  # also interrupts a sleep
            wait = _AGAIN
