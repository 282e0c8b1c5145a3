"""Vector files as people have them: layers, themes, points, broken shapes, widths."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
import toy

from jointseg_jax.data.prepare.labels.features import read_features
from jointseg_jax.data.prepare.labels.rules import NONE_GIVEN, load_rules, parse_rules
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick

BOUNDS = (toy.LEFT, toy.TOP - 360, toy.LEFT + 420, toy.TOP)
ROAD = shapely.LineString([(0, 120), (420, 120)])
HOUSE = shapely.box(60, 300, 90, 320)
BOW = shapely.Polygon([(100, 100), (140, 140), (140, 100), (100, 140)])
TREE = shapely.Point(60.5, 220.5)
ALL = parse_rules("rules: [{name: all, label: impervious, width: 6}]", "x.yaml")


def read(path, rules=NONE_GIVEN):
    return read_features([path], rules, BOUNDS, toy.CRS)


def area(features):
    return sum(shape.geometry.area for shape in features.shapes)


def test_without_rules_one_theme_is_impervious(put):
    found = read(put(roads=[(ROAD, {"width": "8"}), (None, {})]))
    assert found.counts["width by width"] == found.counts["features"] == 1
    assert area(found) == pytest.approx(420 * 8 + np.pi * 16, rel=1e-3)
    assert area(read(put("y.gpkg", houses=[(HOUSE, {"kind": "house"})]))) == pytest.approx(600)


@pytest.mark.parametrize(
    ("layers", "has"),
    [
        ({"roads": [(ROAD, {})], "houses": [(HOUSE, {})]}, "the layers roads, houses"),
        ({"lines": [(ROAD, {"highway": "primary"})]}, "the tags highway"),
        ({"areas": [(HOUSE, {"boundary": "administrative", "admin_level": "4"})]}, "the tags admin_level, boundary"),
        ({"areas": [(HOUSE, {"other_tags": '"a"=>"b"'})]}, "the tags other_tags"),
    ],
)
def test_several_themes_need_rules(put, layers, has):
    path = put(**layers)
    with pytest.raises(InputError, match=rf"x\.gpkg has {has}, .*set dataset\.label\.rules to 'osm'"):
        read(path)
    assert read(path, ALL).shapes


def test_layers_that_no_rule_names_are_counted_and_left_out(put):
    path = put(roads=[(ROAD, {})], plots=[(HOUSE, {}), (HOUSE, {})])
    rules = parse_rules("rules: [{name: streets, layers: roads, label: impervious, width: 4}]", "x")
    found = read(path, rules)
    assert found.counts["rule streets"] == 1
    assert found.counts["no rule"] == 2
    assert len(found.shapes) == 1


def test_points_have_no_extent(put):
    """Trees and lamps of a city's file are no impervious ground, alone or in a collection."""
    both = shapely.GeometryCollection([TREE, HOUSE, ROAD])
    found = read(put(trees=[(TREE, {}), (shapely.MultiPoint([TREE]), {})], mixed=[(both, {})]))
    assert [shape.whole for shape in found.shapes] == [False, True]  # the larger one first
    with pytest.raises(InputError, match=r"y\.gpkg contains only points"):
        read(put("y.gpkg", trees=[(TREE, {})]))


def test_an_empty_file_is_a_site_without_roads(tmp_path):
    path = tmp_path / "x.gpkg"
    gpd.GeoDataFrame({"name": []}, geometry=[], crs=toy.CRS).to_file(path)
    assert read(path).shapes == ()


def test_broken_shapes_are_repaired_or_dropped_and_counted(put):
    rng = np.random.default_rng(0)
    tangle = shapely.Polygon(rng.uniform(100, 300, (1500, 2)))
    path = put(
        areas=[(BOW, {}), (HOUSE, {}), (tangle, {}), (shapely.Polygon([(1, 1), (2, 2), (1, 1)]), {}), (None, {})],
        lines=[(shapely.LineString([(5, 5), (5, 5)]), {}), (shapely.LineString(rng.uniform(100, 300, (1500, 2))), {})],
    )
    found = read(path, ALL)
    told = {what: number for what, number in found.counts.items() if what.startswith(("repaired", "dropped"))}
    assert {what: number for what, number in told.items() if number} == {
        "repaired": 1, "dropped: broken beyond repair": 4,
    }  # fmt: skip
    assert area(found) == pytest.approx(HOUSE.area + 2 * 20 * 20)


def test_coordinates_that_are_no_numbers_drop_their_feature_alone(tmp_path):
    ring = HOUSE.exterior.coords[:]
    text = ", ".join(
        "[Infinity, 30.73]" if n == 2 else f"[{117 + x * 1e-5}, {30.7 + y * 1e-5}]" for n, (x, y) in enumerate(ring)
    )
    whole = "[117.0003, 30.73], [117.001, 30.73], [117.001, 30.731], [117.0003, 30.73]"
    rows = ", ".join(
        f'{{"type": "Feature", "properties": {{}}, "geometry": {{"type": "Polygon", "coordinates": [[{r}]]}}}}'
        for r in (text, whole)
    )
    path = tmp_path / "x.geojson"
    path.write_text(f'{{"type": "FeatureCollection", "features": [{rows}]}}')
    found = read_features([path], ALL, (500_000, 3_396_000, 500_400, 3_400_000), toy.CRS)
    assert found.counts["dropped: coordinates that are no numbers"] == 1
    assert len(found.shapes) == 1


@pytest.mark.parametrize(
    ("width", "expected", "told"),
    [
        ("4 m", 4, "width"),
        (7.0, 7, "width"),
        ("", 6, "class"),
        (None, 6, "class"),
        ("narrow", 6, "class"),
        (-2.0, 6, "class"),
    ],
)
def test_widths(put, width, expected, told):
    found = read(put(roads=[(ROAD, {"width": width, "id": 1})]), ALL)
    assert found.counts[f"width by {told}"] == 1
    assert found.counts.get("width that cannot be read", 0) == (width in ("narrow", -2.0))
    assert np.diff(found.shapes[0].geometry.bounds[1::2])[0] == pytest.approx(expected)


def test_shapes_that_reach_far_beyond_the_site_are_cut_to_it(put):
    """A coast or a country would take as long as a continent's worth of sites, and leave the zone."""
    world = put("x.gpkg", crs=4326, areas=[(shapely.box(-200_000, -200_000, 200_000, 200_000), {})])
    box = shapely.box(*read(world, ALL).shapes[0].geometry.bounds)
    assert box.covers(shapely.box(*BOUNDS))
    assert box.area < 2000**2


def test_long_sides_are_straight_on_the_ground(put):
    """A straight line of 100 km in degrees bends by metres in UTM; its vertices alone would show no bend."""
    path = put("x.gpkg", crs=4326, roads=[(shapely.LineString([(-50_000, 100), (50_000, 100)]), {"width": 1})])
    (line,) = gpd.read_file(path).geometry
    degrees = shapely.segmentize(line, 0.0001)
    truth = gpd.GeoSeries([degrees], crs=4326).to_crs(toy.CRS)[0]
    middle = shapely.box(*BOUNDS).intersection(truth)
    assert read(path).shapes[0].geometry.buffer(-0.45).covers(middle)


@pytest.mark.parametrize("spoil", ["damaged", "missing", "no CRS", "no geometry"])
def test_vectors_that_cannot_be_used_are_named(tmp_path, put, spoil):
    path = tmp_path / "x.gpkg"
    if spoil == "damaged":
        path.write_bytes(b"nothing like a database")
    elif spoil == "no CRS":
        path = put("x.shp", houses=[(HOUSE, {"kind": "house"})])
        path.with_suffix(".prj").unlink()
    elif spoil == "no geometry":
        pyogrio.write_dataframe(pd.DataFrame({"note": ["not on the map"]}), path, layer="notes")
    message = {"no CRS": "has no CRS", "no geometry": "no layer with geometries"}.get(
        spoil, "does not exist" if spoil == "missing" else "cannot be read as a vector file"
    )
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shapefile_with_a_theme_column_needs_rules(put):
    with pytest.raises(InputError, match=r"the tags fclass.*rules to 'geofabrik' for Geofabrik's shapefiles"):
        read(put("x.shp", roads=[(ROAD, {"fclass": "primary"})]))


@pytest.mark.parametrize(
    ("tags", "given", "wanted"),
    [
        ({"fclass": "primary", "code": 5113, "tunnel": "F", "layer": 0}, "osm", "geofabrik"),
        ({"highway": "primary", "other_tags": '"lanes"=>"2"'}, "geofabrik", "osm"),
    ],
)
def test_rules_that_do_not_ask_for_the_themes_of_a_file_are_refused(put, tags, given, wanted):
    """The rules for OpenStreetMap would take `tunnel=F` for a tunnel; the others would find nothing."""
    path = put("x.shp" if wanted == "geofabrik" else "x.gpkg", roads=[(ROAD, tags)])
    with pytest.raises(InputError, match=rf"no rule asks for that: set dataset\.label\.rules to '{wanted}'"):
        read(path, load_rules(given))
    assert read(path, load_rules(wanted)).shapes[0].value == 1
    by_layer = parse_rules("rules: [{name: streets, label: impervious, width: 4}]", "x")
    assert read(path, by_layer).counts["rule streets"] == 1
