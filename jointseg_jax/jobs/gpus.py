"""Assigns the GPUs of this machine to worker processes; no GPU is initialised here."""

import importlib.util
import itertools
import os
import pathlib
import pkgutil


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that worker processes may use, with their names in `CUDA_VISIBLE_DEVICES`; initialises none."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if not _knows_cuda() or (platforms and not {"cuda", "gpu"} & set(platforms.lower().split(","))):
        return ()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return tuple(str(number) for number in range(len(list(pathlib.Path("/dev").glob("nvidia[0-9]*")))))
    names = (name.strip() for name in chosen.split(","))
    # Like CUDA, this stops at the first invalid name; Slurm writes NoDevFiles for "no GPU".
    return tuple(itertools.takewhile(lambda name: name.isdigit() or name.startswith(("GPU-", "MIG-")), names))


def _knows_cuda() -> bool:
    """Whether this JAX can use CUDA; without it, GPUs must not set the number of workers."""
    found = importlib.util.find_spec("jax_plugins")
    places = list(found.submodule_search_locations or ()) if found else []
    return any(module.name.startswith("xla_cuda") for module in pkgutil.iter_modules(places))


def worker_environment(gpu: str | None = None) -> dict[str, str]:
    """Additional environment variables of a worker: its GPU, if it has one, and GPU memory allocated as needed."""
    own = {"XLA_PYTHON_CLIENT_PREALLOCATE": os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "false")}
    return own if gpu is None else {**own, "CUDA_VISIBLE_DEVICES": gpu}
