"""From scenes and an area to a product: the same map as of one scene, the same bits however it is made."""

import dataclasses
import json
import pickle
import re
import shutil

import areas_of_interest
import numpy as np
import pytest
import rasterio
import shapely
import toy
from odc.geo.geobox import GeoBox
from scipy import ndimage

from jointseg_jax.errors import InputError, Unfinished
from jointseg_jax.geo.area_of_interest import read_area
from jointseg_jax.geo.ellipsoid import area as square_metres
from jointseg_jax.geo.ellipsoid import area_in
from jointseg_jax.geo.utm_zones import Zone, to_degrees, to_zone
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area import product_plan, rates
from jointseg_jax.mapping.area.map_area import map_area, plan_area
from jointseg_jax.mapping.area.product_plan import Settings
from jointseg_jax.mapping.area.tile_work import TileWork
from jointseg_jax.mapping.predictor import halo as halos
from jointseg_jax.mapping.predictor.halo import TOLERANCE
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.storage import formats
from jointseg_jax.storage.files import read_json, sha256
from jointseg_jax.storage.folders import MARKER
from jointseg_jax.storage.locks import exclusive
from jointseg_jax.training.trained import load_trained

ASKED = Settings(grid=200, tile=12)
LEFT, TOP = toy.LEFT, toy.TOP


@pytest.fixture(scope="module")
def network(workdir, tmp_path_factory):
    """In a folder of its own, where no other test has left how fast it maps."""
    own = tmp_path_factory.mktemp("network") / "run"
    shutil.copytree(workdir, own)
    (own / rates.FILE).unlink(missing_ok=True)
    return load_trained(own)


@pytest.fixture(scope="module")
def scenes(raw, tmp_path_factory):
    """Two scenes of one ground, the second moved east by 200 m, in the first a hole; and one far away."""
    folder = tmp_path_factory.mktemp("belt")
    for source, target in (("a", "early_20210601"), ("b", "late_20210611"), ("d", "far_20210601")):
        shutil.copytree(raw / source, folder / target)

    def hole(stack):
        stack[:, 12:18, 22:30] = 0
        return stack

    toy.rewrite(folder / "early_20210601" / "s2.tif", values=hole)
    for path in (folder / "late_20210611").glob("*.tif"):
        with rasterio.open(path) as raster:
            spacing = raster.res[0]
        toy.rewrite(path, transform=rasterio.Affine(spacing, 0, LEFT + 200, 0, -spacing, TOP))
    return folder


@pytest.fixture(scope="module")
def area(tmp_path_factory):
    """A triangle that both scenes show in part."""
    triangle = shapely.Polygon([(LEFT + 30, TOP - 340), (LEFT + 600, TOP - 330.5), (LEFT + 310.25, TOP - 15)])
    return read_area(areas_of_interest.write_area(tmp_path_factory.mktemp("aoi") / "aoi.geojson", triangle))


def quiet(_):
    pass


def make(network, scenes, area, folder, executor=None, settings=ASKED, say=quiet):
    plan = plan_area(network, scenes, area, folder, settings, say=say)
    map_area(network, plan, folder, executor or Serial(), say=say)
    return plan


@pytest.fixture(scope="module")
def product(network, scenes, area, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "product"
    lines = []
    plan = make(network, scenes, area, folder, say=lines.append)
    return folder, plan, lines


def pixels(folder, plan, layer):
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


def test_the_map_is_that_of_the_scenes(product, network, scenes):
    """Where a scene was chosen, the class is that of its own map, but near where another scene begins."""
    folder, plan, _ = product
    assert len(plan.tiles) > 6
    chosen, probability = pixels(folder, plan, "scene"), pixels(folder, plan, "probability")
    scene = open_scene(scenes / "late_20210611", network.meta.contract).scene
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


def test_owned_ground_and_nothing_else_is_mapped(product, area):
    folder, plan, _ = product
    classes = pixels(folder, plan, "impervious")
    rows = Ledger(folder / "ledger").done()
    assert set(np.unique(classes)) == {0, 1, 255}
    assert sum(r["owned_m2"] for r in rows.values()) == pytest.approx(square_metres(area), rel=2e-3)
    total = sum(r["valid_m2"] for r in rows.values())
    assert (classes != 255).sum() == pytest.approx(total, rel=1e-3)
    impervious = sum(r["impervious_m2"] for r in rows.values())
    assert (classes == 1).sum() == pytest.approx(impervious, rel=1e-3)
    corner = classes[:20, :30]  # north-west, outside the triangle
    assert (corner == 255).all()


def test_holes_are_filled_and_overlaps_compared(product):
    folder, _, lines = product
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


def test_plan_is_a_file_to_look_at(product):
    import geopandas

    folder, plan, lines = product
    table = geopandas.read_file(folder / "plan.geojson")
    assert list(table["tile"]) == [t.name for t in plan.tiles]
    assert table.crs.to_epsg() == 4326
    about = read_json(folder / "plan.geojson")["jointseg"]
    assert about["aoi_km2"] == pytest.approx(table["owned_m2"].sum() / 1e6, rel=1e-6)
    assert about["expected"] is None
    assert any("time and size unknown" in line for line in lines)


def test_records_stand_beside(product):
    folder, plan, _ = product
    collection = read_json(folder / "collection.json")
    assert collection["type"] == "Collection"
    assert len(list((folder / "items").glob("*.json"))) == len(plan.units)


def bits(folder):
    return {str(p.relative_to(folder)): sha256(p) for p in sorted((folder / "tiles").rglob("*.tif"))}


def test_a_second_run_does_nothing_and_says_so(product, network, scenes, area):
    folder, _, _ = product
    before = {p: p.stat().st_mtime_ns for p in (folder / "tiles").rglob("*.tif")}
    lines = []
    make(network, scenes, area, folder, say=lines.append)
    assert {p: p.stat().st_mtime_ns for p in (folder / "tiles").rglob("*.tif")} == before
    assert any("tiles done before" in line for line in lines)
    assert any("of one worker" in line for line in lines)  # a rate is known by now


def test_what_was_lost_is_made_again_with_the_same_bits(product, network, scenes, area, tmp_path):
    folder = tmp_path / "product"
    shutil.copytree(product[0], folder)
    expected = bits(folder)
    victims = sorted(expected)[:7:3]
    (folder / victims[0]).unlink()
    (folder / victims[1]).write_bytes(b"short")
    row = sorted((folder / "ledger").glob("*.json"))[-1]
    row.write_text(row.read_text().replace("1", "2", 1))
    make(network, scenes, area, folder)
    assert bits(folder) == expected


def test_a_product_goes_on_with_the_halo_it_was_begun_with(product, network, scenes, area, tmp_path):
    """Whatever is measured, or lost, beside the checkpoint after its first tile is done."""
    folder, begun, _ = product
    shutil.copytree(network.workdir, tmp_path / "run")
    shutil.copytree(folder, tmp_path / "product")
    moved = load_trained(tmp_path / "run")
    for path in moved.workdir.glob("halo*.json"):
        record = formats.read_record(path, formats.HALO)
        formats.write_record(path, record | {"halo": 13, "errors": {"13": 0.0}}, formats.HALO)
    sorted((tmp_path / "product" / "ledger").glob("*.json"))[0].unlink()
    plan = make(moved, scenes, area, tmp_path / "product")
    assert plan.settings.halo == begun.settings.halo
    assert bits(tmp_path / "product") == bits(folder)
    card = read_json(tmp_path / "product" / "model.json")
    assert card["properties"]["mlm:hyperparameters"]["halo"] == begun.settings.halo
    assert plan_area(moved, scenes, area, tmp_path / "new", ASKED, say=quiet).settings.halo == 13


def test_the_halo_is_measured_where_it_can_be(network, scenes, area, tmp_path, monkeypatch):
    """The largest scene may be too flat to measure on; what is known of another checkpoint says nothing."""
    fresh = dataclasses.replace(network, workdir=tmp_path)
    asked = []

    def measure(_, scene, __):
        asked.append(scene.name)
        return halos.Measured(7, {"7": 0.0}, 48, met=True) if len(asked) in (1, 3) else None

    monkeypatch.setattr(halos, "measure", measure)
    halos.halo_for(
        dataclasses.replace(fresh, step=5), open_scene(scenes / "early_20210601", network.meta.contract).scene
    )
    plan = plan_area(fresh, scenes, area, tmp_path / "out", ASKED, say=quiet)
    assert plan.settings.halo == 7
    assert len(set(asked[1:])) == 2


def test_shards_make_the_same_bits_and_the_last_writes_records(product, network, scenes, area, tmp_path):
    lines = []
    for i in (1, 0):
        make(network, scenes, area, tmp_path / "product", Serial((i, 2)), say=lines.append)
        assert (tmp_path / "product" / "collection.json").exists() == (i == 0)
    assert bits(tmp_path / "product") == bits(product[0])
    assert any("the last shard writes the records" in line for line in lines)


def test_any_shard_writes_records_that_none_has_written(product, network, scenes, area, tmp_path):
    """On a network disk the last two may each miss the other's newest row; the line that they say tells what to do."""
    shutil.copytree(product[0], tmp_path / "product")
    (tmp_path / "product" / "collection.json").unlink()
    hidden = sorted((tmp_path / "product" / "ledger").glob("*.json"))[0]
    row = hidden.read_bytes()
    other = 1 - sorted(product[1].units).index(hidden.stem) % 2
    lines = []
    hidden.unlink()
    make(network, scenes, area, tmp_path / "product", Serial((other, 2)), say=lines.append)
    assert any("should none, the same command of any shard does once all are done" in line for line in lines)
    assert not (tmp_path / "product" / "collection.json").exists()
    hidden.write_bytes(row)
    make(network, scenes, area, tmp_path / "product", Serial((other, 2)))
    assert (tmp_path / "product" / "collection.json").exists()


def test_another_plan_on_the_same_product_is_refused(product, network, scenes, area, tmp_path):
    folder, _, _ = product
    smaller = shapely.affinity.scale(area, 0.8, 0.8)
    for changed, message in (
        ({"area": smaller}, "another area of interest or grid"),
        ({"settings": dataclasses.replace(ASKED, grid=220)}, "another area of interest or grid"),
        ({"settings": dataclasses.replace(ASKED, image=True)}, "other settings"),
        ({"network": dataclasses.replace(network, step=5)}, "another network"),
    ):
        given = {"network": network, "scenes": scenes, "area": area, "folder": folder, **changed}
        with pytest.raises(InputError, match=message):
            make(**given)
    fewer = tmp_path / "fewer"
    shutil.copytree(scenes / "early_20210601", fewer / "early_20210601")
    with pytest.raises(InputError, match="other scenes"):
        make(network, fewer, area, folder)
    assert read_json(folder / "plan.geojson")["jointseg"]["settings"]["grid"] == 200


def test_a_plan_of_which_nothing_is_done_is_replaced(network, scenes, area, tmp_path):
    """Looking at plans with other grids is free, but not under a run that holds the product."""
    for grid in (200, 400):
        plan_area(network, scenes, area, tmp_path / "out", dataclasses.replace(ASKED, grid=grid), say=quiet)
        assert read_json(tmp_path / "out" / "plan.geojson")["jointseg"]["settings"]["grid"] == grid
    with exclusive(tmp_path / "out" / "ledger", "run"), pytest.raises(InputError, match="in use by another run"):
        plan_area(network, scenes, area, tmp_path / "out", ASKED, say=quiet)


def test_refused_scenes_stop_or_are_left_out_on_request(network, scenes, area, tmp_path):
    shutil.copytree(scenes, tmp_path / "in")
    (tmp_path / "in" / "far_20210601" / "s1.tif").unlink()
    lines = []
    with pytest.raises(InputError, match=r"1 of the 3 scenes .* --skip_refused"):
        plan_area(network, tmp_path / "in", area, tmp_path / "out", ASKED, say=lines.append)
    assert any("refused scene far_20210601" in line and "s1" in line for line in lines)
    plan = plan_area(network, tmp_path / "in", area, tmp_path / "out", ASKED, skip_refused=True, say=quiet)
    assert plan.about["refused"][0]["id"] == "far_20210601"


def test_an_area_without_scenes_is_one_sentence(network, scenes, tmp_path):
    with pytest.raises(InputError, match=r"no scene of .* zone 49N: the scenes are .*EPSG:32650"):
        plan_area(network, scenes, shapely.box(111, 30, 111.1, 30.1), tmp_path / "out", ASKED, say=quiet)
    assert not (tmp_path / "out" / "plan.geojson").exists()


def test_a_scene_that_breaks_while_mapping_sets_its_tiles_aside(network, scenes, area, tmp_path):
    """The others are finished; when the file is back, so are these, and nothing else is done again."""
    shutil.copytree(scenes, tmp_path / "in")
    elsewhere = shapely.box(LEFT + 1850, TOP - 100, LEFT + 1950, TOP - 20)
    area = shapely.union(area, to_degrees(elsewhere, areas_of_interest.ZONE))
    plan = plan_area(network, tmp_path / "in", area, tmp_path / "out", ASKED, say=quiet)
    victim = tmp_path / "in" / "far_20210601" / "s2.tif"
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(Unfinished, match=r"s2\.tif"):
        map_area(network, plan, tmp_path / "out", Serial(), say=quiet)
    done = Ledger(tmp_path / "out" / "ledger", say=quiet).done()
    assert 0 < len(done) < len(plan.units)
    victim.write_bytes(whole)
    plan = plan_area(network, tmp_path / "in", area, tmp_path / "out", ASKED, say=quiet)
    map_area(network, plan, tmp_path / "out", Serial(), say=quiet)
    after = Ledger(tmp_path / "out" / "ledger", say=quiet).done()
    assert len(after) == len(plan.units)
    assert all(after[unit] == row for unit, row in done.items())


def test_work_is_small_and_loads_once(network, product):
    folder, plan, _ = product
    work = TileWork(folder, network.workdir, network.step, network.weights)
    assert len(pickle.dumps(work)) < 2000
    work(plan.units[0])
    state = work._state
    work(plan.units[1])
    assert work._state is state
    assert pickle.loads(pickle.dumps(work))._state is None


def test_other_weights_under_the_same_step_are_refused(network, product, tmp_path):
    folder = tmp_path / "product"
    shutil.copytree(product[0], folder)
    record = json.loads((folder / "plan.geojson").read_text())
    record["jointseg"]["network"]["sha256"] = "0" * 64
    record["jointseg"] = formats.seal(record["jointseg"], formats.PLAN)
    (folder / "plan.geojson").write_text(json.dumps(record))
    with pytest.raises(InputError, match="other weights"):
        TileWork(folder, network.workdir, network.step, network.weights)("x")


def test_a_damaged_plan_is_one_sentence(network, product, tmp_path):
    for text in ("", "{", "{}", "[]", '{"jointseg": {"version": 9}, "features": []}'):
        (tmp_path / product_plan.PLAN).write_text(text)
        with pytest.raises(formats.Damaged, match=r"plan\.geojson is damaged \(.*\): remove it"):
            product_plan.load(tmp_path, network.meta.contract)


@pytest.mark.parametrize("name", [product_plan.PLAN, product_plan.CATALOGUE])
def test_plans_that_were_changed_are_told_from_newer_ones(network, product, tmp_path, name):
    """A digit of a tile's place or of a scene; and version 1, which had no checksums, is read."""
    contract = network.meta.contract
    for part in (product_plan.PLAN, product_plan.CATALOGUE):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        shutil.copy(product[0] / part, tmp_path / part)
    path = tmp_path / name
    whole = path.read_text()
    *_, digit = re.finditer(r"(?<=[ \[])[1-7](?=[\d.,\]])", whole)  # the first one of a number
    path.write_text(whole[: digit.start()] + str(int(digit[0]) + 1) + whole[digit.end() :])
    with pytest.raises(formats.Damaged, match=name):
        product_plan.load(tmp_path, contract)
    record = json.loads(whole)
    about = record["jointseg"] if name == product_plan.PLAN else record
    kind = formats.PLAN if name == product_plan.PLAN else formats.CATALOGUE
    old = formats.unseal(about, kind, path)
    old.pop("features_sha256", None)
    newer = formats.seal(old, dataclasses.replace(kind, version=9))
    for said in (old, newer):
        path.write_text(json.dumps({**record, "jointseg": said} if name == product_plan.PLAN else said))
        if said is old:
            assert product_plan.load(tmp_path, contract)[0].tiles == product_plan.load(product[0], contract)[0].tiles
        else:
            with pytest.raises(formats.Newer, match=rf"{name} was written by jointseg-jax .* format 9"):
                product_plan.load(tmp_path, contract)


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
    plan = make(network, tmp_path / "in", ground, tmp_path / "out")
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
    wide = dataclasses.replace(ASKED, grid=2_000_000)  # the world would take long
    plan = plan_area(network, tmp_path / "in", None, tmp_path / "out", wide, say=quiet)
    assert {t.zone.name for t in plan.tiles} == {"01S", "60S"}
    assert plan.about["aoi_km2"] == pytest.approx(0.42 * 0.36, rel=0.01)
    with pytest.raises(InputError, match=r"EPSG:32701, 179\.998, .* to -179\.998, "):
        plan_area(network, tmp_path / "in", shapely.box(111, 30, 111.1, 30.1), tmp_path / "no", ASKED, say=quiet)


def test_lattices_are_what_the_rows_say(product):
    folder, plan, _ = product
    for tile in plan.tiles:
        row = Ledger(folder / "ledger").row(tile.name)
        with rasterio.open(folder / row["files"]["impervious"]["path"]) as raster:
            assert list(raster.bounds) == row["bounds"]
            assert GeoBox(raster.shape, raster.transform, raster.crs.to_wkt()).crs.epsg == row["epsg"]


def test_a_folder_of_others_is_no_product(network, scenes, area, tmp_path):
    """Records, mosaics and documents of others were removed and replaced."""
    names = ("items/a.json", "sources/a.json", "mosaics/a.vrt", "collection.json", "index.geojson", "model.json")
    for name in names:
        path = tmp_path / "other" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    with pytest.raises(InputError, match=r"contains collection.json, index.geojson, items and 3 more but no MADE_BY"):
        plan_area(network, scenes, area, tmp_path / "other", ASKED, say=quiet)
    assert {f.relative_to(tmp_path / "other").as_posix() for f in tmp_path.rglob("*") if f.is_file()} == set(names)
    for folder in (scenes, scenes / "early_20210601"):
        with pytest.raises(InputError, match=r"is an input|but no MADE_BY"):
            plan_area(network, scenes, area, folder, ASKED, say=quiet)
    with pytest.raises(InputError, match="lies in"):
        plan_area(network, scenes, area, scenes.parent, ASKED, say=quiet)


def test_a_product_of_before_folders_were_marked_goes_on(product, network, scenes, area, tmp_path):
    folder, _, _ = product
    shutil.copytree(folder, tmp_path / "product")
    (tmp_path / "product" / MARKER).unlink()
    (tmp_path / "product" / "items" / "mine.json").write_text("mine")
    lines: list[str] = []
    make(network, scenes, area, tmp_path / "product", say=lines.append)
    assert any("tiles done before" in line for line in lines)
    assert (tmp_path / "product" / "items" / "mine.json").read_text() == "mine"
