"""Loads the batches of a run as global arrays, one step ahead, and counts unreadable samples."""

import collections
from collections.abc import Iterator
from typing import Any

import numpy as np

from jointseg_jax.data.pipeline import DatasetIterator, Slice, training_batches
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.experiment import Experiment


class Loader:
    """Iterates over global batches from step `first` on.

    Attributes:
        masked: unreadable samples of this process that were masked in the batches so far.
    """

    def __init__(self, experiment: Experiment, first: int):
        self.masked = 0
        self._counts: collections.deque[int] = collections.deque()
        self._source = open_batches(experiment, first, experiment.slice_)
        self._batches = parallel.prefetch(self._counted(), experiment.mesh)

    def __next__(self) -> Any:
        batch = next(self._batches)
        self.masked += self._counts.popleft()
        return batch

    def _counted(self) -> Iterator[Any]:
        for batch in self._source:
            self._counts.append(int(np.sum(~batch["readable"])))
            yield batch

    def close(self) -> None:
        """Stops the reading threads."""
        self._source.close()


def open_batches(experiment: Experiment, first: int, slice_: Slice) -> DatasetIterator:
    """Opens the host batches of the config, from step `first` on."""
    data = experiment.config.data
    return training_batches(
        experiment.training,
        batch=data.batch,
        seed=experiment.config.seed,
        start=first,
        slice_=slice_,
        augment=data.augment,
        jitter=data.jitter,
        threads=data.threads,
        workers=data.workers,
    )
