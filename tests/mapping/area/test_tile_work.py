"""The work that every executor sends to its processes."""

import dataclasses
import json
import pickle
import shutil

import mapped_areas
import numpy as np
import pytest
import rasterio

from jointseg_jax.commands import fractions
from jointseg_jax.errors import InputError
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area.tile_work import TileWork
from jointseg_jax.mapping.predictor import uncertainty
from jointseg_jax.mapping.predictor.applicability import Applicability
from jointseg_jax.mapping.tools.fractions import fractions as cells_of
from jointseg_jax.storage import formats, typed
from jointseg_jax.training.trained import load_trained


def test_work_loads_once_and_is_small_before_and_after(network, mapped_area, tmp_path, monkeypatch):
    plan, folder = mapped_area[1], tmp_path / "product"
    shutil.copytree(mapped_area[0], folder)  # the rows of the ledger are written again
    loads = []

    def counted(*arguments, **options):
        loads.append(arguments)
        return load_trained(*arguments, **options)

    monkeypatch.setattr("jointseg_jax.mapping.area.tile_work.load_trained", counted)
    work = TileWork(folder, network.workdir, network.step, network.weights)
    before = pickle.dumps(work)
    assert len(before) < 2000
    for unit in plan.units[:2]:
        work(unit)
    assert len(loads) == 1
    assert pickle.dumps(work) == before


def test_other_weights_under_the_same_step_are_refused(network, mapped_area, tmp_path):
    folder = tmp_path / "product"
    shutil.copytree(mapped_area[0], folder)
    record = json.loads((folder / "plan.geojson").read_text())
    record["jointseg"]["network"]["sha256"] = "0" * 64
    record["jointseg"] = formats.seal(record["jointseg"], formats.PLAN)
    (folder / "plan.geojson").write_text(json.dumps(record))
    with pytest.raises(InputError, match="differ from those"):
        TileWork(folder, network.workdir, network.step, network.weights)("x")


@pytest.mark.slow
def test_support_is_a_layer_of_a_product_on_request(network, scenes, area, tmp_path):
    """Its file stands in the row of every tile."""
    settings = dataclasses.replace(mapped_areas.SETTINGS, support=True)
    plan = mapped_areas.make_product(network, scenes, area, tmp_path / "product", settings=settings)
    row = Ledger(tmp_path / "product" / "ledger", tmp_path / "product").row(plan.units[0])
    with rasterio.open(tmp_path / "product" / row["files"]["support"]["path"]) as raster:
        values = raster.read(1)
    assert (values <= 200).any()
    assert set(np.unique(values)) <= {*range(201), 255}


@pytest.mark.slow
def test_uncertainty_is_of_one_calibration_in_all_tiles(network, scenes, area, tmp_path):
    """Its layers meet at tiles, cells of 100 m straddle them; another calibration does not go on with the product."""
    path, folder = network.workdir / uncertainty.FILE, tmp_path / "product"
    contract = network.meta.contract
    features = 2 * sum(len(m.bands) for m in contract.modalities)
    vectors = np.random.default_rng(0).standard_normal((50, features)).astype("<f4")
    worth = uncertainty.Worth((0.9, 0.9), 0.1, 0.0, {}, 0.2, 0.1, 0.2, 0.6, 100)
    sides = {side: (uncertainty.Interval(0, -20, 30),) for side in ("10m", "30m", "100m")}
    worth = dataclasses.replace(worth, intervals=dict.fromkeys(sides, uncertainty.Covered(10, 0.9, 0.2)))
    record = uncertainty.Uncertainty(
        **vars(uncertainty.key(network, "float32", False)), alpha=0.1, highest_0=120, lowest_1=80, intervals=sides,
        applicability=Applicability(vectors.tobytes(), (1.0,) * features, 5.0, 1.0), calibrated_on="made up",
        measured=uncertainty.Measured("made up", "test", worth, {}),
    )  # fmt: skip
    formats.write_record(path, typed.plain(record), formats.UNCERTAINTY)
    settings = dataclasses.replace(mapped_areas.SETTINGS, uncertainty=record.digest)
    plan = mapped_areas.make_product(network, scenes, area, folder, settings=settings)
    row = Ledger(folder / "ledger", folder).row(plan.units[0])
    assert {"set", "fraction", "dissimilarity"} < set(row["files"])
    (mosaic,) = (folder / "mosaics").glob("fraction_*.vrt")
    with rasterio.open(mosaic) as raster:
        fraction, left, top = raster.read(1), raster.transform.c, raster.transform.f
        assert raster.res == (10, 10)

    assert fractions.main([f"--input={mosaic}", "--side=100", f"--output={tmp_path / 'cells.tif'}"]) == 0
    with rasterio.open(tmp_path / "cells.tif") as raster:
        cells, transform = raster.read(), raster.transform
        assert raster.nodata == 255
    assert (transform.c % 100, transform.f % 100, transform.a) == (0, 0, 100)
    before = round((top - transform.f) / -10), round((left - transform.c) / 10)
    padded = np.pad(fraction, [(n, -(n + size) % 10) for n, size in zip(before, fraction.shape, strict=True)],
                    constant_values=255)  # fmt: skip
    parts = padded.reshape(len(padded) // 10, 10, -1, 10).swapaxes(1, 2).reshape(*cells.shape[1:], 100)
    known = (parts != 255).sum(-1) >= 50
    np.testing.assert_array_equal(cells[0] != 255, known)
    assert known.sum() >= 4
    means = np.array([np.round(part[part != 255].mean()) for part in parts[known]])
    np.testing.assert_array_equal(cells[0][known], means)
    np.testing.assert_array_equal(cells[1][known], np.clip(means - 20, 0, 200))
    np.testing.assert_array_equal(cells[2][known], np.clip(means + 30, 0, 200))
    with pytest.raises(InputError, match="no intervals of 30m in its tags"):
        cells_of(folder / row["files"]["probability"]["path"], 30, tmp_path / "none.tif")

    formats.write_record(path, typed.plain(dataclasses.replace(record, lowest_1=70)), formats.UNCERTAINTY)
    with pytest.raises(InputError, match="was calibrated again since this product was begun"):
        TileWork(folder, network.workdir, network.step, network.weights)(plan.units[0])
    path.unlink()
    with pytest.raises(InputError, match="were not calibrated"):
        mapped_areas.make_product(network, scenes, area, tmp_path / "other", settings=settings)
