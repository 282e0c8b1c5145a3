"""Batches as a pure function of (dataset, seed, step).

Shuffling, repeating and augmenting act on global indices; the process slice comes last. The global batch of a step is
therefore the same for any number of processes, threads and workers. Resuming is random access: a checkpoint stores no
iterator state.
"""

import dataclasses
from collections.abc import Iterator
from typing import TypeAlias

import grain
import numpy as np

from jointseg_jax.data.augmentation import dihedral
from jointseg_jax.data.augmentation import jitter as jitter_sample
from jointseg_jax.data.patches import PatchReader, Sample, stack


@dataclasses.dataclass(frozen=True)
class Slice:
    """Which rows of each global batch a process produces."""

    process: int = 0
    processes: int = 1


DatasetIterator: TypeAlias = grain.DatasetIterator


class _ReadTraining(grain.transforms.RandomMap):
    """Patch number -> augmented sample, see `PatchReader.read`."""

    def __init__(self, reader: PatchReader, augment: bool, amount: float):
        self._reader, self._augment, self._amount = reader, augment, amount

    def random_map(self, element: int, rng: np.random.Generator) -> Sample:
        sample = self._reader.read(int(element), rng)
        if self._amount:
            sample = jitter_sample(sample, self._reader.contract, self._amount, rng)
        return dihedral(sample, int(rng.integers(4)), bool(rng.integers(2))) if self._augment else sample


def training_batches(
    reader: PatchReader,
    *,
    batch: int,
    seed: int,
    start: int,
    slice_: Slice = Slice(),
    augment: bool = True,
    jitter: float = 0.0,
    threads: int = 2,
    workers: int = 0,
) -> DatasetIterator:
    """Yields this process's rows of global batches `start`, `start + 1`, ... without end.

    Args:
        reader: of the training split.
        batch: global batch size.
        seed: of order and augmentation.
        start: the step to begin at.
        slice_: this process's share.
        augment: flip and rotate by right angles.
        jitter: spread of a random gain on input and image, see `augmentation.jitter`; 0 for none.
        threads: reading threads.
        workers: reading processes (spawned); 0 for threads only, usually faster because GDAL releases the GIL.

    Raises:
        ValueError: the batch does not divide by the number of processes.
    """
    if batch % slice_.processes:
        raise ValueError(f"the global batch {batch} is not a multiple of the {slice_.processes} processes")
    dataset = (
        grain.MapDataset.range(len(reader))
        .seed(seed)
        .shuffle()
        .repeat()
        .random_map(_ReadTraining(reader, augment, jitter))
        .batch(batch // slice_.processes, drop_remainder=True, batch_fn=stack)
        .slice(slice(start * slice_.processes + slice_.process, None, slice_.processes))
        .to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(2, threads)))
    )
    if workers:
        dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1))
    return iter(dataset)


def evaluation_batches(
    reader: PatchReader, *, batch: int, slice_: Slice = Slice(), limit: int | None = None
) -> Iterator[Sample]:
    """Yields this process's rows of the batches that cover a split once, in index order.

    Masked samples fill the last batch.

    Args:
        reader: of the split.
        batch: global batch size.
        slice_: this process's share.
        limit: maximum number of patches, evenly spread over the split.
    """
    count = len(reader)
    numbers = (
        np.arange(count) if limit is None or limit >= count else np.linspace(0, count - 1, limit).round().astype(int)
    )
    share = batch // slice_.processes
    for begin in range(0, len(numbers), batch):
        mine = numbers[begin + slice_.process * share : begin + (slice_.process + 1) * share]
        samples = [reader.read(int(n)) for n in mine[: max(0, min(len(mine), share))]]
        yield stack(samples + [reader.masked()] * (share - len(samples)))
