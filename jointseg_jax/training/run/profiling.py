"""Traces some steps for TensorBoard's profiler or Perfetto."""

import contextlib
import pathlib
import re
from collections.abc import Iterator
from types import TracebackType

import jax

from jointseg_jax.errors import InputError

FOLDER = "profile"


def parse(text: str | None) -> range | None:
    """Parses `--profile=start:stop`; start is included, stop is not.

    Raises:
        InputError: it is not start:stop with start < stop.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+):(\d+)", text)
    if not found or int(found[1]) >= int(found[2]):
        raise InputError(f"--profile={text} must be start:stop, two steps with start before stop, such as 10:13")
    return range(int(found[1]), int(found[2]))


class Trace:
    """Traces the wanted steps into WORKDIR/profile, on process 0 only.

    Args:
        workdir: of the run.
        wanted: steps to trace, None for none.
        first: the run's first step.
        steps: the number of steps of the run.

    Raises:
        InputError: the run ends before the trace would begin.
    """

    def __init__(self, workdir: pathlib.Path, wanted: range | None, first: int, steps: int):
        if wanted is not None and wanted.start >= steps:
            raise InputError(
                f"--profile={wanted.start}:{wanted.stop} begins after the last of {steps} steps: give earlier steps"
            )
        # Steps that are already done are no error, because a requeued run gets the same command.
        left = range(max(wanted.start, first), wanted.stop) if wanted is not None else range(0)
        self._wanted = left if jax.process_index() == 0 else range(0)
        self._folder = workdir / FOLDER
        self._on = False

    def __enter__(self) -> "Trace":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @contextlib.contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Traces one step; the block must wait for its results."""
        if number in self._wanted and not self._on:
            jax.profiler.start_trace(str(self._folder))
            self._on = True
        with jax.profiler.StepTraceAnnotation("train", step_num=number):
            yield
        if number + 1 not in self._wanted:
            self._stop()

    def _stop(self) -> None:
        if self._on:
            self._on = False
            jax.profiler.stop_trace()
