"""Connects the processes of a run, checks that they agree, and ends them together."""

import contextlib
import hashlib
import os
import pathlib
import re
import secrets
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jointseg_jax.errors import InputError, Interrupted, RunEnded
from jointseg_jax.training.devices.processes import Processes

AGAIN_STATUS = 75  # EX_TEMPFAIL of sysexits.h: the work is incomplete, restart the process
# Messages of JAX when other hosts of a pod are late, as opposed to no pod at all.
_LATE = re.compile("deadline|timed out|failed to recognize coordinator", re.I)


@contextlib.contextmanager
def connected(processes: Processes | None, *, connect: int = 300, heartbeat: int = 100) -> Iterator[None]:
    """Connects the processes of a run; if one ends, all end within bounded time.

    On an error it exits this process without waiting for the others: status 2 after a user's mistake, `AGAIN_STATUS`
    when another process was lost, 1 after any other error, such as an NCCL failure before the first step.

    Args:
        processes: the result of `decide`.
        connect: seconds to wait for all processes.
        heartbeat: seconds without a heartbeat after which a process counts as dead, and all others end.

    Raises:
        InputError: unchanged, from a single process or before the processes are connected.
        Interrupted: the others were not found in time; they may only be late.
    """
    if processes is None:
        if jax.process_count() > 1:  # the TPU runtime knows this even if the environment does not
            raise InputError(f"this host is one of {jax.process_count()} of a TPU pod: give --cluster=tpu")
        yield
        return
    _connect(processes, connect, heartbeat)
    try:
        multihost_utils.sync_global_devices("connected")  # at once: see `connect_groups`
        yield
        jax.distributed.shutdown()
    except RunEnded:  # all processes end together, each with its own status
        jax.distributed.shutdown()
        raise
    except InputError as error:
        _leave(f"error: {error}", 2)
    except jax.errors.JaxRuntimeError as error:
        if not _is_loss(str(error)):
            _leave(traceback.format_exc(), 1)
        reason = str(error).splitlines()[0][:160]
        _leave(
            f"error: process {jax.process_index()} lost another process of the run ({reason}): start all processes "
            "again with the same command to continue from the last checkpoint",
            AGAIN_STATUS,
        )
    except Exception:
        _leave(traceback.format_exc(), 1)


def _connect(processes: Processes, connect: int, heartbeat: int) -> None:
    limits: dict[str, Any] = {
        "initialization_timeout": connect,
        "heartbeat_timeout_seconds": heartbeat,
        "shutdown_timeout_seconds": connect,
    }
    if processes.coordinator is None:
        try:
            jax.distributed.initialize(**limits)
        except (RuntimeError, ValueError) as error:
            if _LATE.search(str(error)):
                raise Interrupted(
                    f"the hosts of the TPU pod did not connect within {connect} s ({error}): check that all processes "
                    "are running and can reach the first one. Run the same command again, or set a longer "
                    "--connect_timeout"
                ) from error
            raise InputError(
                f"JAX found no TPU pod here ({error}): use --cluster=tpu only on the hosts of a pod"
            ) from error
        return
    if processes.process:
        _wait_for(processes, connect)
    jax.distributed.initialize(
        processes.coordinator,
        processes.count,
        processes.process,
        local_device_ids=None if processes.device is None else [processes.device],
        coordinator_bind_address=_bind_address(processes.coordinator),
        cluster_detection_method="deactivate",
        **limits,
    )


def _bind_address(coordinator: str) -> str | None:
    """The address on which process 0 listens: loopback if given; otherwise None, JAX's default of all interfaces.

    Any other address may belong to a service that forwards to this machine, and cannot be bound here.
    """
    host = coordinator.rpartition(":")[0].strip("[]")
    return coordinator if host in ("localhost", "::1") or host.startswith("127.") else None


def _wait_for(processes: Processes, seconds: int) -> None:
    """Waits for the coordinator to listen, because JAX would abort with a stack dump instead of an error."""
    assert processes.coordinator is not None
    host, _, port = processes.coordinator.rpartition(":")
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                # A late machine looks like a wrong address; only the former is worth a retry.
                raise Interrupted(
                    f"process {processes.process} of {processes.count} found no coordinator at "
                    f"{processes.coordinator} within {seconds} s ({error}): check the address, and that process 0 is "
                    "running there and can be reached. Run the same command again, or set a longer --connect_timeout"
                ) from error
        time.sleep(0.5)


def connect_groups(mesh: Mesh) -> None:
    """Connects every group of devices early, while the processes are only seconds apart.

    Gloo allows a group 30 s for its first connection. Later, one process may take longer than that to compile or to
    open its data. Connected groups wait for each other without limit.
    """
    if jax.process_count() == 1:
        return
    axes = mesh.axis_names
    for group in [axes, *((axis,) for axis in axes)]:
        total = jax.shard_map(
            lambda x, group=group: jax.lax.psum(x, group),
            mesh=mesh,
            in_specs=PartitionSpec(*axes),
            out_specs=PartitionSpec(*(None if axis in group else axis for axis in axes)),
        )
        ones = jax.make_array_from_callback(
            mesh.devices.shape, NamedSharding(mesh, PartitionSpec(*axes)), lambda index: np.ones((1, 1), np.float32)
        )
        jax.block_until_ready(jax.jit(total)(ones))


def stepped() -> None:
    """Records that the devices of all processes have worked together; called after each step."""
    _stepped.set()


_stepped = threading.Event()


def _is_loss(message: str) -> bool:
    """Whether an error of JAX's runtime means that another process was lost."""
    if re.search(r"heartbeat|unhealthy|\bby (remote )?peer\b", message, re.I):
        return True
    # Before the first step, the cause is more likely a missing driver or network, which a restart does not fix.
    if not _stepped.is_set() and re.search("nccl|barrier", message, re.I):
        return False
    return re.search("gloo|nccl|connection|coordination|barrier|unavailable", message, re.I) is not None


def _leave(message: str, status: int) -> None:
    """Exits at once, because a normal exit would wait for the others, which wait for this process."""
    print(message.rstrip(), file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextlib.contextmanager
def share_input_errors() -> Iterator[None]:
    """Raises an `InputError` of one process in all of them; the block must not use collectives.

    Raises:
        InputError: this process's own, or the first of the others.
    """
    if jax.process_count() == 1:
        yield
        return
    message = ""
    try:
        yield
    except InputError as error:
        message = str(error)
    mine = np.zeros(1000, np.uint8)
    text = message.encode()[: mine.size]
    mine[: len(text)] = np.frombuffer(text, np.uint8)
    everyone = np.asarray(multihost_utils.process_allgather(mine))
    if message:
        raise InputError(message)
    for number, other in enumerate(everyone):
        if other.any():
            found = bytes(other[other > 0]).decode(errors="replace")
            raise InputError(f"process {number} ended the run: {found}")


def check_agreement(facts: Mapping[str, str]) -> None:
    """Checks that all processes have the same facts.

    Args:
        facts: by name, such as {"config": ..., "dataset": ...}; the same names in all processes.

    Raises:
        InputError: in all processes, if any differs.
    """
    if jax.process_count() == 1:
        return
    mine = np.stack([np.frombuffer(hashlib.sha256(v.encode()).digest(), np.uint32) for v in facts.values()])
    everyone = np.asarray(multihost_utils.process_allgather(mine))
    for index, name in enumerate(facts):
        differing = np.flatnonzero((everyone[:, index] != everyone[0, index]).any(-1))
        if len(differing):
            raise InputError(
                f"process {differing[0]} has another {name} than process 0: start all processes with the same command, "
                "on the same software and the same data"
            )


def check_shared_folder(folder: str | os.PathLike[str], seconds: float = 30) -> None:
    """Checks that all processes see the same folder, because they write checkpoints together.

    Raises:
        InputError: they do not.
    """
    if jax.process_count() == 1:
        return
    path = pathlib.Path(folder) / ".processes"
    token = np.frombuffer(secrets.token_bytes(8), np.uint8)
    token = np.asarray(multihost_utils.broadcast_one_to_all(token))
    if jax.process_index() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(token.tobytes())
    multihost_utils.sync_global_devices("token written")
    deadline = time.monotonic() + seconds
    seen = False
    while not seen and time.monotonic() < deadline:
        seen = path.is_file() and path.read_bytes() == token.tobytes()
        if not seen:
            time.sleep(0.2)  # network file systems show a new file late
    blind = np.flatnonzero(~np.asarray(multihost_utils.process_allgather(np.asarray([seen]))).ravel())
    if len(blind):
        raise InputError(
            f"process {blind[0]} does not see the files that process 0 writes to {folder}: use a folder that all "
            "processes share"
        )
    multihost_utils.sync_global_devices("token seen")
    if jax.process_index() == 0:
        path.unlink()
