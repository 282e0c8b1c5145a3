"""Sizes, strata and draws: known allocations, equal chances, and only what matches the product."""

import csv
import json
import re
import shutil

import geopandas
import numpy as np
import pytest
import shapely
from known_ground import make_product

from jointseg_jax.commands import sample
from jointseg_jax.evaluation.accuracy import draw
from jointseg_jax.evaluation.accuracy.design import read_design
from jointseg_jax.evaluation.accuracy.frame import open_frame
from jointseg_jax.evaluation.accuracy.sizes import allocate, total_size
from jointseg_jax.evaluation.accuracy.strata import Strata
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles

WEIGHTS = np.array([0.02, 0.015, 0.32, 0.645])


@pytest.mark.quick
def test_the_size_of_olofsson_2014():
    """Section 5.1.1: 641 points for a standard error of 0.01."""
    right = np.array([0.7, 0.6, 0.9, 0.95])
    assert total_size(WEIGHTS, right, 0.01) == 641
    assert total_size(WEIGHTS, right, 0.01, units=2_000) < 500


@pytest.mark.quick
def test_allocation():
    assert allocate(WEIGHTS, 640, 75).tolist() == [75, 75, 162, 328]
    assert allocate(WEIGHTS, 100, 50).tolist() == [50] * 4
    assert allocate(np.array([0.5, 0.5]), 101, 2).tolist() == [51, 50]


def whole(product, strata):
    """The stratum of every pixel of a product, by tile."""
    handles = Handles()
    found = [strata.read(t, Window(0, 0, *strata.frame.shape(t)), handles) for t in strata.frame.tiles]
    handles.close()
    return found


def test_areas_by_record_are_those_by_pixel(known_product):
    frame = open_frame(known_product)
    ours = Strata(frame).areas()
    counted = [np.bincount(codes.ravel(), minlength=256)[:2] for codes in whole(known_product, Strata(frame))]
    np.testing.assert_allclose(ours, counted, rtol=2e-3)  # the scale of UTM


def test_every_pixel_of_a_stratum_has_the_same_chance(known_product, monkeypatch):
    """By single tries and by rank alike: chi-squared over the tiles and over the quarters of a tile."""
    strata = Strata(open_frame(known_product))
    codes = whole(known_product, strata)
    for tries in (400, 0):
        monkeypatch.setattr(draw, "_TRIES", tries)
        places = draw.draw_points(strata, strata.areas(), np.array([300, 300]), np.random.default_rng(3))
        assert [sum(p.stratum == s for p in places) for s in (0, 1)] == [300, 300]
        names = [t.tile for t in strata.frame.tiles]
        for stratum in (0, 1):
            seen, due = np.zeros((3, 2, 2)), np.zeros((3, 2, 2))
            for place in places:
                if place.stratum == stratum:
                    tile = names.index(place.tile.tile)
                    assert codes[tile][place.row, place.col] == stratum
                    seen[tile, place.row // 150, place.col // 200] += 1
            for tile, found in enumerate(codes):
                due[tile] = (found == stratum).reshape(2, 150, 2, 200).sum((1, 3))
            due *= 300 / due.sum()
            some = due > 1
            chi = (np.square(seen - due)[some] / due[some]).sum()
            assert chi < 2.2 * some.sum()


def drawn(product, out, *flags):
    return sample.main([f"--product={product}", f"--output={out}", "--no-page", *flags])


def test_the_same_seed_draws_the_same_sample(known_product, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert drawn(known_product, tmp_path / name, "--points=40", "--minimum=10", f"--seed={seed}") == 0
    a, b, c = ((tmp_path / name / "sample.csv").read_text() for name in "abc")
    assert a == b != c
    # A folder that may have answers gets no other sample; the same command writes the same again.
    again = ("--points=40", "--minimum=10")
    assert drawn(known_product, tmp_path / "a", *again, "--seed=2") == 2
    assert drawn(known_product, tmp_path / "a", *again, "--seed=1") == 0
    assert (tmp_path / "a" / "sample.csv").read_text() == a


def test_density_buffer_and_polygons_partition_the_map(known_product):
    frame = open_frame(known_product)
    half = shapely.box(116, 30, 117.0 + 0.002, 31)
    plain = Strata(frame).areas()
    for strata in (
        Strata(frame, density=(0.05, 0.2)),
        Strata(frame, buffer=4),
        Strata(frame, polygons={"west": half}),
        Strata(frame, polygons={"west": half}, buffer=3),
    ):
        areas = strata.areas()
        for number in (0, 1):
            own = [i for i, c in enumerate(strata.map_class) if c == number]
            np.testing.assert_allclose(areas[:, own].sum(1), plain[:, number], rtol=1e-6, atol=1)
        places = draw.draw_points(strata, areas, (areas.sum(0) > 0) * 5, np.random.default_rng(0))
        assert len(places) == 5 * (areas.sum(0) > 0).sum()
    buffered = Strata(frame, buffer=4)
    codes = whole(known_product, buffered)[1]
    row, col = np.argwhere(codes == 2)[0]
    near = codes[max(0, row - 4) : row + 5, max(0, col - 4) : col + 5]
    assert (near == 1).any()
    assert Strata(frame, density=(0.05, 0.2)).names[0] == "tiles of 0 to 5 %: pervious"


def test_a_map_of_change(known_product, tmp_path):
    earlier = make_product(tmp_path / "earlier", shares=(0.01, 0.1, 0.3), seed=7)
    frame = open_frame(known_product, earlier)
    assert frame.classes == ("stable pervious", "pervious to impervious", "impervious to pervious", "stable impervious")
    out = tmp_path / "design"
    given = [
        f"--product={known_product}",
        f"--earlier={earlier}",
        f"--output={out}",
        "--points=40",
        "--minimum=5",
        "--no-page",
    ]
    assert sample.main(given) == 0
    design, rows = read_design(out)
    assert {row.map_class for row in rows} == set(frame.classes)
    assert all(row.stratum == row.map_class for row in rows)
    assert design.area == pytest.approx(sum(design.mapped))


def test_blocks(known_product, tmp_path):
    out = tmp_path / "design"
    given = [
        f"--product={known_product}",
        f"--output={out}",
        "--block=50",
        "--block-points=2",
        "--points=30",
        "--no-page",
    ]
    assert sample.main([*given, "--minimum=2"]) == 0
    design, rows = read_design(out)
    assert (design.kind, design.block, design.strata[0].size) == ("blocks", (50, 2), 3 * 6 * 8)
    per_block = {}
    for row in rows:
        per_block.setdefault(row.unit, []).append((row.x, row.y))
    assert 25 <= len(per_block) <= 30  # blocks without mapped ground have no point
    full = next(np.array(places) for places in per_block.values() if len(places) == 4)
    assert np.ptp(full, 0).tolist() == [25, 25]


def test_the_tolerance_lists_the_classes_around(known_product, tmp_path):
    out = tmp_path / "design"
    assert drawn(known_product, out, "--points=200", "--tolerance=3") == 0
    _, rows = read_design(out)
    assert all(row.map_class in row.near for row in rows)
    assert 0 < sum(len(row.near) == 2 for row in rows) < 100


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--density=0.3,0.1"], "--density=0.3,0.1: give shares between 0 and 1, in rising order"),
        (["--density=x"], "--density=x: a share must be a number"),
        (["--expected=0.9,0.8,0.7"], "--expected=0.9,0.8,0.7: give one accuracy, or one per class (pervious"),
        (["--block=50"], "--block needs --points"),
        (["--block=50", "--points=20", "--buffer=5"], "leave --polygons and --buffer out"),
        (["--block=200", "--points=60", "--minimum=2"], "has fewer blocks than are to be drawn"),
        (["--points=1"], "--points=1 must be a whole number"),
    ],
)
def test_bad_requests_get_one_sentence(known_product, tmp_path, capsys, flags, sentence):
    assert sample.main([f"--product={known_product}", f"--output={tmp_path / 'd'}", *flags]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "d" / "sample.csv").exists()


def test_a_product_of_another_place_is_no_earlier_map(known_product, tmp_path, capsys):
    other = make_product(tmp_path / "other", shares=(0.1,))
    assert sample.main([f"--product={known_product}", f"--earlier={other}", f"--output={tmp_path / 'd'}"]) == 2
    assert "has no tile '50N_0001_0340' at the same place" in capsys.readouterr().err


def test_regions_by_name(known_product, tmp_path):
    path = tmp_path / "regions.gpkg"
    shapes = [shapely.box(499_000, 3_399_000, 500_200, 3_401_000), shapely.box(500_200, 3_399_000, 501_200, 3_401_000)]
    geopandas.GeoDataFrame({"name": ["a", "b"]}, geometry=shapes, crs=32650).to_file(path)
    out = tmp_path / "design"
    given = [
        f"--product={known_product}",
        f"--output={out}",
        f"--polygons={path}",
        "--name=name",
        "--points=60",
        "--no-page",
    ]
    assert sample.main([*given, "--minimum=4"]) == 0
    design, rows = read_design(out)
    assert {s.name.split(":")[0] for s in design.strata} == {"a", "b", "outside"}
    for row in rows:
        region = "a" if row.x < 500_200 and row.epsg == 32650 else "b" if row.x < 501_200 else "outside"
        assert row.stratum == f"{region}: {row.map_class}"


def test_pixels_on_the_edges_of_polygons_are_no_strata(known_product, tmp_path, capsys):
    """Nobody could label the few square metres, and a stratum without answers has no standard error."""
    path, out = tmp_path / "regions.gpkg", tmp_path / "design"
    gap = shapely.box(500_100, 3_399_950, 500_106, 3_399_956)
    all_but = shapely.box(480_000, 3_380_000, 1_100_000, 3_420_000) - gap
    geopandas.GeoDataFrame({"name": ["all"]}, geometry=[all_but], crs=32650).to_file(path)
    given = [f"--product={known_product}", f"--output={out}", f"--polygons={path}", "--name=name", "--no-page"]
    assert sample.main([*given, "--points=40", "--minimum=4"]) == 0
    design, rows = read_design(out)
    assert {s.name.split(":")[0] for s in design.strata} == {"all"}
    assert design.area == pytest.approx(sum(s.size for s in design.strata))
    assert re.search(r"outside all polygons lie \d+ m2 \(0\.\d\d% of the map\): left out", capsys.readouterr().out)
    assert len(rows) == 40


def test_polygons_elsewhere_are_refused_and_some_are_named(known_product, tmp_path, capsys):
    path, out = tmp_path / "regions.gpkg", tmp_path / "design"
    here, far = shapely.box(499_000, 3_399_000, 500_200, 3_401_000), shapely.box(599_000, 3_399_000, 599_200, 3_399_100)
    given = [f"--product={known_product}", f"--output={out}", f"--polygons={path}", "--name=name", "--no-page"]
    geopandas.GeoDataFrame({"name": ["far"]}, geometry=[far], crs=32650).to_file(path)
    assert sample.main(given) == 2
    assert "holds mapped ground of" in capsys.readouterr().err
    geopandas.GeoDataFrame({"name": ["here", "far"]}, geometry=[here, far], crs=32650).to_file(path)
    assert sample.main([*given, "--points=40", "--minimum=4"]) == 0
    assert "no mapped ground in 1 of 2 polygons: far" in capsys.readouterr().out


def test_a_changed_sample_is_refused(known_product, tmp_path, capsys):
    out = tmp_path / "design"
    assert (
        sample.main([f"--product={known_product}", f"--output={out}", "--points=20", "--minimum=5", "--no-page"]) == 0
    )
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    text = (copy / "sample.csv").read_text()
    (copy / "sample.csv").write_text(text.replace(",impervious,", ",pervious,", 1))
    with pytest.raises(ValueError, match=r"is not the sample that .*design\.json describes"):
        read_design(copy)
    record = json.loads((out / "design.json").read_text())
    (out / "design.json").write_text(json.dumps({**record, "seed": 5}))
    with pytest.raises(ValueError, match="checksum is wrong"):
        read_design(out)
    assert csv.DictReader(text.splitlines()).fieldnames
