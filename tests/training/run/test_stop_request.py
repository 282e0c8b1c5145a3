"""A run that is asked to stop saves; its continuation ends where an undisturbed run does, best checkpoint included."""

import os
import signal
import subprocess
import sys

import harness
import numpy as np
import pytest

from jointseg_jax.errors import Interrupted
from jointseg_jax.training import loop, train, validation
from jointseg_jax.training.run.stop_request import StopAsked, Stopping


@pytest.fixture
def speck(config):
    harness.speck(config)
    config.steps, config.validate_every, config.checkpoint_every = 8, 4, 4
    return config


@pytest.fixture(scope="module")
def undisturbed(toy_config, tmp_path_factory):
    config = toy_config.copy_and_resolve_references()
    config.unlock()
    harness.speck(config)
    config.steps, config.validate_every, config.checkpoint_every = 8, 4, 4
    workdir = tmp_path_factory.mktemp("undisturbed")
    train.train(config, workdir)
    return harness.final_state(config, workdir)


def same(ours, theirs):
    for a, b in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert ours[1:] == theirs[1:]


def kill_at(monkeypatch, where, name, call, *numbers):
    """Sends signals to this process when `where.name` is called for the `call`-th time."""
    original, calls = getattr(where, name), []

    def wrapped(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            for number in numbers:
                os.kill(os.getpid(), number)
        return original(*arguments, **options)

    monkeypatch.setattr(where, name, wrapped)


@pytest.mark.parametrize(
    "numbers", [(signal.SIGTERM, signal.SIGTERM), pytest.param((signal.SIGINT,), marks=pytest.mark.slow)], ids=str
)
def test_the_step_is_finished_and_saved(speck, undisturbed, tmp_path, monkeypatch, numbers, capfd):
    with monkeypatch.context() as patch:
        kill_at(patch, loop.Loader, "__next__", 3, *numbers)
        with pytest.raises(Interrupted, match=r"stopped after step 3 of 8, saved in .*run the same command") as caught:
            train.train(speck, tmp_path)
    assert caught.value.status == 75
    assert capfd.readouterr().err.count("asked to stop") == 1
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["3"]
    train.train(speck, tmp_path)
    same(harness.final_state(speck, tmp_path), undisturbed)


@pytest.mark.parametrize(
    "which", [pytest.param(1, id="in the middle"), pytest.param(2, id="at the end", marks=pytest.mark.slow)]
)
def test_a_validation_that_was_cut_short_is_made_up_for(speck, undisturbed, tmp_path, monkeypatch, which):
    with monkeypatch.context() as patch:
        kill_at(patch, validation, "evaluation_batches", which, signal.SIGTERM)
        with pytest.raises(Interrupted, match=f"after step {4 * which} of 8"):
            train.train(speck, tmp_path)
    assert len(harness.lines(tmp_path, "validation")) == which - 1
    train.train(speck, tmp_path)
    assert [line["step"] for line in harness.lines(tmp_path, "validation")] == [4, 8]
    same(harness.final_state(speck, tmp_path), undisturbed)


def test_a_stop_before_the_first_step_is_no_loss(speck, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, train, "introduce", 1, signal.SIGTERM)
        with pytest.raises(Interrupted, match="after step 0 of 8"):
            train.train(speck, tmp_path)
    train.train(speck, tmp_path)
    same(harness.final_state(speck, tmp_path), undisturbed)


def test_a_second_ctrl_c_ends_at_once():
    script = (
        "import os, signal\nfrom jointseg_jax.training.run.stop_request import Stopping\n"
        "with Stopping():\n    os.kill(os.getpid(), signal.SIGTERM)\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('alive', flush=True)\n    os.kill(os.getpid(), signal.SIGINT)\n    print('still', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=harness.ROOT, capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stdout == "alive\n"


def test_several_processes_answer_at_the_same_call(monkeypatch):
    """The preemption service is asked with the number of the call, which is the same on all processes."""
    from jointseg_jax.training.run import stop_request

    asked = []

    def sync_point(call):
        asked.append(call)
        return call == 3

    monkeypatch.setattr(stop_request.jax, "process_count", lambda: 2)
    monkeypatch.setattr(stop_request.consensus, "preempted", sync_point)
    handler = signal.getsignal(signal.SIGTERM)  # in a run of several processes, the service's own
    with Stopping() as stop:
        assert signal.getsignal(signal.SIGTERM) is handler
        stop.check()
        stop.check()
        for _ in range(2):
            with pytest.raises(StopAsked):
                stop.check()
    assert asked == [1, 2, 3]
