"""Vector files as people have them: every layer counts, and what cannot be used is one sentence, soon."""

import http.server
import json
import os
import threading
import time

import geopandas
import numpy as np
import pyproj
import pytest
import shapely

from jointseg_jax.data.prepare.labels.features import read_features
from jointseg_jax.data.prepare.labels.rules import NONE_GIVEN
from jointseg_jax.errors import InputError
from jointseg_jax.geo.area_of_interest import read_area
from jointseg_jax.geo.polygons import is_tangled, polygonal
from jointseg_jax.mapping.tools.zonal import read_polygons

pytestmark = pytest.mark.quick

BOX = shapely.box(117.0, 30.9, 117.1, 31.0)
OTHER = shapely.box(118.0, 30.9, 118.1, 31.0)
LOCAL = 'LOCAL_CS["site grid",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'


def write(path, *shapes, crs=4326, **options):
    names = [f"n{i}" for i in range(len(shapes))]
    geopandas.GeoDataFrame({"name": names}, geometry=list(shapes), crs=crs).to_file(path, **options)
    return path


def geojson(path, rings, **more):
    feature = {"type": "Feature", "properties": {"name": "a"}, "geometry": {"type": "Polygon", "coordinates": rings}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature], **more}))
    return path


READERS = [lambda path: read_area(path, say=lambda _: None), lambda path: read_polygons(path, None)]


def shapes_of(path):
    """Lines and areas of a site's label; broken ones are counted, not refused."""
    return read_features([path], NONE_GIVEN, (499_000, 3_415_000, 510_000, 3_430_000), "EPSG:32650")


def refused(path, message, *, also_labels=True):
    """Every reader says the same."""
    for read in (*READERS, *([shapes_of] if also_labels else [])):
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert path.stem in str(caught.value)


def kml(*folders):
    def placemark(shape):
        ring = " ".join(f"{x},{y},0" for x, y in shape.exterior.coords)
        outline = f"<outerBoundaryIs><LinearRing><coordinates>{ring}</coordinates></LinearRing></outerBoundaryIs>"
        return f"<Placemark><name>p</name><Polygon>{outline}</Polygon></Placemark>"

    inside = "".join(f"<Folder><name>{name}</name>{placemark(shape)}</Folder>" for name, shape in folders)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{inside}</Document></kml>'
    )


@pytest.mark.parametrize("suffix", ["gpkg", "kml"])
def test_all_layers_count(tmp_path, suffix):
    path = tmp_path / f"areas.{suffix}"
    if suffix == "gpkg":
        write(path, BOX, layer="north")
        write(path, shapely.Point(0, 0), layer="towns")
        write(path, *geopandas.GeoSeries([OTHER], crs=4326).to_crs(32650), crs=32650, layer="south")
    else:
        path.write_text(kml(("north", BOX), ("south", OTHER)))
    lines = []
    found = read_area(path, say=lines.append)
    assert found.bounds == pytest.approx((117.0, 30.9, 118.1, 31.0), abs=2e-4)
    assert "2 layers" in lines[0]
    assert "north, south" in lines[0]
    table = read_polygons(path, None)
    assert list(table["layer"]) == ["north", "south"]
    assert table.total_bounds == pytest.approx((117.0, 30.9, 118.1, 31.0), abs=1e-6)


def test_features_that_do_not_count_are_said(tmp_path):
    lines = []
    read_area(write(tmp_path / "a.gpkg", BOX, None, shapely.Point(117, 30)), say=lines.append)
    assert lines == ["aoi     2 of 3 features are not polygons and are ignored"]


def test_one_layer_says_nothing(tmp_path, capsys):
    assert read_area(write(tmp_path / "a.gpkg", BOX)).equals(BOX)
    assert not capsys.readouterr().out


def test_geoparquet(tmp_path):
    geopandas.GeoDataFrame({"name": ["a"]}, geometry=[BOX], crs=4326).to_parquet(tmp_path / "a.parquet")
    assert read_area(tmp_path / "a.parquet").equals(BOX)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and no more")
    refused(tmp_path / "b.parquet", "cannot be read as a vector file")


def test_rings_that_are_not_closed_are_closed(tmp_path):
    path = geojson(tmp_path / "open.geojson", [[[117, 30.9], [117.1, 30.9], [117.1, 31], [117, 31]]])
    assert read_area(path).equals(BOX)
    assert read_polygons(path, None).geometry[0].equals(BOX)
    assert len(shapes_of(path).shapes) == 1


def test_a_byte_order_mark(tmp_path):
    path = geojson(tmp_path / "bom.geojson", [[[117, 30.9], [117.1, 30.9], [117.1, 31], [117, 31]]])
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert read_area(path).equals(BOX)


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_coordinates_that_are_no_numbers_are_named(tmp_path, value):
    path = geojson(tmp_path / "bad.geojson", [[[117, 30.9], [117.5, 31], [117.1, 31], [117, 30.9]]])
    path.write_text(path.read_text().replace("117.5", value))
    refused(path, "feature 1 of layer 'bad' .* not a finite number", also_labels=False)


@pytest.mark.parametrize("crs", [LOCAL, "EPSG:4978", "ESRI:104903"])
def test_a_crs_that_does_not_lead_to_degrees(tmp_path, crs):
    refused(
        write(tmp_path / "a.gpkg", shapely.box(0, 0, 10, 10), crs=pyproj.CRS(crs)), "cannot be transformed to longitude"
    )


def test_metres_that_are_said_to_be_degrees(tmp_path):
    refused(
        write(tmp_path / "a.gpkg", shapely.box(5e5, 3e6, 5.1e5, 3.1e6)),
        "has a CRS in degrees, but a point at .*: assign",
    )


def test_degrees_that_are_said_to_be_metres(tmp_path):
    refused(write(tmp_path / "a.gpkg", shapely.box(117, 30, 118, 31), crs="EPSG:32650"), "look like degrees: assign")


@pytest.mark.parametrize(
    ("text", "message"),
    [('PROJCS["bro', r"a\.prj has no CRS that can be read .*: replace the file"), ("hello", "has no CRS")],
)
def test_a_broken_prj(tmp_path, text, message):
    path = write(tmp_path / "a.shp", BOX)
    path.with_suffix(".prj").write_text(text)
    refused(path, message)


def tangle(vertices):
    return np.random.default_rng(0).uniform(117, 117.1, (vertices, 2)) - [0, 86]


def test_an_area_that_crosses_itself_everywhere_is_refused_at_once(tmp_path):
    """Repairing 1,500 such vertices took eight minutes."""
    started = time.monotonic()
    path = write(tmp_path / "a.gpkg", shapely.Polygon(tangle(1500)))
    refused(path, "feature 1 of layer 'a' .* crosses itself", also_labels=False)
    assert shapes_of(path).counts["dropped: broken beyond repair"] == 1
    assert time.monotonic() - started < 20


def test_a_line_that_crosses_itself_everywhere_is_left_out_at_once(tmp_path):
    found = shapes_of(write(tmp_path / "a.gpkg", shapely.LineString(tangle(1500))))
    assert found.counts["dropped: broken beyond repair"] == 1


def test_what_crosses_itself_now_and_then_is_repaired(tmp_path):
    started = time.monotonic()
    area = read_area(write(tmp_path / "a.gpkg", shapely.Polygon(tangle(300))))
    assert area.is_valid
    assert area.area > 0.005
    assert time.monotonic() - started < 20


def test_touching_is_no_crossing():
    """Rings of blocks that meet at their corners, as polygons made of pixels have them."""
    steps = np.arange(3000)
    there = np.column_stack([(steps + 1) // 2, steps // 2])
    back = np.column_stack([steps // 2, (steps + 1) // 2])[::-1]
    stairs = shapely.Polygon(np.concatenate([there, back]))
    assert not stairs.is_valid
    assert not is_tangled(stairs)
    assert polygonal(stairs).area == pytest.approx(1500, abs=2)


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.geojson")
    refused(tmp_path / "a.geojson", "pipe or a device")


@pytest.mark.parametrize("text", ["<OGRVRTDataSource/>", '{"type": "gdal_streamed_alg", "command_line": "gdal"}'])
def test_what_points_at_other_data_is_refused(tmp_path, text):
    (tmp_path / "a.geojson").write_text(text)
    refused(tmp_path / "a.geojson", "reference to other data: copy them")


def test_no_other_machine_is_asked(tmp_path):
    """GDAL fetches the CRS of a GeoJSON from an address in it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        crs = {"type": "link", "properties": {"href": f"http://127.0.0.1:{server.server_port}/crs", "type": "ogcwkt"}}
        path = geojson(tmp_path / "a.geojson", [[[117, 30.9], [117.1, 30.9], [117.1, 31], [117, 30.9]]], crs=crs)
        read_area(path)
        server.shutdown()
    assert not asked


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    """The advice to restore the file would be wrong."""
    path = write(tmp_path / "a.gpkg", BOX)

    def read(*_, **__):
        raise MemoryError

    monkeypatch.setattr(geopandas, "read_file", read)
    with pytest.raises(MemoryError):
        read_area(path)
