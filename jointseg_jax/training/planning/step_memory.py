"""The memory of a training step; checks before the first batch is read that batches and step fit."""

import math
import re
import sys
from typing import Any

import jax
import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.memory_limit import in_words, memory_limit
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.experiment import Experiment
from jointseg_jax.training.method import Method, init_state
from jointseg_jax.training.programs import Program
from jointseg_jax.training.step import abstract_batch

_SURELY_FITS = 20e6  # bytes; two batches of this size fit into any machine
_FULL = re.compile("RESOURCE_EXHAUSTED|out of memory|failed to allocate", re.I)  # messages of compilers
_HEAVY = 100  # a step takes about this multiple of the bytes of its batch, more with a heavy network


def step_memory(program: Program, config: Any, method: Method, mesh: parallel.Mesh, batch: int) -> float:
    """Bytes that the compiled step needs on each device: state, batch and temporaries.

    Infinite if the compiler itself runs out of memory, on TPUs or in kernel autotuning on GPUs.
    """
    state = jax.eval_shape(lambda: init_state(method, config.seed))
    samples = abstract_batch(method.model, config.dataset.patch, config.dataset.patch, batch)
    print(f"            compiling a step of {batch} patches ...", file=sys.stderr, flush=True)
    try:
        found = program.lower(state, samples).compile().memory_analysis()
    except jax.errors.JaxRuntimeError as error:
        if not _FULL.search(str(error)):
            raise
        return math.inf
    return float(
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes
        + found.temp_size_in_bytes
        + found.generated_code_size_in_bytes
    )


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
            f"{in_words(limit)} are available: use a smaller batch; `jointseg plan` shows which one fits"
        )


def _steps(experiment: Experiment) -> list[float]:
    """Bytes per device of a step of each phase."""
    config, method, mesh = experiment.config, experiment.method, experiment.mesh
    programs, _ = experiment.compile()
    return [step_memory(program, config, method, mesh, config.data.batch) for program in programs.phases().values()]
