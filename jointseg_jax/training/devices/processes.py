"""Decides from flags and environment, before JAX starts, whether this process is one of several of a run.

It never guesses: a half-set environment is refused, because treating each process as a single one would start as many
separate trainings as there are processes.
"""

import dataclasses
import re
from collections.abc import Mapping

from jointseg_jax.errors import InputError

CLUSTERS = ("auto", "none", "environment", "slurm", "tpu")
_PORTS = 65536 - 4096  # a Slurm job uses one of the last 4096 ports, chosen by its number
# Launchers that number their processes but do not give the address of the first one.
_OTHER_LAUNCHERS = {
    "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK",
    "PMI_SIZE": "PMI_RANK",
    "WORLD_SIZE": "RANK",
}


@dataclasses.dataclass(frozen=True)
class Flags:
    """The flags `--coordinator`, `--processes`, `--process` and `--cluster`; None where not given."""

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    cluster: str = "auto"


@dataclasses.dataclass(frozen=True)
class Processes:
    """A run of several processes, from the view of this one.

    Attributes:
        source: of this information: "flags", "environment", "slurm" or "tpu".
        coordinator: host:port of process 0; None where JAX finds it ("tpu").
        count: of processes; None likewise.
        process: index of this one, from 0; None likewise.
        device: the only local device of this process; None for all.
    """

    source: str
    coordinator: str | None = None
    count: int | None = None
    process: int | None = None
    device: int | None = None


def decide(flags: Flags, environment: Mapping[str, str]) -> Processes | None:
    """Decides whether this process belongs to a larger run.

    The sources, in this order: flags; Slurm (more than one task in the job step); a TPU pod of several hosts;
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or Kubernetes' JOB_COMPLETION_INDEX for the last.

    Args:
        flags: of the command line.
        environment: `os.environ`.

    Returns:
        None for a single process.

    Raises:
        InputError: the information is incomplete or contradicts itself.
    """
    if flags.cluster not in CLUSTERS:
        raise InputError(f"--cluster={flags.cluster} is unknown: use one of {', '.join(CLUSTERS)}")
    given = {"--coordinator": flags.coordinator, "--processes": flags.processes, "--process": flags.process}
    if any(v is not None for v in given.values()):
        if flags.cluster != "auto":
            raise InputError(
                f"--cluster={flags.cluster} cannot be combined with --coordinator, --processes, --process: give one "
                "or the other"
            )
        if flags.processes == 1 and flags.process in (None, 0):
            return None
        return _checked("flags", {k: None if v is None else str(v) for k, v in given.items()}, "on the command line")
    if flags.cluster == "none":
        return None
    if flags.cluster in ("auto", "slurm") and (found := _slurm(environment, flags.cluster == "slurm")):
        return found
    if flags.cluster in ("auto", "tpu") and (found := _tpu(environment, flags.cluster == "tpu")):
        return found
    if flags.cluster in ("auto", "environment") and (found := _jax(environment, flags.cluster == "environment")):
        return found
    for size, rank in _OTHER_LAUNCHERS.items():
        if flags.cluster == "auto" and _number(environment, size, 1) > 1:
            raise InputError(
                f"{size}={environment[size]} shows that several processes were launched, but not the address of the "
                f"first one: give --coordinator=HOST:PORT --processes=${size} --process=${rank}, or --cluster=none "
                "for a single process"
            )
    return None


def _slurm(environment: Mapping[str, str], demanded: bool) -> Processes | None:
    if "SLURM_JOB_ID" not in environment:
        if demanded:
            raise InputError(
                "--cluster=slurm is given, but SLURM_JOB_ID is not set: start with srun inside a Slurm job"
            )
        return None
    count = _number(environment, "SLURM_STEP_NUM_TASKS", _number(environment, "SLURM_NTASKS", 1))
    nodes = _number(environment, "SLURM_STEP_NUM_NODES", _number(environment, "SLURM_JOB_NUM_NODES", 1))
    rank = _number(environment, "SLURM_PROCID", 0)
    if count == 1 and nodes == 1 and rank == 0:
        return None
    missing = [k for k in ("SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID") if k not in environment]
    if missing or count < nodes:
        lacking = f"{missing[0]} is not set" if missing else f"it has {count} task(s)"
        raise InputError(
            f"the Slurm job has {max(count, nodes)} tasks or nodes, but {lacking}: start with `srun jointseg train "
            "...`, or give --cluster=none for a single process"
        )
    first = re.match(r"([^,\[]+)(?:\[([^,\-\]]+)[^\]]*\])?([^,\[]*)", environment["SLURM_STEP_NODELIST"])
    assert first is not None
    host = "".join(part or "" for part in first.groups())
    port = environment.get("JAX_COORDINATOR_PORT", str(_PORTS + _number(environment, "SLURM_JOB_ID", 0) % 4096))
    address = environment.get("JAX_COORDINATOR_ADDRESS", f"{host}:{port}")
    found = _checked("slurm", {"address": address, "SLURM_NTASKS": str(count), "SLURM_PROCID": str(rank)}, "by Slurm")
    return dataclasses.replace(found, device=_slurm_device(environment, count, nodes))


def _slurm_device(environment: Mapping[str, str], count: int, nodes: int) -> int | None:
    """The local index of a task's only GPU; None if it uses all that it sees."""
    if count == nodes:
        return None
    local = _number(environment, "SLURM_LOCALID", 0)
    if "CUDA_VISIBLE_DEVICES" not in environment:
        # Slurm assigns no GPUs: if there are any, all tasks see all of them; on CPUs the index has no effect.
        return local
    seen = len(environment["CUDA_VISIBLE_DEVICES"].split(","))
    own = environment.get("SLURM_GPUS_PER_TASK", "").rpartition(":")[2]  # "4", or with the type "a100:4"
    if seen == 1 or own == str(seen):
        return None
    if count != nodes * seen:
        raise InputError(
            f"{count} Slurm tasks run on {nodes} node(s), and this one sees {seen} GPUs, but not which of them to "
            "use: start one task per node or one per GPU, or assign GPUs with --gpus-per-task"
        )
    return local


def _tpu(environment: Mapping[str, str], demanded: bool) -> Processes | None:
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES") or ""
    slices = _number(environment, "MEGASCALE_NUM_SLICES", 1)
    if len(hosts.split(",")) > 1 or slices > 1:
        wanted = ["TPU_WORKER_ID"] + (["MEGASCALE_SLICE_ID", "MEGASCALE_COORDINATOR_ADDRESS"] if slices > 1 else [])
        missing = [k for k in wanted if k not in environment]
        if missing:
            raise InputError(
                f"the environment names several TPU hosts or slices, but {missing[0]} is not set: set it, or give "
                "--cluster=none for a single process"
            )
        return Processes("tpu")
    # Without Kubernetes only the metadata server knows the hosts of a pod, so the user must name it.
    return Processes("tpu") if demanded else None


def _jax(environment: Mapping[str, str], demanded: bool) -> Processes | None:
    indexed = "JOB_COMPLETION_INDEX" in environment and "JAX_PROCESS_ID" not in environment
    own = "JOB_COMPLETION_INDEX" if indexed else "JAX_PROCESS_ID"
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", own)
    values = {name: environment.get(name) for name in names}
    if not demanded and all(v is None for v in values.values()):
        return None
    if _number(environment, "JAX_NUM_PROCESSES", 0) == 1:
        return None
    return _checked("environment", values, "in the environment")


def _checked(source: str, values: Mapping[str, str | None], where: str) -> Processes:
    """Checks that address, count and index, in this order, are complete and valid."""
    missing = [k for k, v in values.items() if v is None]
    if missing:
        raise InputError(
            f"{', '.join(k for k in values if k not in missing) or 'nothing'} given {where}, but {missing[0]} is not: "
            "several processes need address, count and number; for a single process give --cluster=none"
        )
    (_, address), (count_name, _), (number_name, _) = values.items()
    count, number = _number(values, count_name, 0), _number(values, number_name, 0)
    if not 0 <= number < count:
        raise InputError(f"{number_name}={number} {where} must be at least 0 and below {count_name}={count}")
    if not re.fullmatch(r"\S+:\d+", address or ""):
        raise InputError(f"the coordinator {address!r} {where} must have the form HOST:PORT")
    return Processes(source, address, count, number)


def _number(values: Mapping[str, str | None], name: str, default: int) -> int:
    value = values.get(name)
    if value is None:
        return default
    if not re.fullmatch(r"-?\d+", value.strip()):
        raise InputError(f"{name}={value!r} must be a whole number")
    return int(value)
