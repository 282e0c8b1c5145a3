"""An area over real Sentinel-2 scenes of two dates that overlap; skips where the real rasters are absent."""

import contextlib
import dataclasses

import jax
import numpy as np
import pytest
import rasterio
import shapely
import toy

from jointseg_jax.geo.utm_zones import Zone, to_degrees
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area.map_area import map_area
from jointseg_jax.mapping.area.plan_area import plan_area
from jointseg_jax.mapping.area.product_plan import Settings
from jointseg_jax.mapping.predictor.halo import TOLERANCE
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.rasters.contract import Contract, Modality, Statistics
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.training.build.network import build_model
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.trained import load_trained

SCENES = ("202309_patchN_2", "202412_patchN_14")  # they share 2.2 by 4.1 km
LEFT, TOP = 345500, 3826400  # of the area, in the overlap but for its western part


@pytest.fixture(scope="module")
def network(trained, fresh, tmp_path_factory):
    """A network of a few thousand parameters that sees an 8-bit stretch, as these scenes are, with random weights."""
    bands = ("B04", "B03", "B02")
    spread = Statistics((0.4,) * 3, (0.2,) * 3, (0.0,) * 3, (1.0,) * 3)
    contract = Contract((Modality("s2", bands, 10.0, "uint8", "display", None, 1 / 255, 0.0, spread),), bands)
    model = build_model(toy.network("10"), contract)
    params = toy.weights(model)
    folder = tmp_path_factory.mktemp("display")
    state = jax.device_put(fresh.replace(params=params, ema=params))
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        checkpoints.save(state, dataclasses.replace(trained.meta, contract=contract))
        checkpoints.wait()
    return load_trained(folder)


@pytest.mark.timeout(1500)
@pytest.mark.slow  # the halo of this network is measured under contexts of up to 192 input pixels
def test_real_scenes_wall_to_wall(network, real_data, tmp_path):
    (tmp_path / "in").mkdir()
    for name in SCENES:
        (tmp_path / "in" / f"{name}.tif").symlink_to(real_data / "sentinel2" / "korea" / "images" / f"{name}.tif")
    ground = to_degrees(shapely.box(LEFT, TOP - 450, LEFT + 900, TOP), Zone(52, True))
    plan = plan_area(
        network, tmp_path / "in", ground, tmp_path / "out", Settings(grid=500, tile=24), say=lambda _: None
    )
    map_area(network, plan, tmp_path / "out", Serial(), say=lambda _: None)
    rows = Ledger(tmp_path / "out" / "ledger").done()
    assert {t.zone.name for t in plan.tiles} == {"52N"}
    assert sum(r["owned_m2"] for r in rows.values()) == pytest.approx(900 * 450, rel=0.005)
    assert all(r["valid_m2"] == r["owned_m2"] for r in rows.values())
    # Both dates were compared where they overlap, and real dates differ.
    pairs = [pair for r in rows.values() for pair in r["agreement"]]
    assert pairs
    assert all(set(p["scenes"]) == set(SCENES) and 0 < p["mean_difference"] < 1 for p in pairs)
    # The earlier scene covers all and wins by its name: the tiles are one map of it, computed in other windows.
    scene = open_scene(real_data / "sentinel2" / "korea" / "images" / f"{SCENES[0]}.tif", network.meta.contract).scene
    col, row = round((LEFT - scene.lattice.affine.c) / 10), round((scene.lattice.affine.f - TOP) / 10)
    predictor = Predictor(network, plan.settings.halo, tile=90, images=False)
    (whole,) = predictor.run_windows(scene, [Window(row, col, 45, 90)])
    seen = 0
    for tile in plan.tiles:
        assert {s["id"] for s in rows[tile.name]["scenes"]} == {SCENES[0]}
        with rasterio.open(tmp_path / "out" / rows[tile.name]["files"]["probability"]["path"]) as raster:
            stored, bounds = raster.read(1), raster.bounds
        top, left = round(TOP - bounds.top), round(bounds.left - LEFT)
        rows_at, cols_at = np.nonzero(stored != 255)
        expected = whole.probability[rows_at + top, cols_at + left]
        assert np.abs(stored[rows_at, cols_at] / 200 - expected).max() <= TOLERANCE + 0.0025 + 1e-6
        seen += len(rows_at)
    assert seen == pytest.approx(900 * 450, rel=0.005)
