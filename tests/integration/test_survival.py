"""Real processes that are killed, stopped and starved of disk: nothing complete is lost, and the same bits come out."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time

import harness
import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def speck(config):
    harness.speck(config)
    config.steps, config.log_every, config.validate_every, config.checkpoint_every = 40, 5, 20, 2
    return config


def committed(workdir):
    return sorted(int(p.name) for p in (workdir / "checkpoints").glob("*") if p.name.isdigit())


def unfinished(workdir):
    return list((workdir / "checkpoints").glob("*.orbax-checkpoint-tmp"))


def await_(condition, process, seconds=200):
    """Waits for something to happen while a process lives; whether it did."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if condition():
            return True
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    return condition()


def same(config, ours, theirs):
    """Two runs ended on the same bits, with the same calibration and the same best checkpoint."""
    mine, other = harness.final_state(config, ours), harness.final_state(config, theirs)
    assert len(mine[0]) == len(other[0]) > 20
    for a, b in zip(mine[0], other[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert mine[1:] == other[1:]


def test_sigterm_saves_and_ends_with_75_and_the_last_run_with_0(speck, tmp_path):
    flag, workdir = harness.config_file(speck, tmp_path), tmp_path / "run"
    process = harness.launch(flag, f"--workdir={workdir}", "--config.steps=100000")
    assert await_(lambda: committed(workdir), process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert process.returncode == 75, out + err
    (step,) = map(int, re.findall(r"^stopped after step (\d+) of 100000, saved in .*run the same command", err, re.M))
    assert committed(workdir)[-1] == step
    assert "Traceback" not in out + err


def test_killed_in_the_middle_of_a_checkpoint_write(speck, tmp_path):
    """SIGKILL while the temporary folder of a checkpoint is there: what was committed stays, and the run goes on."""
    flag = harness.config_file(speck, tmp_path)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    status, out, err = harness.run(flag, f"--workdir={straight}")
    assert status == 0, out + err
    torn = 0
    for wanted in (0, 6, 12, 18, 24):
        process = harness.launch(flag, f"--workdir={killed}")
        reached = lambda: wanted == 0 or (committed(killed) or [0])[-1] >= wanted  # noqa: B023, E731
        assert await_(lambda: reached() and unfinished(killed), process)  # noqa: B023
        before = set(committed(killed))
        process.kill()
        process.communicate()
        torn += bool(unfinished(killed))
        assert committed(killed)[-1:] >= sorted(before)[-1:]
    assert torn  # at least one kill left a half-written checkpoint
    status, out, err = harness.run(flag, f"--workdir={killed}")
    assert status == 0, out + err
    assert not unfinished(killed)
    same(speck, killed, straight)


def test_a_full_disk_is_said_and_the_run_goes_on_or_ends_cleanly(speck, tmp_path):
    """Work directory and output on one full file system, as on a cluster."""
    flag = harness.config_file(speck, tmp_path)
    with harness.small_disk(tmp_path / "disk", 8) as disk, (tmp_path / "err").open("w+") as err:
        workdir, output = disk / "run", disk / "output.txt"
        with output.open("w") as out:
            process = harness.launch(flag, f"--workdir={workdir}", "--config.steps=100000", stdout=out, stderr=err)
            assert await_(lambda: len(committed(workdir)) > 1, process)
            filler = harness.fill(disk)
            time.sleep(12)  # at least one checkpoint is tried
            assert process.poll() is None, (tmp_path / "err").read_text()
            before = committed(workdir)
            assert before
            filler.unlink()
            assert await_(lambda: committed(workdir)[-1] > before[-1] + 4, process)  # it saves again
            harness.fill(disk)
            before = committed(workdir)
            process.send_signal(signal.SIGTERM)
            while process.poll() is None:
                harness.fill(disk)  # what a checkpoint leaves that is cleared away
                time.sleep(0.1)
        said = (tmp_path / "err").read_text()
        assert process.returncode == 74, said
        assert re.search(r"^error: checkpoint \d+ could not be written .*no space left on the device", said, re.M)
        assert before[-1] in committed(workdir)
        assert "the run continues and tries again at the next checkpoint" in output.read_text()
        for noise in ("Traceback", "tensorstore", "never retrieved"):
            assert noise not in said + output.read_text()
        for filler in disk.glob("filler*"):
            filler.unlink()
        steps = [line["step"] for line in harness.lines(workdir, "train")]
        assert steps == list(range(5, 5 * len(steps) + 1, 5))  # no record was lost


def test_the_profile_flag_writes_a_trace(speck, tmp_path):
    flag = harness.config_file(speck, tmp_path)
    arguments = (flag, f"--workdir={tmp_path}/run", "--config.steps=6")
    status, out, err = harness.run(*arguments, "--profile=2:4")
    assert status == 0, out + err
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))
    status, _, err = harness.run(*arguments, "--profile=4:2")
    assert status == 2
    assert "--profile=4:2 must be start:stop" in err


def test_divergence_ends_with_3(speck, tmp_path):
    from training.test_incidents import poison

    poison(speck, tmp_path / "dataset", slice(0, None))
    status, out, err = harness.run(harness.config_file(speck, tmp_path), f"--workdir={tmp_path}/run")
    assert status == 3, out + err
    assert re.search(r"^error: steps 0 to 19 were all skipped", err, re.M)
    assert "Traceback" not in out + err


PEER = """
import json, pathlib, sys
import jax
from ml_collections import ConfigDict
from jointseg_jax import cli
from jointseg_jax.training.train import train

address, number, file, workdir = sys.argv[1:]
sys.argv = sys.argv[:1]

def main():
    jax.distributed.initialize(address, 2, int(number))
    train(ConfigDict(json.loads(pathlib.Path(file).read_text())), workdir)

cli.end(cli.status_of(main))
"""


def test_one_sigterm_stops_both_processes_after_the_same_step(speck, tmp_path):
    speck.mesh.data, speck.steps = -1, 100_000
    harness.config_file(speck, tmp_path)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": str(harness.ROOT)}
    peers = [
        subprocess.Popen(
            [sys.executable, "-c", PEER, address, str(number), str(tmp_path / "config.json"), str(tmp_path / "run")],
            cwd=harness.ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    try:
        assert await_(lambda: len(committed(tmp_path / "run")) > 1, peers[0])
        for _ in range(2):
            peers[1].send_signal(signal.SIGTERM)
            time.sleep(0.1)
        ends = [peer.communicate(timeout=200) for peer in peers]
    finally:
        for peer in peers:
            with peer:  # closes its pipes
                peer.kill()
    assert [peer.returncode for peer in peers] == [75, 75], ends
    steps = {re.findall(r"stopped after step (\d+) of", err)[0] for _, err in ends}
    assert steps == {str(committed(tmp_path / "run")[-1])}


@pytest.mark.timeout(1500)
def test_soak(speck, tmp_path):
    """A thousand steps with SIGKILL and SIGTERM at random moments end where an undisturbed run does."""
    speck.steps, speck.log_every, speck.checkpoint_every, speck.validate_every = 1000, 20, 20, 250
    flag = harness.config_file(speck, tmp_path)
    straight, disturbed = tmp_path / "straight", tmp_path / "disturbed"
    status, out, err = harness.run(flag, f"--workdir={straight}")
    assert status == 0, out + err
    random_ = random.Random(4)
    ends, torn, began = [], 0, time.monotonic()
    while not ends or ends[-1] != 0:
        assert time.monotonic() - began < 1200, ends
        process = harness.launch(flag, f"--workdir={disturbed}")
        at = (committed(disturbed) or [0])[-1]
        number = (signal.SIGKILL, signal.SIGTERM)[len(ends) % 2]
        after = random_.randint(80, 200)  # each session costs a start
        await_(lambda: (committed(disturbed) or [0])[-1] >= at + after, process, seconds=400)  # noqa: B023
        time.sleep(random_.uniform(0, 0.3))
        process.send_signal(number)
        out, err = process.communicate()
        assert process.returncode in (0, 75, -signal.SIGKILL), out + err
        ends.append(process.returncode)
        torn += bool(unfinished(disturbed))
    print(f"{len(ends)} sessions ended with {ends}; {torn} half-written checkpoints")
    assert ends.count(75) > 1
    assert ends.count(-signal.SIGKILL) > 1
    same(speck, disturbed, straight)
