"""The four doors in a row, as a user runs them, on a small landscape; and what they say to a user who errs."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import ml_collections
import numpy as np
import pytest
import rasterio
import xarray as xr

import jointseg_jax as js
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.set_up import set_up

ROOT = pathlib.Path(__file__).parents[2]
SMALL = [
    "--config.model.blocks=(1,)", "--config.model.features=(8,)", "--config.model.growth=(4,)",
    "--config.model.tail_features=(4,)", "--config.model.lattices=('1','10')", "--config.model.widths=(4,8)",
    "--config.model.dilations=(1,2)", "--config.data.batch=4", "--config.dataset.patch=12",
    "--config.dataset.stride=12", "--config.log_every=1",
]  # fmt: skip


def door(name, *arguments, check=True, **environment):
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", **environment}
    done = subprocess.run([sys.executable, f"{name}.py", *arguments], cwd=ROOT, env=env, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a prepared landscape of nine sites of 240 m."""
    folder = tmp_path_factory.mktemp("doors")
    door("prepare", *where(folder))
    return folder


def where(folder, arg=""):
    return [
        f"--config=configs/demo.py:stages=10,sites=3,side=240{arg}", f"--config.dataset.path={folder}/dataset",
        f"--config.dataset.source.root={folder}/raw", *SMALL,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(place):
    """Three steps of training."""
    done = door("train", *where(place), f"--workdir={place}/run", "--config.steps=3")
    return place / "run", done.stdout


def final_state(workdir):
    """Step and whole state of a run's last checkpoint."""
    config = ml_collections.ConfigDict(json.loads((workdir / "config.json").read_text()))
    config.mesh.data = 1
    checkpoints = Checkpoints(workdir)
    state = checkpoints.restore(set_up(config).abstract(), checkpoints.steps[-1])
    checkpoints.close()
    return int(state.step), jax.tree.leaves(jax.device_get(state))


def test_training_introduces_itself(run):
    workdir, out = run
    for word in ("devices", "dataset", "network", "parameters", "GFLOP", "training", "3 of 3 steps done"):
        assert word in out
    assert (workdir / "config.json").exists()


def test_evaluation_and_map(run, place):
    workdir, _ = run
    out = door("evaluate", f"--workdir={workdir}").stdout
    metrics = json.loads((workdir / "evaluation" / "test" / "metrics.json").read_text())
    assert set(metrics["regions"]) == {"upstream", "midstream", "downstream"}
    assert metrics["pixels"] > 100_000
    assert "10 m oracle" in out
    out = door(
        "predict", f"--workdir={workdir}", f"--input={place}/dataset/sites/downstream-3", f"--output={place}/map"
    ).stdout
    assert "impervious" in out
    with rasterio.open(place / "map" / "impervious.tif") as raster:
        assert raster.shape == (240, 240)
    dataset = js.open_dataset(place / "dataset", split="test")
    found = js.load(workdir).predict(dataset.sites.loc["downstream-3", "folder"], progress=False)
    xr.testing.assert_identical(found, js.read_map(place / "map").compute())
    xr.testing.assert_equal(found["x"], dataset.raster("downstream-3", "label")["x"])
    compared = subprocess.run(
        [sys.executable, "-m", "jointseg_jax.evaluation.compare", str(workdir), "--markdown"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "| joint |" in compared.stdout


@pytest.mark.slow
def test_kill_dash_nine_and_resume_give_the_same_bits(place, tmp_path):
    """A run killed while it works, and again while it works, ends where an undisturbed one does."""
    steps = ["--config.steps=8", "--config.validate_every=4", "--config.checkpoint_every=2"]
    door("train", *where(place), f"--workdir={tmp_path}/straight", *steps)
    command = [sys.executable, "train.py", *where(place), f"--workdir={tmp_path}/killed", *steps]
    for wanted in (2, 4):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 200
        while not (tmp_path / "killed" / "checkpoints" / str(wanted)).exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    door("train", *where(place), f"--workdir={tmp_path}/killed", *steps)
    (step, ours), (other_step, theirs) = final_state(tmp_path / "killed"), final_state(tmp_path / "straight")
    assert step == other_step == 8
    assert len(ours) == len(theirs) > 100
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train", ["--config=configs/demo.py:colour=red", "--workdir=/tmp/none"], "colour=red"),
        (
            "train",
            ["--config=configs/yreb.py", "--workdir=/tmp/none", "--config.dataset.path=/nonexistent"],
            "jointseg prepare",
        ),
        ("train", ["--config=configs/demo.py"], "--workdir"),
        (
            "train",
            ["--config=configs/demo.py", "--config.optimizer.learning_rat=1", "--workdir=/tmp/none"],
            "learning_rat",
        ),
        ("train", ["--config=configs/demo.py", "--config.steps=many", "--workdir=/tmp/none"], "many"),
        ("train", ["--config=configs/nothing.py", "--workdir=/tmp/none"], "configs/nothing.py"),
        ("prepare", ["--config=configs/yreb.py"], "sites.csv"),
        ("evaluate", ["--workdir=/nonexistent"], "jointseg train"),
        ("evaluate", ["--workdir=/nonexistent", "--split=exam"], "--split=exam"),
        ("predict", ["--workdir=/nonexistent", "--input=a", "--output=b"], "jointseg train"),
        ("predict", ["--workdir=/nonexistent", "--input=a", "--output=b", "--bands=x"], "--bands=x"),
        ("predict", ["--workdir=/nonexistent", "--input=a", "--output=b", "stray"], "stray"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_errors_are_one_line_and_status_two(name, arguments, message):
    done = door(name, *arguments, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert "Traceback" not in done.stderr
