"""Runs again a step that was not finite."""

import dataclasses
import math
import os
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from jointseg_jax import cli
from jointseg_jax.data.pipeline import Slice
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.reader import warm_drivers
from jointseg_jax.storage.files import read_json
from jointseg_jax.training.checkpoints.reading import Stored
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.experiment import digest
from jointseg_jax.training.incidents import RECORD
from jointseg_jax.training.loader import open_batches
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """The result of running a step again.

    Attributes:
        step: its number.
        recorded: its metrics when it happened.
        found: its metrics now.
        suspects: patches of its batch that give a non-finite update on their own.
    """

    step: int
    recorded: dict[str, float]
    found: dict[str, float]
    suspects: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether loss and gradient norm equal the recorded ones; NaN equals NaN."""
        return all(
            math.isclose(self.found[k], self.recorded[k], rel_tol=1e-3)
            or (math.isnan(self.found[k]) and math.isnan(self.recorded[k]))
            for k in ("loss", "gradient_norm")
        )


def reproduce(folder: str | os.PathLike[str], dataset: str | None = None) -> Reproduction:
    """Runs the step of a dump again on the available devices.

    Args:
        folder: WORKDIR/incidents/STEP.
        dataset: path of the dataset; by default the recorded one.

    Raises:
        InputError: there is no dump, or the dataset differs from the recorded one.
    """
    folder = pathlib.Path(folder)
    if not (folder / RECORD).exists():
        raise InputError(f"{folder} is not the dump of a step: give a folder WORKDIR/incidents/STEP")
    warm_drivers()
    record = read_json(folder / RECORD)
    step = int(record["step"])
    checkpoints = Stored(folder)
    meta = checkpoints.meta(step)
    config = ml_collections.ConfigDict(meta.config)
    config.dataset.path = dataset or record["dataset"]
    batch = int(config.data.batch)
    config.mesh.data = max(n for n in range(1, jax.device_count() + 1) if batch % n == 0)
    config.mesh.space = 1
    experiment = set_up(config)
    if digest(experiment.data) != meta.dataset["index"]:
        raise InputError(
            f"{config.dataset.path} is not the version of dataset {meta.dataset['name']!r} that the run used: give "
            "that version with --dataset"
        )
    state = checkpoints.restore(experiment.abstract(), step)
    source = open_batches(experiment, step, Slice())
    host = next(source)
    source.close()
    steps, _ = experiment.compile()

    def run(samples: Any) -> dict[str, float]:
        copied: TrainState = jax.tree.map(lambda x: x.copy(), state)  # the step donates its state
        _, metrics = steps.at(step)(copied, parallel.to_global(samples, experiment.mesh))
        return {name: float(value) for name, value in jax.device_get(metrics).items()}

    def alone(row: int) -> bool:
        found = run(jax.tree.map(lambda x: np.repeat(x[row : row + 1], batch, 0), host))
        return math.isfinite(found["loss"]) and math.isfinite(found["gradient_norm"])

    found = run(host)
    suspects = [int(host["patch"][row]) for row in range(batch) if not alone(row)]
    names = tuple(experiment.training.describe(patch) for patch in dict.fromkeys(suspects))
    return Reproduction(step, {k: float(v) for k, v in record["values"].items()}, found, names)


if __name__ == "__main__":
    cli.run_command("reproduce")
