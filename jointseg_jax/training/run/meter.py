"""Throughput of a run."""

import contextlib
import time
from collections.abc import Iterator


class Meter:
    """Throughput and the share of time spent waiting for data, since the last reading.

    Args:
        batch: patches per step.
        patch: ground covered by a patch, km2.
    """

    def __init__(self, batch: int, patch: float):
        self._batch, self._patch = batch, patch
        self.restart(0)

    def restart(self, steps: int) -> None:
        """Restarts the measurement after `steps` steps."""
        self._since, self._started, self._waited = steps, time.perf_counter(), 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time of the block as waiting for data."""
        before = time.perf_counter()
        yield
        self._waited += time.perf_counter() - before

    def read(self, steps: int) -> dict[str, float]:
        """Rates since the last reading, after `steps` steps."""
        elapsed = time.perf_counter() - self._started
        patches = (steps - self._since) * self._batch / elapsed
        found = {
            "patches_per_second": patches,
            "km2_per_second": patches * self._patch,
            "data_wait": self._waited / elapsed,
        }
        self.restart(steps)
        return found
