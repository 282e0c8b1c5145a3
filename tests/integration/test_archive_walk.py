"""From an archive of products, vectors and orthophotos to a map, by the commands of `make archive-demo`."""

import csv
import json
import os
import pathlib
import subprocess
import sys

import pandas as pd
import pytest
import rasterio

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
SMALL = [
    "--config.model.blocks=(1,1)", "--config.model.features=(8,8)", "--config.model.growth=(4,4)",
    "--config.model.tail_features=(4,4)", "--config.model.widths=(4,6,8)", "--config.steps=2",
    "--config.validate_every=2", "--config.checkpoint_every=2", "--config.validate_patches=4",
]  # fmt: skip


def run(*arguments):
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_archive_becomes_a_dataset_a_network_and_a_map(tmp_path):
    raw, sample, dataset, workdir = (tmp_path / name for name in ("raw", "sample", "dataset", "run"))
    run("-m", "jointseg_jax.landscape.archive", f"--output={raw}")
    run(
        "-m", "jointseg_jax.data.sample", f"--area={raw}/area.gpkg", "--region=name", "--sites=4", "--side=360",
        "--distance=510", f"--output={sample}",
    )  # fmt: skip
    config = [f"--config=configs/archive_demo.py:folder={tmp_path}", *SMALL]
    run("prepare.py", *config, "--workers=1")
    check_dataset(dataset)
    run("train.py", *config, f"--workdir={workdir}")
    (product,) = (raw / "s2").glob("*T51RTP*.SAFE")
    run("predict.py", f"--workdir={workdir}", f"--input={product}", f"--output={tmp_path}/map")
    with rasterio.open(tmp_path / "map" / "impervious.tif") as raster:
        assert raster.crs.to_epsg() == 32651
        classes = raster.read(1)
    assert (classes != 255).mean() > 0.5
    run("evaluate.py", f"--workdir={workdir}")
    assert json.loads((workdir / "evaluation" / "test" / "metrics.json").read_text())["pixels"] > 50_000


def check_dataset(dataset):
    """Both products serve, the misplaced orthophoto is moved, and the boundary is not burnt."""
    rows = list(csv.DictReader((dataset / "sources.csv").read_text().splitlines()))
    chosen = {row["site"]: row["file"] for row in rows if row["layer"] == "s2" and row["chosen"]}
    assert len(chosen) == 4
    assert {file.split("_")[5] for file in chosen.values()} == {"T50RQU", "T51RTP"}
    images = {row["site"]: row["file"] for row in rows if row["layer"] == "image" and row["chosen"]}
    record = json.loads((dataset / "dataset.json").read_text())
    sites = {site["name"]: site for site in record["sites"]}
    assert set(pd.read_parquet(dataset / "index.parquet")["split"]) == {"train", "validation", "test"}
    assert json.loads((dataset / "report.json").read_text())
    assert (dataset / "report.html").stat().st_size > 10_000
    for name, file in images.items():
        notes = " ".join(sites[name]["notes"])
        assert ("moved 0 m down and -" in notes) == ("west" in file), notes
        with rasterio.open(dataset / "sites" / name / "label.tif") as raster:
            label = raster.read(1)
        assert 0.1 < (label == 1).sum() / (label != 255).sum() < 0.9
