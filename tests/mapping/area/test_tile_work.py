"""The work that every executor sends to its processes."""

import dataclasses
import json
import pickle
import shutil

import mapped_areas
import numpy as np
import pytest
import rasterio

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area.tile_work import TileWork
from jointseg_jax.storage import formats
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


def test_support_is_a_layer_of_a_product_on_request(network, scenes, area, tmp_path):
    """Its file stands in the row of every tile."""
    settings = dataclasses.replace(mapped_areas.SETTINGS, support=True)
    plan = mapped_areas.make_product(network, scenes, area, tmp_path / "product", settings=settings)
    row = Ledger(tmp_path / "product" / "ledger", tmp_path / "product").row(plan.units[0])
    with rasterio.open(tmp_path / "product" / row["files"]["support"]["path"]) as raster:
        values = raster.read(1)
    assert (values <= 200).any()
    assert set(np.unique(values)) <= {*range(201), 255}
