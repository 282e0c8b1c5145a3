"""Two real processes over loopback: they train as one does, and none of them outlives the other."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import ml_collections
import numpy as np
import pytest

from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.set_up import set_up

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
BOUND = 60  # seconds within which a process ends whose peer is gone; heartbeats stop after 10
SMALL = [
    "--config=configs/demo.py:sites=3,side=240,control=bilinear", "--config.model.lattices=('1','10')",
    "--config.model.widths=(4,6)", "--config.model.dilations=(1,)",
    "--config.data.batch=8", "--config.mesh.data=-1", "--config.dataset.patch=12", "--config.dataset.stride=12",
    "--config.log_every=1",
    "--config.panels=1", "--config.validate_every=4", "--config.checkpoint_every=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a prepared landscape of nine sites of 240 m."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "prepare.py", *SMALL, *where(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def where(folder):
    return [f"--config.dataset.path={folder}/dataset", f"--config.dataset.source.root={folder}/raw"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


class Run:
    """Processes of one run, their output in files beside the work directory."""

    def __init__(self, place, workdir, *arguments, processes=2, devices=2, own=((), ()), only=None, heartbeat=60):
        self.workdir, self.outputs, self.processes = workdir, [], []
        address = f"localhost:{free_port()}"
        for number in range(processes) if only is None else only:
            together = [f"--coordinator={address}", f"--processes={processes}", f"--process={number}"]
            command = [sys.executable, "train.py", *SMALL, *where(place), f"--workdir={workdir}"]
            command += [f"--heartbeat_timeout={heartbeat}", "--connect_timeout=60"]
            command += together if processes > 1 else []
            output = workdir.with_name(f"{workdir.name}.{number}.txt")
            self.outputs.append(output)
            with output.open("w") as file:
                self.processes.append(
                    subprocess.Popen(
                        [*command, *arguments, *own[number]],
                        cwd=ROOT,
                        env={**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"},
                        stdout=file,
                        stderr=subprocess.STDOUT,
                    )
                )

    def wait(self, seconds=500):
        """Exit statuses."""
        deadline = time.monotonic() + seconds
        try:
            return [p.wait(max(0.1, deadline - time.monotonic())) for p in self.processes]
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.kill()

    def done(self):
        """Waits, and fails with what was said unless all went well. Returns train losses by step, and scores."""
        statuses = self.wait()
        assert not any(statuses), "\n".join(o.read_text()[-3000:] for o in self.outputs)
        lines = [json.loads(line) for line in (self.workdir / "log.jsonl").read_text().splitlines()]
        losses = {line["step"]: line["loss"] for line in lines if line["kind"] == "train"}
        return losses, {line["step"]: line["f1"] for line in lines if line["kind"] == "validation"}

    def until_checkpoint(self, step):
        deadline = time.monotonic() + 400
        while not (self.workdir / "checkpoints" / str(step)).exists():
            assert time.monotonic() < deadline
            assert all(p.poll() is None for p in self.processes), [o.read_text()[-2000:] for o in self.outputs]
            time.sleep(0.02)


def final_state(workdir):
    config = ml_collections.ConfigDict(json.loads((workdir / "config.json").read_text()))
    config.mesh.data, config.mesh.space, config.mesh.rules = 1, 1, ()
    checkpoints = Checkpoints(workdir)
    state = checkpoints.restore(set_up(config).abstract(), checkpoints.steps[-1])
    checkpoints.close()
    return jax.device_get(state)


@pytest.fixture(scope="module")
def straight(place):
    """Eight steps of two processes with two devices each, undisturbed."""
    run = Run(place, place / "straight", "--config.steps=8")
    return run.workdir, *run.done()


@pytest.fixture(scope="module")
def alone(place):
    """The same by one process with one device."""
    run = Run(place, place / "alone", "--config.steps=8", processes=1, devices=1)
    return run.workdir, *run.done()


def test_two_processes_train_as_one_does(place, straight, alone):
    workdir, losses, scores = straight
    _, alone_losses, alone_scores = alone
    said = (place / "straight.0.txt").read_text()
    assert "4 cpu device(s) in 2 process(es), mesh data 4 x space 1" in said
    assert "steps 0 to 8" not in (place / "straight.1.txt").read_text()  # only process 0 speaks
    assert b"validation" in next((workdir / "tensorboard").glob("events*")).read_bytes()  # with panels
    assert losses.keys() == alone_losses.keys() == set(range(1, 9))
    np.testing.assert_allclose([losses[k] for k in losses], [alone_losses[k] for k in losses], rtol=1e-4)
    np.testing.assert_allclose(list(scores.values()), list(alone_scores.values()), atol=2e-3)


def test_rows_and_spread_states_over_processes(place, straight):
    """Mesh 2 x 2, parameters spread over both processes: the same losses, and a checkpoint that one process reads."""
    rules = ["--config.mesh.space=2", "--config.mesh.rules=(('params|ema|opt','largest'),)"]
    losses, _ = Run(place, place / "spread", "--config.steps=8", *rules).done()
    np.testing.assert_allclose([losses[k] for k in losses], [straight[1][k] for k in losses], rtol=1e-4)
    assert int(final_state(place / "spread").step) == 8


@pytest.mark.parametrize("victim", [0, 1])
def test_kill_dash_nine_of_one_ends_the_other_and_both_go_on(place, straight, victim):
    run = Run(place, place / f"killed{victim}", "--config.steps=8", heartbeat=10)
    run.until_checkpoint(2)
    run.processes[victim].send_signal(signal.SIGKILL)
    run.processes[victim].wait()
    before = time.monotonic()
    status = run.processes[1 - victim].wait(BOUND)
    said = run.outputs[1 - victim].read_text()
    print(f"the other ended after {time.monotonic() - before:.1f} s with {status}")
    # JAX's coordination service and Gloo may each end the process by SIGABRT, with a message of their own.
    assert status in (75, -signal.SIGABRT), said
    assert "lost another process" in said or status != 75, said
    assert "start all processes again with the same command" in said or status != 75, said
    shutil.copytree(run.workdir, place / f"again{victim}")
    if victim == 0:  # once is enough: one process, three devices of which two train; rounding apart, the same
        shutil.copytree(run.workdir, place / "fewer")
        fewer = Run(place, place / "fewer", "--config.steps=8", "--config.mesh.data=2", processes=1, devices=3)
        np.testing.assert_allclose(fewer.done()[0][8], straight[1][8], rtol=1e-3)
    Run(place, place / f"again{victim}", "--config.steps=8").done()
    ours, theirs = final_state(place / f"again{victim}"), final_state(straight[0])
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_what_one_process_began_two_go_on_with(place, alone):
    shutil.copytree(alone[0], place / "more")
    shutil.rmtree(place / "more" / "checkpoints" / "8")
    losses, _ = Run(place, place / "more", "--config.steps=8", devices=1).done()
    assert "steps 6 to 8" in (place / "more.0.txt").read_text()
    np.testing.assert_allclose(losses[8], alone[1][8], rtol=1e-4)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (((), ("--config.seed=1",)), "process 1 has another config than process 0"),
        (((), ("--config.dataset.path=/nonexistent",)), "/nonexistent"),
    ],
)
def test_processes_that_disagree_are_refused(place, own, message):
    run = Run(place, place / "disagree", "--config.steps=8", own=own)
    assert run.wait(200) == [2, 2], [o.read_text()[-2000:] for o in run.outputs]
    for output in run.outputs:
        assert message in output.read_text()
        assert "Traceback" not in output.read_text()


def test_a_process_that_finds_nobody_says_so(place):
    run = Run(place, place / "nobody", "--config.steps=8", "--connect_timeout=3", only=[1])
    assert run.wait(120) == [75]
    assert "process 1 of 2 found no coordinator at localhost:" in run.outputs[0].read_text()
    assert "Traceback" not in run.outputs[0].read_text()


def test_half_of_the_flags_is_refused(place):
    command = [sys.executable, "train.py", *SMALL, *where(place), f"--workdir={place}/half", "--process=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --process given on the command line, but --coordinator is not")


LATE = """
import sys, time, jax, numpy as np
from jointseg_jax.training.devices import multiprocess, parallel
from jointseg_jax.training.devices.processes import Processes

number = int(sys.argv[2])
with multiprocess.connected(Processes("flags", sys.argv[1], 2, number), connect=60):
    mesh = parallel.make_mesh(2, 2)
    multiprocess.connect_groups(mesh)
    if number == 1:
        time.sleep(40)  # Gloo gives up a first meeting after 30
    batch = parallel.to_global({"label": np.ones((1, 8, 8), np.uint8)}, mesh)
    total = jax.jit(lambda b: (b["label"].sum(), b["label"].sum(0).max(), b["label"].sum(1).max()))
    assert [int(x) for x in jax.device_get(total(batch))] == [128, 2, 8]
"""


def test_a_process_may_be_late_after_the_start():
    address = f"localhost:{free_port()}"
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", LATE, address, str(number)],
            cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
