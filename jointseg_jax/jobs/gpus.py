"""The GPUs of this machine, one for each worker process; found without starting any."""

import importlib.util
import itertools
import os
import pathlib
import pkgutil


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that worker processes may use, as `CUDA_VISIBLE_DEVICES` names them; without starting any."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if not _knows_cuda() or (platforms and not {"cuda", "gpu"} & set(platforms.lower().split(","))):
        return ()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return tuple(str(number) for number in range(len(list(pathlib.Path("/dev").glob("nvidia[0-9]*")))))
    names = (name.strip() for name in chosen.split(","))
    # CUDA, too, stops at the first that is none; Slurm's word for "no GPU" is NoDevFiles.
    return tuple(itertools.takewhile(lambda name: name.isdigit() or name.startswith(("GPU-", "MIG-")), names))


def _knows_cuda() -> bool:
    """Whether this JAX can use a GPU: else workers are not counted by GPUs that they would leave alone."""
    found = importlib.util.find_spec("jax_plugins")
    places = list(found.submodule_search_locations or ()) if found else []
    return any(module.name.startswith("xla_cuda") for module in pkgutil.iter_modules(places))


def worker_environment(number: int, gpus: tuple[str, ...]) -> dict[str, str]:
    """Variables of a worker process beside those it inherits: memory of its GPU as needed, and one GPU of its own."""
    own = {"XLA_PYTHON_CLIENT_PREALLOCATE": os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "false")}
    if gpus:
        own["CUDA_VISIBLE_DEVICES"] = gpus[number]
    return own
