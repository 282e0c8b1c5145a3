"""Checks that the batches of a run fit into memory, before the first is read."""

import math

import jax
import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.memory_limit import in_words, memory_limit
from jointseg_jax.training import step_cost
from jointseg_jax.training.experiment import Experiment

_SURELY_FITS = 20e6  # bytes; two batches of this size fit into any machine
_HEAVY = 100  # a step takes about this multiple of the bytes of its batch, more with a heavy network


def check_room(experiment: Experiment, limit: int | None = None) -> None:
    """Refuses a batch that does not fit into this machine's memory.

    Batches always count, because they lie in host memory. Memory of state and step counts on CPUs only, because
    accelerators report themselves what does not fit. A step is compiled only if it might not fit.

    Args:
        experiment: of the run.
        limit: bytes of memory; by default the limit of this process.

    Raises:
        InputError: the batch does not fit.
    """
    batch = experiment.config.data.batch
    sample = sum(np.asarray(x).nbytes for x in jax.tree.leaves(experiment.training.masked()))
    on_cpu = jax.default_backend() == "cpu"
    state = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(experiment.abstract())) if on_cpu else 0
    need: float = 2 * sample * (batch // experiment.slice_.processes)  # one is in use while the next is read
    if limit is None and need + state < _SURELY_FITS:
        return
    limit = memory_limit() if limit is None else limit
    if state > limit:
        raise InputError(
            f"the network and its optimizer need {in_words(state)} of memory, but only {in_words(limit)} are "
            "available: use smaller numbers in config.model"
        )
    if on_cpu and need + state <= limit < _HEAVY * need + state:
        need = max(_steps(experiment)) * jax.local_device_count() - state
    if need + state > limit:
        raise InputError(
            f"--config.data.batch={batch} needs {in_words(need + state)} of memory with the network, but only "
            f"{in_words(limit)} are available: use a smaller batch; train.py --plan shows which one fits"
        )


def _steps(experiment: Experiment) -> list[float]:
    """Bytes per device of a step of each phase."""
    config, method, mesh = experiment.config, experiment.method, experiment.mesh
    programs, _ = experiment.compile()
    return [
        step_cost.step_memory(program, config, method, mesh, config.data.batch)
        for program in programs.phases().values()
    ]
