"""A map beside products: figures known by construction, the same through any window, per region, on labelled ground."""

import json

import geopandas
import layouts
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from jointseg_jax.commands.compare_products import main
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.compare_products import compare_products
from jointseg_jax.evaluation.products import maps
from jointseg_jax.evaluation.products.given import parse
from jointseg_jax.evaluation.products.labelled import judge, read_grounds
from jointseg_jax.evaluation.products.maps import read_map
from jointseg_jax.evaluation.products.regions import Regions
from jointseg_jax.evaluation.products.report import terminal
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster

SIDE = 400
COARSE = make_lattice(layouts.CRS, layouts.LEFT, layouts.TOP, 10, SIDE // 10, SIDE // 10)


def blobs(seed, side=SIDE, size=10):
    rng = np.random.default_rng(seed)
    return (rng.random((side // size, side // size)) < 0.4).repeat(size, 0).repeat(size, 1).astype(np.uint8)


def write_classes(path, codes, spacing=10):
    """A raster of codes on the map's ground."""
    height, width = codes.shape
    lattice = make_lattice(layouts.CRS, layouts.LEFT, layouts.TOP, spacing, height, width)
    write_raster(path, codes.astype(np.uint8), Layout(lattice, "uint8", ("class",), None))
    return path


@pytest.fixture
def given(tmp_path):
    """A map with a quarter built, a product that shows the next quarter too, and unknown ground."""
    classes = np.zeros((SIDE, SIDE), np.uint8)
    classes[:200, :200] = 1
    classes[390:] = 255
    codes = np.full((40, 40), 2)
    codes[:20, :30] = 7
    codes[:, 39] = 10  # cloud
    return layouts.write_map(tmp_path / "map.tif", classes), write_classes(tmp_path / "esri_2021.tif", codes)


def test_the_matrix_is_that_of_the_ground(given, tmp_path):
    path, product = given
    record = compare_products(read_map(path, 2023), [parse(f"esri:{product}", (2023, 2023))])
    found = record["agreement"]["all"]["esri"]
    scale = 1.0008  # square metres on the ellipsoid of a pixel on the zone's meridian
    matrix = {name: value * 1e6 / scale for name, value in found["matrix_km2"].items()}
    expected = {"both": 40_000, "only_map": 0, "only_product": 20_000, "neither": 390 * 390 - 60_000}
    assert matrix == pytest.approx(expected, rel=1e-4, abs=1)
    assert found["f1"] == pytest.approx(80 / 100)
    assert found["iou"] == pytest.approx(2 / 3)
    assert found["quantity"] == pytest.approx(20_000 / 390**2)
    assert found["allocation"] == 0
    assert found["coverage"] == pytest.approx(390 / 400)
    assert found["area_ratio"] == pytest.approx(2 / 3)
    assert found["fraction"]["own"]["cells"] == 39 * 39
    assert found["fraction"]["own"]["bias"] == pytest.approx(-200 / 39**2, abs=1e-6)
    assert found["fraction"]["own"]["rmse"] == pytest.approx((200 / 39**2) ** 0.5, abs=1e-6)
    assert found["fraction"]["100m"]["cells"] == 16
    assert found["fraction"]["100m"]["bias"] == pytest.approx(-2 / 16, abs=1e-6)
    assert record["products"]["esri"]["years_apart"] == 2
    assert record["products"]["esri"]["flagged"]


def test_a_fraction_is_compared_as_a_fraction(tmp_path):
    """GHS-BUILT-S that states what the map has in its cells: no error there, whatever the threshold makes of it."""
    lattice = layouts.grid("ghsl10", SIDE)
    classes = blobs(0, size=4)
    empty = layouts.write_product(tmp_path / "empty.tif", "ghsl10", np.zeros(lattice.shape), lattice)
    ours = read_map(layouts.write_map(tmp_path / "map.tif", classes), 2018)
    rows, cols = (np.floor(x).astype(int) for x in layouts.cell_of_centres(lattice, SIDE))
    built, count = (np.zeros(lattice.shape) for _ in range(2))
    np.add.at(built, (rows, cols), classes)
    np.add.at(count, (rows, cols), 1)
    share = np.rint(100 * built / np.maximum(count, 1))
    exact = layouts.write_product(tmp_path / "exact.tif", "ghsl10", share, lattice)
    products = [parse(f"ghsl:{exact},year=2018", None), parse(f"nothing:{empty},full=100", None)]
    found = compare_products(ours, products)["agreement"]["all"]
    assert found["ghsl"]["fraction"]["own"]["rmse"] < 0.04
    assert found["ghsl"]["fraction"]["own"]["r2"] > 0.98
    assert abs(found["ghsl"]["fraction"]["100m"]["bias"]) < 0.002
    assert found["ghsl"]["product_fractions_km2"] == pytest.approx(found["ghsl"]["map_km2"], rel=0.01)
    assert found["ghsl"]["f1"] < 0.95  # 10 m squares are not the blobs
    assert found["nothing"]["fraction"]["own"]["bias"] == pytest.approx(classes.mean(), abs=0.01)


CODES = {"worldcover": (10, 50), "dynamicworld": (1, 6), "esri": (11, 7), "ghsl": (1000, 9000), "ghsl10": (10, 90),
         "gisa": (0, 20), "gaia": (0, 20)}  # fmt: skip


@pytest.mark.parametrize("layout", CODES)
def test_every_product_in_its_own_layout(tmp_path, layout):
    """Built where half of a cell is: the matrix is that of the cells that hold the pixels' centres."""
    lattice = layouts.grid(layout, SIDE)
    classes = blobs(5, size=80)
    rows, cols = (np.floor(x).astype(int) for x in layouts.cell_of_centres(lattice, SIDE))
    built, count = (np.zeros(lattice.shape) for _ in range(2))
    np.add.at(built, (rows, cols), classes)
    np.add.at(count, (rows, cols), 1)
    low, high = CODES[layout]
    codes = np.where(built >= 0.5 * np.maximum(count, 1), high, low)
    bands = ("label",) if layout == "dynamicworld" else None
    path = layouts.write_product(tmp_path / "p.tif", layout, codes, lattice, bands)
    year = "" if layout in ("gisa", "gaia") else ",year=2020"
    product = parse(f"{layout.removesuffix('10')}:{path}{year}", (2012, 2012))
    ours = read_map(layouts.write_map(tmp_path / "map.tif", classes), 2012)
    record = compare_products(ours, [product])
    found = record["agreement"]["all"][product.name]
    theirs = codes[rows, cols] == high
    hits = (theirs & (classes == 1)).sum()
    assert found["coverage"] == pytest.approx(1)
    assert found["f1"] == pytest.approx(2 * hits / (theirs.sum() + classes.sum()), abs=1e-4)
    assert found["f1"] > (0.5 if layout == "ghsl" else 0.8)  # cells of 100 m on blocks of 80 m
    low, high = (low / high * 0.9, 0.9) if layout.startswith("ghsl") else (0, 1)
    share = np.where(theirs, high, low).mean()
    assert found["product_fractions_km2"] / found["compared_km2"] == pytest.approx(share, rel=1e-4)
    assert record["products"][product.name]["flagged"] == (not layout.startswith("ga") and not layout.startswith("gi"))


def test_figures_do_not_depend_on_windows_and_tiles(tmp_path, monkeypatch):
    """Cells that windows or tiles cut are put together again."""
    classes = blobs(1, size=4)
    lattice = layouts.grid("worldcover", SIDE)
    codes = np.random.default_rng(0).choice([10, 50], lattice.shape)
    product = parse(f"worldcover:{layouts.write_product(tmp_path / 'wc.tif', 'worldcover', codes, lattice)}", None)
    whole = read_map(layouts.write_map(tmp_path / "map.tif", classes))
    expected = compare_products(whole, [product])["agreement"]["all"]["worldcover"]
    monkeypatch.setattr(maps, "WINDOW", 100)
    small = compare_products(whole, [product])["agreement"]["all"]["worldcover"]
    left = layouts.write_map(tmp_path / "left.tif", classes[:, :200])
    right = layouts.write_map(tmp_path / "right.tif", classes[:, 200:], layouts.LEFT + 200)
    both = maps.OurMap("two", read_map(left).files + read_map(right).files, None)
    tiled = compare_products(both, [product])["agreement"]["all"]["worldcover"]
    assert small["fraction"] == {**expected["fraction"], "1km": small["fraction"]["1km"]}
    for found in (small, tiled):
        assert found["fraction"]["own"] == pytest.approx(expected["fraction"]["own"], rel=1e-3)
        assert found["fraction"]["100m"] == pytest.approx(expected["fraction"]["100m"], rel=1e-6)
        assert found["matrix_km2"] == pytest.approx(expected["matrix_km2"], rel=1e-6)


def test_the_difference_of_shares_has_an_interval_over_blocks(tmp_path):
    """Two maps without any label: exact on this ground, and the interval is that of the bootstrap over its blocks."""
    side, block = 250, 50  # pixels of 10 m
    rng = np.random.default_rng(0)
    ours, theirs = (rng.random((side, side)) < p for p in (0.3, 0.25))
    theirs[:block, :block] = 0  # one place differs more than the others
    ours = np.where(np.arange(side) < 13, 255, ours)
    files = [layouts.write_map(tmp_path / f"{n}.tif", x, spacing=10) for n, x in (("a", ours), ("b", theirs))]
    record = compare_products(read_map(files[0]), [read_map(files[1]).product()])
    found = record["agreement"]["all"]["b.tif"]
    more = found["share_difference"]
    km2 = found["map_km2"] - found["product_km2"]
    assert more["value"] == pytest.approx(km2 / found["compared_km2"], rel=1e-6)
    cut = [np.s_[r : r + block, c : c + block] for r in range(0, side, block) for c in range(0, side, block)]
    known = np.array([(ours[w] != 255).sum() for w in cut])
    extra = np.array([np.where(ours[w] == 255, 0, ours[w].astype(int) - theirs[w]).sum() for w in cut])
    weights = rng.multinomial(25, np.full(25, 1 / 25), 4000)
    low, high = np.quantile((weights @ extra) / (weights @ known), (0.025, 0.975))
    assert more["blocks"] == 25
    assert more["high"] - more["low"] == pytest.approx(high - low, rel=0.2)
    assert more["low"] < more["value"] < more["high"]
    assert "agreement does not say which map is right" in terminal(record)


def test_regions_add_up(given, tmp_path):
    path, product = given
    left, top = layouts.LEFT, layouts.TOP
    shapes = [shapely.box(left, top - SIDE, left + 137, top), shapely.box(left + 137, top - SIDE, left + SIDE, top)]
    table = geopandas.GeoDataFrame({"name": ["west", "east"]}, geometry=shapes, crs=layouts.CRS).to_crs(4326)
    table.to_file(tmp_path / "r.gpkg")
    regions = Regions(tmp_path / "r.gpkg", None)
    found = compare_products(read_map(path), [parse(f"esri:{product}", None)], regions=regions)["agreement"]
    assert list(found) == ["all", "west", "east"]
    for name, value in found["all"]["esri"]["matrix_km2"].items():
        parts = sum(found[region]["esri"]["matrix_km2"][name] for region in ("west", "east"))
        assert parts == pytest.approx(value, rel=1e-6, abs=1e-9)
    assert found["west"]["esri"]["map_km2"] == pytest.approx(137 * 200 / 1e6, rel=2e-3)
    table.rename(columns={"name": "all"}).assign(all=["all", "b"]).to_file(tmp_path / "all.gpkg")
    with pytest.raises(InputError, match="rename it"):
        Regions(tmp_path / "all.gpkg", "all")


def test_the_year_of_another_map_is_asked_for_in_words_that_work(given, tmp_path):
    path, _ = given
    dated = layouts.write_map(tmp_path / "belt_2017.tif", blobs(3))
    undated = layouts.write_map(tmp_path / "second.tif", blobs(3))
    record = compare_products(read_map(path, 2021), [read_map(dated).product(), read_map(undated).product()])
    assert record["products"]["belt_2017.tif"]["years_apart"] == 4
    printed = terminal(record)
    assert "belt_2017.tif shows 2017, up to 4 years from the map" in printed
    assert "the year of second.tif is unknown" in printed
    assert "give --product=NAME:FILE,built=1,year=YYYY" in printed
    advised = parse(f"second:{undated},built=1,year=2020", None)
    assert compare_products(read_map(path, 2021), [advised])["products"]["second"]["years_apart"] == 1


def test_all_are_scored_on_the_same_labelled_ground(given, tmp_path):
    path, product = given
    label = np.zeros((SIDE, SIDE), np.uint8)
    label[:200, :220] = 1
    label[:100] = 255
    reference = layouts.write_map(tmp_path / "label.tif", label)
    groups = judge([read_map(path).product(), parse(f"esri:{product}", None)], read_grounds(reference, "test"))
    found = groups["all"]["maps"]
    assert groups["all"]["km2"] == pytest.approx(290 * 390 / 1e6)  # without cloud, missing map, missing label
    assert (found["map.tif"]["precision"], found["map.tif"]["recall"]) == (1, pytest.approx(200 / 220))
    assert (found["esri"]["precision"], found["esri"]["recall"]) == (pytest.approx(220 / 300), 1)
    assert found["esri"]["area_ratio"] == pytest.approx(300 / 220)
    difference = groups["all"]["differences"]["esri"]
    assert difference["f1"]["value"] == pytest.approx(found["map.tif"]["f1"] - found["esri"]["f1"])
    assert difference["f1"]["low"] is None  # one block


def test_a_dataset_is_a_reference_with_regions(data, toy_config, tmp_path):
    """The label of a site as the map of itself: all right, on the ground of the split alone."""
    site = data.sites_of("test")[0]
    grounds = read_grounds(toy_config.dataset.path, "test")
    assert [g.region for g in grounds] == [s.region for s in data.sites_of("test")]
    with rasterio.open(data.root / site.label) as label, rasterio.open(data.root / site.split) as split:
        known = (label.read(1) != 255) & (split.read(1) == split_code("test")).repeat(10, 0).repeat(10, 1)
    groups = judge([read_map(data.root / site.label).product()], grounds)
    assert groups["all"]["maps"][site.label.rsplit("/", 1)[-1]]["f1"] == 1
    assert groups["all"]["km2"] == pytest.approx(known.sum() / 1e6)


def split_code(name):
    from jointseg_jax.data.prepare.splits import CODES

    return CODES[name]


def test_no_common_ground_is_refused(given, tmp_path):
    path, _ = given
    far = layouts.write_map(tmp_path / "far.tif", np.ones((20, 20)), layouts.LEFT + 5000)
    with pytest.raises(InputError, match="no known ground"):
        compare_products(read_map(path), [parse(f"mine:{far},built=1", None)])
    with pytest.raises(InputError, match="known to the label and to all"):
        judge([read_map(path).product()], read_grounds(far, "test"))


def test_the_command_writes_record_tables_pictures_and_rasters(given, tmp_path, capsys):
    path, product = given
    other = layouts.write_map(tmp_path / "second.tif", blobs(3))
    label = layouts.write_map(tmp_path / "label.tif", blobs(4))
    out = tmp_path / "out"
    arguments = [str(path), f"--product=esri:{product}", f"--other={other}", f"--reference={label}", "--year=2023"]
    assert main([*arguments, f"--output={out}", "--rasters"]) == 0
    printed = capsys.readouterr().out
    assert "esri 2021 (!)" in printed
    assert "up to 2 years from the map" in printed
    assert "second.tif" in printed
    record = json.loads((out / "comparison.json").read_text())
    assert set(record["reference"]["groups"]["all"]["differences"]) == {"esri", "second.tif"}
    words = (out / "comparison.md").read_text()
    assert "| region | product |" in words
    assert "Karra" in words
    with rasterio.open(out / "difference" / "esri" / "map.tif") as raster:
        codes = raster.read(1)
        assert raster.nodata == 255
    assert (codes[0, 0], codes[0, 250], codes[300, 0], codes[399, 0], codes[0, 395]) == (1, 3, 0, 255, 255)
    from PIL import Image

    with Image.open(out / "difference_esri.png") as picture:
        drawn = np.asarray(picture)
    assert (drawn == (31, 119, 180)).all(-1).sum() >= 200 * 100  # only the product: blue
    assert main([*arguments, f"--output={out}"]) == 0  # again, into the same folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no map is given"),
        (["{map}"], "nothing is given to compare with"),
        (["{map}", "--other={map}"], "two maps have the name"),
        (["{map}", "--other=absent.tif"], "absent.tif"),
        (["{map}", "--product=esri:{esri}", "--rasters"], "--output=DIR"),
        (["{esri}", "--product=mine:{map},built=1"], "has the value 2"),
        (["{folder}", "--product=esri:{esri}"], "neither collection.json nor impervious.tif"),
        (["{map}", "--product=esri:{esri}", "--year=20"], "--year=20"),
        (["{map}", "--product=esri:{esri}", "--reference={folder}"], "no prepared dataset"),
        (["{map}", "--product=esri:{esri}", "--reference={degrees}"], "-t_srs EPSG:32650 -tr 10 10 -tap -r near"),
        (["{degrees}", "--product=esri:{esri}"], "(degrees), but pixels of 10 m are needed"),
    ],
)
def test_faults_are_one_sentence(given, tmp_path, capsys, arguments, words):
    path, product = given
    degrees = tmp_path / "degrees.tif"
    lattice = GeoBox((20, 20), Affine(1e-4, 0, 117, 0, -1e-4, 30.7), "EPSG:4326")
    write_raster(degrees, np.ones((20, 20, 1), np.uint8), Layout(lattice, "uint8", ("class",), None))
    places = {"map": path, "esri": product, "folder": tmp_path, "degrees": degrees}
    assert main([a.format(**places) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_the_table_is_printed(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert "worldcover: ESA WorldCover (classes, 2020 to 2021)" in printed
    assert "gaia: GAIA (year of change, 1985 to 2018)" in printed


@pytest.mark.parametrize("layer", ["terramesh", "korea"])
def test_real_land_cover(real_data, tmp_path, layer):
    """A map made of a real 10 m layer agrees with it wholly; with ground removed, it disagrees by that ground."""
    path, built = {
        "terramesh": (real_data / "sentinel2/terramesh/LULC/433D_629L_3_1.tif", (5,)),
        "korea": (real_data / "sentinel2/korea/labels/202309_mask_0.tif", (10, 30)),
    }[layer]
    if not path.exists():
        pytest.skip(f"{path} is absent")
    with rasterio.open(path) as raster:
        truth, t, crs = np.isin(raster.read(1), built), raster.transform, raster.crs.to_string()
    corners = [(row, col) for row in range(0, 160, 60) for col in range(0, 160, 60)]
    row, col = max(corners, key=lambda at: truth[at[0] : at[0] + 60, at[1] : at[1] + 60].sum())
    truth = truth[row : row + 60, col : col + 60]
    classes = truth.repeat(10, 0).repeat(10, 1).astype(np.uint8)
    removed = classes.copy()
    removed[:, :300] = 0
    lattice = make_lattice(crs, t.c + 10 * col, t.f - 10 * row, 1, *classes.shape)
    product = parse(f"layer:{path},built={'+'.join(map(str, built))}", None)
    for name, values in (("same", classes), ("removed", removed)):
        write_raster(tmp_path / f"{name}.tif", values, Layout(lattice, "uint8", ("impervious",), 255))
    same = compare_products(read_map(tmp_path / "same.tif"), [product])["agreement"]["all"]["layer"]
    assert same["f1"] == 1
    assert same["fraction"]["own"] == {"cells": 3600, "bias": 0, "rmse": 0, "r2": 1}
    less = compare_products(read_map(tmp_path / "removed.tif"), [product])["agreement"]["all"]["layer"]
    gone = truth[:, :30].sum() / truth.sum()
    assert less["area_ratio"] == pytest.approx(1 - gone)
    assert less["fraction"]["own"]["bias"] == pytest.approx(-truth[:, :30].sum() / 3600, abs=1e-6)
