"""Stops a run on SIGTERM or Ctrl-C: it finishes the step and saves; the same command resumes it."""

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType

import jax

from jointseg_jax.training.devices import consensus

_NOTICE = b"\nasked to stop: finishing this step and saving a checkpoint (Ctrl-C again stops at once)\n"


class StopAsked(Exception):
    """Raised after a stop request."""


class Stopping:
    """Listens for SIGTERM and SIGINT while the block runs.

    A single process installs its own handlers. With several, JAX's preemption service catches SIGTERM on any of them
    and reports it to all at the same call of `check`, so all must call it at the same places.

    Further SIGTERMs have no effect. A second SIGINT ends the process at once, like a kill; committed checkpoints are
    safe, because the commit is a rename.
    """

    def __enter__(self) -> "Stopping":
        self._asked = self._interrupted = self._agreed = False
        self._calls = 0
        self._alone = jax.process_count() == 1
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT) if self._alone else (signal.SIGINT,):
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises `StopAsked` once a stop was requested; all processes raise it at the same call."""
        self._calls += 1
        if not self._agreed:
            self._agreed = self._asked if self._alone else consensus.preempted(self._calls)
        if self._agreed:
            raise StopAsked

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                os._exit(128 + signal.SIGINT)
            self._interrupted = True
            if not self._alone:
                os.kill(os.getpid(), signal.SIGTERM)  # the signal of the preemption service
        if not self._asked:
            with contextlib.suppress(OSError):
                os.write(2, _NOTICE)  # print might deadlock inside an interrupted print
        self._asked = True
