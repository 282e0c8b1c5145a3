"""The starting point of a run: the newest checkpoint of its work directory, or a fresh state."""

import pathlib
from typing import NamedTuple

from jointseg_jax.errors import InputError
from jointseg_jax.training import resume_check
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.initial import begin_from
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.experiment import Experiment, digest
from jointseg_jax.training.state import TrainState


class Start(NamedTuple):
    """The starting point of a run.

    Attributes:
        state: the newest of the work directory, or a fresh one.
        fitted: the calibration of that state.
        origin: describes loaded initial weights; empty for random weights and for a resumed run.
    """

    state: TrainState
    fitted: Calibration
    origin: str


def start(experiment: Experiment, checkpoints: Checkpoints, workdir: pathlib.Path) -> Start:
    """Restores the newest state of the work directory, or makes a fresh one, with weights of `config.init_from` if set.

    Raises:
        InputError: the work directory belongs to another experiment or dataset, or `config.init_from` does not fit.
    """
    if checkpoints.latest is None:
        state, origin = experiment.init(), ""
        if experiment.config.init_from:
            state, origin = begin_from(state, experiment.config.init_from, experiment.shardings(), experiment.contract)
        return Start(state, Calibration(), origin)
    meta = checkpoints.meta(checkpoints.latest)
    resume_check.check(meta.config, experiment.plain, checkpoints.latest, workdir)
    if meta.contract != experiment.contract:
        raise InputError(
            f"{workdir} was trained with other bands, units or statistics than {experiment.data.root} has now (was it "
            "prepared again?): use another --workdir"
        )
    known, found = meta.dataset["index"], digest(experiment.data)
    if known != found:
        raise InputError(
            f"{workdir} was trained on another version of dataset {meta.dataset['name']!r} (its patch index differs): "
            "use another --workdir"
        )
    return Start(checkpoints.restore(experiment.abstract(), checkpoints.latest), meta.calibration, "")
