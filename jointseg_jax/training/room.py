"""Whether a run's batches fit into memory, found out before the first is read."""

import jax
import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.room import in_words, memory_limit
from jointseg_jax.training import plan
from jointseg_jax.training.experiment import Experiment

_SURELY_FITS = 20e6  # bytes of two batches that fit into any machine
_HEAVY = 100  # a step takes about so many times the bytes of its batch, a heavy network more


def check_room(experiment: Experiment, limit: int | None = None) -> None:
    """Refuses a batch that does not fit into this machine's memory.

    Batches are in host memory on every machine; what a step takes counts on CPUs only, as accelerators say themselves
    what does not fit. It is compiled only where it might not.

    Args:
        experiment: of the run.
        limit: bytes of memory; by default what this process may use.

    Raises:
        InputError: it does not fit.
    """
    batch = experiment.config.data.batch
    sample = sum(np.asarray(x).nbytes for x in jax.tree.leaves(experiment.training.masked()))
    need: float = 2 * sample * (batch // experiment.slice_.processes)  # one is used while the next is read
    if limit is None and need < _SURELY_FITS:
        return
    limit = memory_limit() if limit is None else limit
    if need <= limit < _HEAVY * need and jax.default_backend() == "cpu":
        need = max(_steps(experiment)) * jax.local_device_count()
    if need > limit:
        raise InputError(
            f"--config.data.batch={batch} takes {in_words(need)} of memory, and there are {in_words(limit)}: take a "
            "smaller one; train.py --plan says which batch fits"
        )


def _steps(experiment: Experiment) -> list[float]:
    """Bytes that a step of each phase takes on each device."""
    config, method, mesh = experiment.config, experiment.method, experiment.mesh
    programs, _ = experiment.compile()
    return [
        plan.step_memory(program, config, method, mesh, config.data.batch) for program in programs.phases().values()
    ]
