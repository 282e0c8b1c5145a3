"""Labels from vectors and from codes."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
import toy
from affine import Affine

from jointseg_jax.data.prepare.labels import map_classes, rasterise, read_shapes
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick

NORTH_UP = Affine(1, 0, 0, 0, -1, 20)


def test_lines_are_buffered_by_half_their_width():
    road = shapely.LineString([(-5, 10), (25, 10)])
    label = rasterise([(road, 4.0)], NORTH_UP, 20, 20)
    assert label[8:12].all()
    assert label.sum() == 4 * 20


def test_pixel_centres_decide():
    square = shapely.box(2.6, 2.4, 5.4, 5.6)  # centres 3.5, 4.5 in x; 2.5 .. 5.5 in y
    label = rasterise([(square, 0.0)], NORTH_UP, 20, 20)
    assert label.sum() == 2 * 4


def test_empty_geometries_are_passed_over():
    label = rasterise([(shapely.Polygon(), 0.0), (shapely.box(0, 0, 5, 20), 0.0)], NORTH_UP, 20, 20)
    assert (label[:, :5] == 1).all()
    assert not label[:, 5:].any()


def test_codes_are_mapped_or_named():
    codes = np.array([[0, 1], [3, 5]], np.uint8)
    mapping = {0: 255, 1: 1, 3: 1, 5: 0}
    np.testing.assert_array_equal(map_classes(codes, mapping, "x.tif"), [[255, 1], [1, 0]])
    with pytest.raises(InputError, match=r"x\.tif has land-cover codes \[3, 5\]"):
        map_classes(codes, {0: 255, 1: 1}, "x.tif")


ROAD = shapely.LineString([(500_040, 3_399_900), (500_460, 3_399_900)])
HOUSE = shapely.box(500_100, 3_399_700, 500_130, 3_399_720)


def write_vectors(path):
    roads = gpd.GeoDataFrame({"width": [8.0, None]}, geometry=[ROAD, None], crs=toy.CRS)
    roads.to_file(path, layer="roads", driver="GPKG")
    gpd.GeoDataFrame({"kind": ["house"]}, geometry=[HOUSE], crs=toy.CRS).to_file(path, layer="buildings", driver="GPKG")
    pyogrio.write_dataframe(pd.DataFrame({"note": ["not on the map"]}), path, layer="notes")


def test_all_layers_of_a_vector_file_are_read(tmp_path):
    write_vectors(tmp_path / "x.gpkg")
    shapes = read_shapes(tmp_path / "x.gpkg", toy.CRS)
    assert sorted(width for _, width in shapes) == [0.0, 8.0]
    moved = read_shapes(tmp_path / "x.gpkg", "EPSG:32651")
    assert moved[0][0].bounds[0] < 0


def test_points_have_no_extent(tmp_path):
    """Trees and lamps of a city's file are no impervious ground, alone or in a collection."""
    path = tmp_path / "x.gpkg"
    tree = shapely.Point(500_100.5, 3_399_800.5)
    both = shapely.GeometryCollection([tree, HOUSE, ROAD])
    for layer, shapes in (("trees", [tree, shapely.MultiPoint([tree])]), ("mixed", [both])):
        gpd.GeoDataFrame({"name": ["x"] * len(shapes)}, geometry=shapes, crs=toy.CRS).to_file(path, layer=layer)
    assert [(g.geom_type, width) for g, width in read_shapes(path, toy.CRS)] == [("Polygon", 0.0), ("LineString", 6.0)]


def test_a_file_of_points_alone_is_refused(tmp_path):
    path = tmp_path / "x.gpkg"
    gpd.GeoDataFrame({"name": ["x"]}, geometry=[shapely.Point(500_100, 3_399_800)], crs=toy.CRS).to_file(path)
    with pytest.raises(InputError, match=r"x\.gpkg contains only points"):
        read_shapes(path, toy.CRS)
    gpd.GeoDataFrame({"name": []}, geometry=[], crs=toy.CRS).to_file(path)  # a site without roads
    assert read_shapes(path, toy.CRS) == []


def write_roads(path, width):
    """A road of that width, and a house, whose width means nothing."""
    other = "wide" if isinstance(width, str) else -1
    gpd.GeoDataFrame({"width": [width, other]}, geometry=[ROAD, HOUSE], crs=toy.CRS).to_file(path, layer="roads")


@pytest.mark.parametrize(
    ("width", "expected"),
    [("4 m", 4.0), ("3.5m", 3.5), (" 12", 12.0), ("", 6.0), ("0", 6.0), (0.0, 6.0), (np.nan, 6.0), (7, 7.0)],
)
def test_widths_are_numbers_or_plain_text(tmp_path, width, expected):
    write_roads(tmp_path / "x.gpkg", width)
    assert read_shapes(tmp_path / "x.gpkg", toy.CRS)[-1][1] == expected


@pytest.mark.parametrize("width", ["narrow", "3-4", "12'", "-2", "inf", -2.0])
def test_a_width_that_is_none_is_named(tmp_path, width):
    write_roads(tmp_path / "x.gpkg", width)
    with pytest.raises(InputError, match=r"layer 'roads' of .*x\.gpkg has a line of width") as caught:
        read_shapes(tmp_path / "x.gpkg", toy.CRS)
    assert repr(width) in str(caught.value)


def test_vectors_make_the_label(one):
    """No label.tif is looked for where vectors are named."""
    folder, config = one
    (folder / "label.tif").unlink()
    write_vectors(folder / "x.gpkg")
    config.source.vectors = ("x.gpkg",)
    config.source.cloud = ()
    data = prepare(config, say=toy.quiet)
    with rasterio.open(data.root / data.sites["a"].label) as raster:
        label = raster.read(1)
    assert (label[116:124, 40:] == 1).all()
    assert (label[300:320, 60:90] == 1).all()
    assert (label == 1).sum() == 8 * 420 + 20 * 30


@pytest.mark.parametrize("spoil", ["damaged", "missing", "no CRS", "no geometry"])
def test_vectors_that_cannot_be_used_are_named(tmp_path, spoil):
    path = tmp_path / "x.gpkg"
    if spoil == "damaged":
        path.write_bytes(b"nothing like a database")
    elif spoil == "no CRS":
        path = tmp_path / "x.shp"
        gpd.GeoDataFrame({"kind": ["house"]}, geometry=[HOUSE], crs=toy.CRS).to_file(path)
        path.with_suffix(".prj").unlink()
    elif spoil == "no geometry":
        pyogrio.write_dataframe(pd.DataFrame({"note": ["not on the map"]}), path, layer="notes")
    message = {"no CRS": "has no CRS", "no geometry": "no layer with geometries"}.get(
        spoil, "does not exist" if spoil == "missing" else "cannot be read as a vector file"
    )
    with pytest.raises(InputError, match=message) as caught:
        read_shapes(path, toy.CRS)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
