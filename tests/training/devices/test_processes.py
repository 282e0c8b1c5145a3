"""Who belongs to a run of several processes: decided over a table of environments, and never half."""

import socket
import threading

import jax
import pytest

from jointseg_jax.errors import InputError, Interrupted
from jointseg_jax.training.devices import multiprocess
from jointseg_jax.training.devices.processes import Flags, Processes, decide

pytestmark = pytest.mark.quick

JOB = {
    "SLURM_JOB_ID": "4097", "SLURM_NTASKS": "4", "SLURM_JOB_NUM_NODES": "4", "SLURM_STEP_NUM_NODES": "4",
    "SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_STEP_NODELIST": "gpu[07-10]",
}  # fmt: skip
# Two tasks on each of two nodes.
PAIRS = JOB | {
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
}
POD = {"JAX_COORDINATOR_ADDRESS": "train-0.train:8476", "JAX_NUM_PROCESSES": "2"}
GKE = {"TPU_WORKER_HOSTNAMES": "t-0.t,t-1.t", "TPU_WORKER_ID": "1", "JOB_COMPLETION_INDEX": "1"}


def without(environment, *names):
    return {k: v for k, v in environment.items() if k not in names}


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        (Flags(), {}, None),
        (Flags("h:1", 2, 1), {}, Processes("flags", "h:1", 2, 1)),
        (Flags("[::1]:9", 2, 0), JOB, Processes("flags", "[::1]:9", 2, 0)),
        (Flags(processes=1), JOB, None),
        (Flags(cluster="none"), JOB | POD | GKE, None),
        (Flags(), JOB, Processes("slurm", "gpu07:61441", 4, 2)),
        (Flags(cluster="slurm"), JOB, Processes("slurm", "gpu07:61441", 4, 2)),
        (Flags(), JOB | {"SLURM_STEP_NODELIST": "a,b[1-3]"}, Processes("slurm", "a:61441", 4, 2)),
        (Flags(), JOB | {"SLURM_STEP_NODELIST": "n[3,5-7]-ib"}, Processes("slurm", "n3-ib:61441", 4, 2)),
        (Flags(), JOB | {"JAX_COORDINATOR_PORT": "7777"}, Processes("slurm", "gpu07:7777", 4, 2)),
        (Flags(), JOB | {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, Processes("slurm", "gpu07:61441", 4, 2)),
        (
            Flags(),
            JOB | {"SLURM_STEP_NUM_NODES": "1", "SLURM_LOCALID": "2", "CUDA_VISIBLE_DEVICES": "0,1,2,3"},
            Processes("slurm", "gpu07:61441", 4, 2, device=2),
        ),
        (
            Flags(),
            JOB | {"SLURM_STEP_NUM_NODES": "1", "SLURM_LOCALID": "2", "CUDA_VISIBLE_DEVICES": "2"},
            Processes("slurm", "gpu07:61441", 4, 2),
        ),
        (
            Flags(),
            PAIRS | {"SLURM_GPUS_PER_TASK": "4", "CUDA_VISIBLE_DEVICES": "4,5,6,7"},
            Processes("slurm", "gpu07:61441", 4, 3),
        ),
        (
            Flags(),
            PAIRS | {"SLURM_GPUS_PER_TASK": "a100:2", "CUDA_VISIBLE_DEVICES": "0,1"},
            Processes("slurm", "gpu07:61441", 4, 3),
        ),
        (
            Flags(),
            PAIRS | {"SLURM_GPUS_PER_TASK": "1", "CUDA_VISIBLE_DEVICES": "0,1"},  # not bound to its own
            Processes("slurm", "gpu07:61441", 4, 3, device=1),
        ),
        (Flags(), PAIRS | {"CUDA_VISIBLE_DEVICES": ""}, Processes("slurm", "gpu07:61441", 4, 3)),
        (Flags(), PAIRS, Processes("slurm", "gpu07:61441", 4, 3, device=1)),
        (Flags(), {"SLURM_JOB_ID": "5", "SLURM_JOB_NUM_NODES": "1"}, None),
        (Flags(), {"SLURM_JOB_ID": "5", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        (Flags(), JOB | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1", "SLURM_PROCID": "0"}, None),
        (Flags(), POD | {"JAX_PROCESS_ID": "1"}, Processes("environment", "train-0.train:8476", 2, 1)),
        (Flags(), POD | {"JOB_COMPLETION_INDEX": "1"}, Processes("environment", "train-0.train:8476", 2, 1)),
        (Flags(), {"JAX_NUM_PROCESSES": "1", "JOB_COMPLETION_INDEX": "0"}, None),
        (Flags(), GKE, Processes("tpu")),
        (Flags(), {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}, None),
        (Flags(cluster="tpu"), {}, Processes("tpu")),
        (Flags(), {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}, None),
    ],
    ids=str,
)
def test_whole_environments(flags, environment, expected):
    assert decide(flags, environment) == expected


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        (Flags("h:1"), {}, "--coordinator given on the command line, but --processes is not"),
        (Flags("h:1", 2), {}, "but --process is not"),
        (Flags(processes=2, process=0), {}, "but --coordinator is not"),
        (Flags(process=1), {}, "but --coordinator is not"),
        (Flags("h:1", 2, 2), {}, "--process=2 .* at least 0 and below --processes=2"),
        (Flags("h:1", 2, -1), {}, "--process=-1"),
        (Flags("host", 2, 0), {}, "'host' .* must have the form HOST:PORT"),
        (Flags("h:1", 2, 0, "slurm"), {}, "cannot be combined"),
        (Flags(cluster="yarn"), {}, "--cluster=yarn is unknown"),
        (Flags(cluster="slurm"), {}, "SLURM_JOB_ID is not set"),
        (Flags(cluster="environment"), {}, "nothing given .* JAX_COORDINATOR_ADDRESS is not"),
        (Flags(), without(JOB, "SLURM_PROCID"), "4 tasks or nodes, but SLURM_PROCID is not set: .*srun"),
        (Flags(), without(JOB, "SLURM_STEP_NODELIST"), "SLURM_STEP_NODELIST is not set"),  # in a batch script, no srun
        (Flags(), without(JOB, "SLURM_LOCALID"), "SLURM_LOCALID is not set"),
        (Flags(), without(JOB, "SLURM_NTASKS"), "4 tasks or nodes, but it has 1 task"),
        (Flags(), {"SLURM_JOB_ID": "5", "SLURM_JOB_NUM_NODES": "4"}, "4 tasks or nodes"),
        (Flags(), JOB | {"SLURM_NTASKS": "four"}, "SLURM_NTASKS='four' must be a whole number"),
        (Flags(), JOB | {"SLURM_PROCID": "4"}, "SLURM_PROCID=4 .* at least 0 and below SLURM_NTASKS=4"),
        (
            Flags(),
            PAIRS | {"CUDA_VISIBLE_DEVICES": "0,1,2,3"},
            r"4 Slurm tasks run on 2 node\(s\).* sees 4 GPUs.*per GPU",
        ),
        (Flags(), POD, "JAX_NUM_PROCESSES given in the environment, but JAX_PROCESS_ID is not"),
        (Flags(), {"JOB_COMPLETION_INDEX": "3"}, "JOB_COMPLETION_INDEX given .* JAX_COORDINATOR_ADDRESS is not"),
        (Flags(), {"JAX_COORDINATOR_ADDRESS": "h:1"}, "JAX_NUM_PROCESSES is not"),
        (Flags(), without(POD, "JAX_NUM_PROCESSES") | {"JOB_COMPLETION_INDEX": "0"}, "JAX_NUM_PROCESSES is not"),
        (Flags(), without(GKE, "TPU_WORKER_ID"), "TPU_WORKER_ID is not set"),
        (Flags(), {"MEGASCALE_NUM_SLICES": "2", "TPU_WORKER_ID": "0"}, "MEGASCALE_SLICE_ID is not set"),
        (Flags(), {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, r"--process=\$OMPI_COMM_WORLD_RANK"),
        (Flags(), {"WORLD_SIZE": "8"}, "several processes were launched"),
    ],
    ids=str,
)
def test_half_of_an_environment_is_refused(flags, environment, message):
    with pytest.raises(InputError, match=message):
        decide(flags, environment)


def test_a_coordinator_that_is_late_is_worth_another_try():
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("localhost", 0))
        address = f"localhost:{nobody.getsockname()[1]}"
        with pytest.raises(Interrupted, match=f"found no coordinator at {address} within 0 s .*--connect_timeout"):
            multiprocess.connected(Processes("flags", address, 2, 1), connect=0).__enter__()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (RuntimeError("Failed to recognize coordinator address t-0.t"), Interrupted),
        (RuntimeError("DEADLINE_EXCEEDED: Barrier timed out"), Interrupted),
        (ValueError("coordinator_address should be defined."), InputError),
    ],
)
def test_a_pod_that_is_late_is_a_pod(said, expected, monkeypatch):
    def initialize(**_):
        raise said

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(expected, match=str(said)):
        multiprocess.connected(Processes("tpu"), connect=1).__enter__()


@pytest.mark.parametrize(
    ("coordinator", "bound"),
    [
        ("localhost:8476", "localhost:8476"),
        ("127.0.0.1:8476", "127.0.0.1:8476"),
        ("[::1]:8476", "[::1]:8476"),
        ("machine-a:8476", None),
        ("10.0.0.7:8476", None),
    ],
)
def test_a_run_on_one_machine_listens_on_loopback(coordinator, bound, monkeypatch):
    asked = {}
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_, **options: asked.update(options))
    multiprocess._connect(Processes("flags", coordinator, 2, 0), 1, 1)
    assert asked["coordinator_bind_address"] == bound


@pytest.mark.parametrize(
    ("said", "at_first", "later"),
    [
        ("INTERNAL: NCCL operation ncclCommInitRankConfig() failed: unhandled system error", 1, 75),
        ("INTERNAL: NCCL operation failed: socketStartConnect: Connection refused", 1, 75),
        ("INTERNAL: NCCL operation failed: Connection closed by remote peer", 75, 75),
        ("DEADLINE_EXCEEDED: Barrier timed out. Id: jointseg-0", 1, 75),
        ("ABORTED: barrier failed: task 1 is unhealthy, heartbeat timeout", 75, 75),
        ("INTERNAL: Gloo all-reduce failed: Connection closed by peer", 75, 75),
        ("UNAVAILABLE: failed to connect to all addresses", 75, 75),
        ("INTERNAL: no such kernel", 1, 1),
    ],
)
def test_what_never_worked_is_no_loss_of_another_process(said, at_first, later, monkeypatch):
    def leave(message, status):
        raise SystemExit(status)

    def status():
        with pytest.raises(SystemExit) as ended, multiprocess.connected(Processes("flags", "h:1", 2, 1)):
            raise jax.errors.JaxRuntimeError(said)
        return ended.value.code

    monkeypatch.setattr(multiprocess, "_connect", lambda *_: None)
    monkeypatch.setattr(multiprocess, "_leave", leave)
    monkeypatch.setattr(multiprocess, "_stepped", threading.Event())
    assert status() == at_first
    multiprocess.stepped()
    assert status() == later
