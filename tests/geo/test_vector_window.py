"""The part of a vector file that lies on a site."""

import geopandas as gpd
import numpy as np
import pytest
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo import vector_window
from jointseg_jax.geo.vector_window import read_window

pytestmark = pytest.mark.quick

CRS = "EPSG:32650"
HERE = (500_000.0, 3_400_000.0, 501_000.0, 3_401_000.0)


def grid(crs=CRS):
    """A hundred squares of 10 m, 1 km apart; one lies in `HERE`."""
    corners = [(500_500 + 1000 * x, 3_400_500 + 1000 * y) for x in range(10) for y in range(10)]
    shapes = [shapely.box(x, y, x + 10, y + 10) for x, y in corners]
    return gpd.GeoDataFrame({"n": np.arange(100)}, geometry=shapes, crs=CRS).to_crs(crs)


@pytest.mark.parametrize("crs", [CRS, 4326, 3857, 32651])
@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "parquet", "fgb"])
def test_only_features_near_the_site_are_read(tmp_path, suffix, crs):
    path, frame = tmp_path / f"x.{suffix}", grid(crs)
    frame.to_parquet(path) if suffix == "parquet" else frame.to_file(path)
    (layer,) = read_window(path, HERE, CRS).layers
    assert list(layer.table["n"]) == [0]


def test_a_large_file_without_an_index_is_copied_once(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_window, "_SMALL", 0)
    scratch = tmp_path / "scratch"
    for suffix in ("geojson", "parquet"):
        path = tmp_path / f"{suffix}.{suffix}"
        frame = grid(4326)
        frame.to_parquet(path) if suffix == "parquet" else frame.to_file(path)
        for _ in range(2):
            (layer,) = read_window(path, HERE, CRS, scratch).layers
            assert list(layer.table["n"]) == [0]
            assert layer.path == path
        (copy,) = scratch.glob(f"{suffix}-*.gpkg")
    indexed = tmp_path / "indexed.gpkg"
    grid().to_file(indexed)
    read_window(indexed, HERE, CRS, scratch)
    assert not list(scratch.glob("indexed*"))
    old = copy.stat().st_mtime_ns
    grid(4326).iloc[:50].to_parquet(path)
    read_window(path, HERE, CRS, scratch)
    assert copy.stat().st_mtime_ns == old
    assert len(list(scratch.glob("parquet-*.gpkg"))) == 2  # the file has changed


def test_a_copy_that_lacks_features_is_no_copy(tmp_path, monkeypatch):
    """GDAL's driver hides a full disk."""
    monkeypatch.setattr(vector_window, "_SMALL", 0)
    path = tmp_path / "x.geojson"
    grid(4326).to_file(path)
    write = vector_window.pyogrio.write_arrow

    def less(reader, *given, **more):
        half = [batch.slice(0, batch.num_rows // 2) for batch in reader]
        write(vector_window.pa.RecordBatchReader.from_batches(half[0].schema, half), *given, **more)

    monkeypatch.setattr(vector_window.pyogrio, "write_arrow", less)
    with pytest.raises(OSError, match="No space left"):
        read_window(path, HERE, CRS, tmp_path / "scratch")
    assert not list((tmp_path / "scratch").glob("*.gpkg"))


def test_a_file_of_another_place_is_refused(tmp_path):
    path = tmp_path / "x.gpkg"
    grid().to_file(path)
    with pytest.raises(InputError, match=r"x\.gpkg has nothing on the site"):
        read_window(path, tuple(v + 1e5 for v in HERE), CRS)
    between = (501_100.0, 3_400_000.0, 501_400.0, 3_401_000.0)
    assert read_window(path, between, CRS).layers[0].table.empty


OSM = """<osm version="0.6"><bounds minlat="30.70" minlon="117.00" maxlat="30.75" maxlon="117.02"/>
<node id="1" lat="30.73" lon="117.001"/><node id="2" lat="30.73" lon="117.002"/>
<node id="3" lat="30.731" lon="117.002"/>
<way id="4"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="1"/><tag k="building" v="yes"/><tag k="width" v="3"/></way>
<way id="5"><nd ref="1"/><nd ref="3"/><tag k="highway" v="service"/></way>
<relation id="6"><member type="way" ref="5" role=""/><tag k="type" v="route"/></relation></osm>"""


@pytest.mark.parametrize("small", [True, False])
def test_openstreetmap(tmp_path, monkeypatch, small):
    """Lines and areas with all their tags, no relations of lines; and the box that the extract declares."""
    if not small:
        monkeypatch.setattr(vector_window, "_SMALL", 0)
    path = tmp_path / "x.osm"
    path.write_text(OSM)
    window = read_window(path, (500_000, 3_396_000, 500_400, 3_400_600), CRS, tmp_path / "scratch")
    tables = {layer.name: layer.table for layer in window.layers}
    assert list(tables) == ["lines", "multipolygons"]
    assert list(tables["lines"]["highway"]) == ["service"]
    assert list(tables["multipolygons"]["other_tags"]) == ['"width"=>"3"']
    assert window.covered.bounds == pytest.approx((117.0, 30.7, 117.02, 30.75))
    assert bool(list((tmp_path / "scratch").glob("*.gpkg"))) != small
