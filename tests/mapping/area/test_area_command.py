"""predict.py as a user runs it over an area: every executor the same bits; and what it says to a user who errs."""

import os
import pathlib
import re
import subprocess
import sys

import areas_of_interest
import drawn_networks
import harness
import pytest
import shapely
import stored_halo
import toy

from jointseg_jax.mapping.predictor.weights import flat_weights
from jointseg_jax.storage.files import read_json, sha256
from jointseg_jax.training.checkpoints import portable
from jointseg_jax.training.trained import load_trained

ROOT = pathlib.Path(__file__).parents[3]


def predict(*arguments, check=True):
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    done = subprocess.run([sys.executable, "predict.py", *arguments], cwd=ROOT, env=env, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def workdir(toy_config, data, tmp_path_factory):
    """A tiny network with random weights, in the files of an export, which load without Orbax; and its halo."""
    folder = tmp_path_factory.mktemp("network")
    network = drawn_networks.draw(harness.speck(toy_config.copy_and_resolve_references().unlock()), folder)
    portable.write(folder, flat_weights(network.params), network.meta, 0, "ema", None)
    stored_halo.store(load_trained(folder), data.scene("d"))
    return folder


@pytest.fixture(scope="module")
def asked(workdir, data, tmp_path_factory):
    """Flags of an area over two sites of a prepared dataset, four tiles."""
    circle = shapely.Point(toy.LEFT + 600, toy.TOP - 170).buffer(330, quad_segs=4)
    path = areas_of_interest.write_area(tmp_path_factory.mktemp("door") / "aoi.geojson", circle)
    return [f"--workdir={workdir}", f"--input={data.root}", f"--aoi={path}", "--grid=400", "--tile=12"]


def bits(folder):
    return {str(p.relative_to(folder)): sha256(p) for p in sorted((folder / "tiles").rglob("*.tif"))}


@pytest.fixture(scope="module")
def serial(asked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serial") / "product"
    return folder, predict(*asked, f"--output={folder}")


def test_a_product_from_the_command_line(serial):
    folder, done = serial
    for word in ("scenes  4", "area", "50N", "warning", "outside all scenes", "expect", "plan", "map", "records"):
        assert word in done.stdout, done.stdout
    features = read_json(folder / "plan.geojson")["features"]
    mapped = [f for f in features if f["properties"].get("scenes")]  # two tiles of the area have no scene
    assert 0 < len(mapped) < len(features)
    assert len(bits(folder)) == 3 * len(mapped)
    assert read_json(folder / "collection.json")["type"] == "Collection"


@pytest.mark.slow
def test_dask_and_shards_make_the_same_bits(asked, serial, tmp_path):
    predict(*asked, f"--output={tmp_path / 'dask'}", "--executor=dask", "--workers=2")
    assert bits(tmp_path / "dask") == bits(serial[0])
    for shard in ("0/2", "1/2"):
        predict(*asked, f"--output={tmp_path / 'shards'}", "--executor=shard", f"--shard={shard}")
    assert bits(tmp_path / "shards") == bits(serial[0])
    assert (tmp_path / "shards" / "collection.json").exists()


def test_the_plan_alone(asked, tmp_path):
    done = predict(*asked, f"--output={tmp_path / 'plan'}", "--plan-only")
    assert "tiles" in done.stdout
    stated = re.search(r"^memory  a worker needs at most ([0-9.]+) GB of memory for its tiles", done.stdout, re.M)
    assert stated, done.stdout
    assert 0 < float(stated[1]) < 2
    assert (tmp_path / "plan" / "plan.geojson").exists()
    assert not (tmp_path / "plan" / "tiles").exists()


_EXECUTOR = """
import os, sys
from jointseg_jax.commands import predict
predict.FLAGS.values(sys.argv)
predict.chosen_executor()
print(os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "unsaid"))
"""


@pytest.mark.parametrize(("executor", "said"), [("dask", "false"), ("serial", "unsaid")])
def test_the_process_that_plans_leaves_memory_of_the_gpus_to_its_workers(executor, said):
    flags = ["--workdir=w", "--input=i", "--output=o", f"--executor={executor}"]
    env = {k: v for k, v in os.environ.items() if k != "XLA_PYTHON_CLIENT_PREALLOCATE"}
    done = subprocess.run(
        [sys.executable, "-c", _EXECUTOR, *flags], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--grid=410"], "multiple of 20"),
        (["--grid=0"], "multiple of 20"),
        (["--shard=0/2"], "--executor=shard"),
        (["--executor=shard"], "--shard=0/16"),
        (["--executor=shard", "--shard=2/2"], "2/2 does not exist"),
        (["--workers=2"], "--executor=dask"),
        (["--keep_grid"], "remove the flag"),
        (["--aoi=nowhere.geojson"], "does not exist"),
        (["--confidence"], "--augment"),
        (["--uncertainty"], "--uncertainty --split=validation"),
        (["--tile=0"], "at least 1"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_errors_are_one_line_and_nothing_is_written(asked, tmp_path, flags, message):
    done = predict(*asked, f"--output={tmp_path / 'none'}", *flags, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not (tmp_path / "none" / "plan.geojson").exists()


def test_flags_of_areas_are_refused_for_one_scene(workdir, data, tmp_path):
    done = predict(
        f"--workdir={workdir}",
        f"--input={data.root / 'sites' / 'a'}",
        f"--output={tmp_path}",
        "--plan_only",
        check=False,
    )
    assert done.returncode == 2
    assert "--aoi" in done.stderr
