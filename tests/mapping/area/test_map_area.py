"""From scenes and an area to a product: every tile holds the map of its scenes on its own ground."""

import dataclasses
import shutil

import numpy as np
import pytest
import rasterio
import shapely
import toy
from mapped_areas import LEFT, SETTINGS, TOP, ignore, make_product
from odc.geo.geobox import GeoBox
from scipy import ndimage

from jointseg_jax.errors import InputError
from jointseg_jax.geo.ellipsoid import area as square_metres
from jointseg_jax.geo.ellipsoid import area_in
from jointseg_jax.geo.utm_zones import Zone, to_degrees, to_zone
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area.plan_area import plan_area
from jointseg_jax.mapping.predictor.halo import TOLERANCE
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.storage.files import read_json


def raster_of(folder, plan, layer):
    """A layer of all tiles on one lattice over both scenes [rows, cols], from their 1 m or 10 m files."""
    spacing = 10 if layer == "scene" else 1
    whole = np.full((400 // spacing, 700 // spacing), 255, np.uint8)
    for tile in plan.tiles:
        with rasterio.open(folder / "tiles" / "50N" / tile.name / f"{layer}.tif") as raster:
            row, col = round((TOP - raster.bounds.top) / spacing), round((raster.bounds.left - LEFT) / spacing)
            part = whole[row : row + raster.height, col : col + raster.width]
            stored = raster.read(1)
            assert (part[stored != 255] == 255).all()  # nothing twice
            part[stored != 255] = stored[stored != 255]
    return whole


def test_the_map_is_that_of_the_scenes(mapped_area, network, scenes):
    """Where a scene was chosen, the class is that of its own map, but near where another scene begins."""
    folder, plan, _ = mapped_area
    assert len(plan.tiles) > 6
    chosen, probability = raster_of(folder, plan, "scene"), raster_of(folder, plan, "probability")
    scene = open_scene(scenes / "late_20210611", network.meta.contract, clouds=plan.settings.clouds).scene
    own = np.full((400, 700), np.nan)
    for part in Predictor(network, plan.settings.halo, tile=42, images=False).run(scene):
        window = part.window.scale(10)
        own[window.row : window.row + window.height, 200 + window.col : 200 + window.col + window.width] = (
            part.probability
        )
    names = {t.name: [s["id"] for s in Ledger(folder / "ledger").row(t.name)["scenes"]] for t in plan.tiles}
    late = np.zeros((400, 700), bool)
    for tile in plan.tiles:
        row, col = round((TOP - tile.top) / 10), round((tile.left - LEFT) / 10)
        here = chosen[row : row + tile.lattice.shape[0], col : col + tile.lattice.shape[1]]
        for k, name in enumerate(names[tile.name]):
            if name == "late_20210611":
                block = np.repeat(np.repeat(here == k, 10, 0), 10, 1)
                late[10 * row : 10 * row + block.shape[0], 10 * col : 10 * col + block.shape[1]] |= block
    halo = 10 * plan.settings.halo
    known = (probability != 255) & np.isfinite(own)
    deep = ndimage.minimum_filter(np.repeat(np.repeat(chosen != 0, 10, 0), 10, 1) | late, 1) & late & known
    outside = ndimage.distance_transform_cdt(~(~late & (probability != 255)), "chessboard")
    deep &= outside > halo
    assert deep.sum() > 3000
    assert np.abs(probability[deep] / 200 - own[deep]).max() <= TOLERANCE + 0.0025 + 1e-6


def test_owned_ground_and_nothing_else_is_mapped(mapped_area, area):
    folder, plan, _ = mapped_area
    classes = raster_of(folder, plan, "impervious")
    rows = Ledger(folder / "ledger").done()
    assert set(np.unique(classes)) == {0, 1, 255}
    assert sum(r["owned_m2"] for r in rows.values()) == pytest.approx(square_metres(area), rel=2e-3)
    total = sum(r["valid_m2"] for r in rows.values())
    assert (classes != 255).sum() == pytest.approx(total, rel=1e-3)
    impervious = sum(r["impervious_m2"] for r in rows.values())
    assert (classes == 1).sum() == pytest.approx(impervious, rel=1e-3)
    corner = classes[:20, :30]  # north-west, outside the triangle
    assert (corner == 255).all()


def test_holes_are_filled_and_overlaps_compared(mapped_area):
    folder, _, lines = mapped_area
    rows = Ledger(folder / "ledger").done()
    both = [r for r in rows.values() if len(r["scenes"]) == 2]
    assert both
    for row in rows.values():
        assert sum(s["share"] for s in row["scenes"]) <= 1 + 1e-9
        times = {s["datetime"] for s in row["scenes"]}
        assert row["datetime"] == (times.pop() if len(times) == 1 else None)
        for pair in row["agreement"]:
            assert 0 <= pair["class_agreement"] <= 1
            assert 0 < pair["mean_difference"] < 1  # different ground in each: they cannot agree wholly
    assert any(r["agreement"] for r in rows.values())
    assert not any(s["id"].startswith("far") for r in rows.values() for s in r["scenes"])
    assert any("pairs of scenes were compared" in line for line in lines)


def test_plan_is_a_file_to_look_at(mapped_area):
    import geopandas

    folder, plan, lines = mapped_area
    table = geopandas.read_file(folder / "plan.geojson")
    assert list(table["tile"]) == [t.name for t in plan.tiles]
    assert table.crs.to_epsg() == 4326
    about = read_json(folder / "plan.geojson")["jointseg"]
    assert about["aoi_km2"] == pytest.approx(table["owned_m2"].sum() / 1e6, rel=1e-6)
    assert about["expected"] is None
    assert any("time and size unknown" in line for line in lines)


def test_records_stand_beside(mapped_area):
    folder, plan, _ = mapped_area
    collection = read_json(folder / "collection.json")
    assert collection["type"] == "Collection"
    assert len(list((folder / "items").glob("*.json"))) == len(plan.units)


def test_lattices_are_what_the_rows_say(mapped_area):
    folder, plan, _ = mapped_area
    for tile in plan.tiles:
        row = Ledger(folder / "ledger").row(tile.name)
        with rasterio.open(folder / row["files"]["impervious"]["path"]) as raster:
            assert list(raster.bounds) == row["bounds"]
            assert GeoBox(raster.shape, raster.transform, raster.crs.to_wkt()).crs.epsg == row["epsg"]


def test_scenes_of_two_zones_serve_their_own_strip(network, raw, tmp_path):
    """One ground across the zones' meridian, a scene in either CRS: each maps its side, and areas add up."""
    ground = shapely.box(119.9985, 30.7, 120.0012, 30.7018)
    for source, number, name in (("a", 50, "west"), ("b", 51, "east")):
        shutil.copytree(raw / source, tmp_path / "in" / name)
        west, _, _, north = to_zone(ground, Zone(number, True)).bounds
        left, top = 20 * np.floor(west / 20) - 60, 20 * np.ceil(north / 20) + 40
        for path in (tmp_path / "in" / name).glob("*.tif"):
            with rasterio.open(path) as raster:
                spacing = raster.res[0]
            toy.rewrite(path, crs=f"EPSG:326{number}", transform=rasterio.Affine(spacing, 0, left, 0, -spacing, top))
    plan = make_product(network, tmp_path / "in", ground, tmp_path / "out")
    rows = Ledger(tmp_path / "out" / "ledger").done()
    zones = {t.zone.name for t in plan.tiles}
    assert zones == {"50N", "51N"}
    for zone, scene in (("50N", "west"), ("51N", "east")):
        ids = {s["id"] for name, r in rows.items() if name.startswith(zone) for s in r["scenes"]}
        assert ids == {scene}
    expected = area_in(to_zone(ground, Zone(50, True)), Zone(50, True))
    assert sum(t.owned_m2 for t in plan.tiles) == pytest.approx(expected, rel=1e-8)
    assert sum(r["owned_m2"] for r in rows.values()) == pytest.approx(expected, rel=0.01)
    # No 1 m pixel of one zone lies, by its centre, on the other side.
    for tile in plan.tiles:
        with rasterio.open(tmp_path / "out" / "tiles" / tile.zone.name / tile.name / "impervious.tif") as raster:
            row, col = np.nonzero(raster.read(1) != 255)
            x, y = raster.transform * (col + 0.5, row + 0.5)
        points = to_degrees(shapely.multipoints(np.stack([x, y], -1)), tile.zone)
        lon = shapely.get_coordinates(points)[:, 0]
        assert (lon < 120 + 1e-9).all() if tile.zone.name == "50N" else (lon > 120 - 1e-9).all()


def test_a_scene_across_180_degrees_is_not_the_rest_of_the_world(network, raw, tmp_path):
    """Without an area its rectangle is mapped: on either side of 180 degrees, and nowhere else."""
    shutil.copytree(raw / "a", tmp_path / "in" / "fiji")
    left, top = 20 * np.floor(to_zone(shapely.Point(-180, -17.8), Zone(1, False)).x / 20) - 200, 8028000.0
    for path in (tmp_path / "in" / "fiji").glob("*.tif"):
        with rasterio.open(path) as raster:
            spacing = raster.res[0]
        toy.rewrite(path, crs="EPSG:32701", transform=rasterio.Affine(spacing, 0, left, 0, -spacing, top))
    wide = dataclasses.replace(SETTINGS, grid=2_000_000)  # the world would take long
    plan = plan_area(network, tmp_path / "in", None, tmp_path / "out", wide, say=ignore)
    assert {t.zone.name for t in plan.tiles} == {"01S", "60S"}
    assert plan.about["aoi_km2"] == pytest.approx(0.42 * 0.36, rel=0.01)
    with pytest.raises(InputError, match=r"EPSG:32701, 179\.998, .* to -179\.998, "):
        plan_area(network, tmp_path / "in", shapely.box(111, 30, 111.1, 30.1), tmp_path / "no", SETTINGS, say=ignore)
