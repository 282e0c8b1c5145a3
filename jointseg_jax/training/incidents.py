"""Non-finite updates: dumps the first ones for reproduction, and ends the run after too many in a row.

    WORKDIR/incidents/STEP/incident.json          the step's metrics, and the path of the dataset
    WORKDIR/incidents/STEP/checkpoints/STEP/      the state before the step, config, contract

The batch is not stored: it is a pure function of dataset, seed and step. `jointseg reproduce
WORKDIR/incidents/STEP` runs the step again.
"""

import contextlib
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from jointseg_jax.errors import Diverged, StorageError
from jointseg_jax.storage.files import write_json
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.devices import consensus
from jointseg_jax.training.experiment import Experiment
from jointseg_jax.training.run.events import printable
from jointseg_jax.training.run.logs import RunLog
from jointseg_jax.training.state import TrainState

FOLDER = "incidents"
RECORD = "incident.json"


class Incidents:
    """Watches a run for updates that were skipped as non-finite."""

    def __init__(self, experiment: Experiment, workdir: pathlib.Path, log: RunLog):
        self._experiment, self._folder, self._log = experiment, workdir / FOLDER, log

    def watch(self, state: TrainState, values: dict[str, float]) -> None:
        """Checks the outcome of a step; all processes call it.

        Args:
            state: after the step.
            values: the step's metrics.

        Raises:
            Diverged: `config.max_skipped` updates in a row were skipped.
        """
        streak = int(state.streak)
        if not streak:
            return
        step = int(state.step) - 1
        self._log.record("skipped", step, {"streak": streak, **values})
        if streak == 1:
            seen = f"loss {values['loss']:.3g}, gradient norm {values['gradient_norm']:.3g}"
            self._log.say(
                f"warning: step {step} was skipped because its loss or gradient is not finite "
                f"({seen}){self._dump(state, values)}"
            )
        if streak >= self._experiment.config.max_skipped:
            raise Diverged(
                f"steps {step - streak + 1} to {step} were all skipped because their loss or gradient is not finite: "
                f"run `jointseg reproduce` on a folder of {self._folder} to see which patches "
                "cause it and correct them, or start a new run with a lower optimizer.learning_rate or "
                "model.dtype=float32"
            )

    def _dump(self, state: TrainState, values: dict[str, float]) -> str:
        """Writes the dump of a step unless there are enough; returns a clause that names its path."""
        step = int(state.step) - 1
        folder = self._folder / str(step)
        known = len(list(self._folder.glob("*"))) if self._folder.is_dir() else 0
        wanted = not folder.exists() and known < self._experiment.config.incidents
        # Process 0 decides: all write the dump together, and a late process would see the folder already made.
        if not consensus.anywhere(wanted and jax.process_index() == 0):
            return ""
        # A skipped step changes only the counters.
        before = dataclasses.replace(
            state, step=state.step - 1, skipped=state.skipped - 1, streak=jnp.zeros_like(state.streak)
        )
        try:
            with contextlib.closing(Checkpoints(folder, keep=1)) as checkpoints:
                checkpoints.save(before, self._experiment.meta(Calibration()))
                checkpoints.wait()
            if jax.process_index() == 0:
                write_json(folder / RECORD, self._record(step, values))
        except (OSError, StorageError) as error:
            return f"; its dump could not be written ({error})"
        return f"; to repeat it: jointseg reproduce {folder}"

    def _record(self, step: int, values: dict[str, float]) -> dict[str, Any]:
        return {
            "step": step,
            "seed": int(self._experiment.config.seed),
            "dataset": str(self._experiment.data.root.resolve()),
            "values": {name: printable(value) for name, value in values.items()},
            "devices": f"{jax.device_count()} {jax.devices()[0].device_kind}",
            "jax": jax.__version__,
        }
