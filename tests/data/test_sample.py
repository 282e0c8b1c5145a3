"""Training sites over an area: strata, distances, speed, and what is said about them."""

import json
import time

import geopandas
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from scipy.spatial import cKDTree

from jointseg_jax.commands import sites
from jointseg_jax.data.prepare.site_list import from_table
from jointseg_jax.data.sampling import Density, _authalic, _latitude, draw
from jointseg_jax.errors import InputError
from jointseg_jax.geo.ellipsoid import area
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster

BELT = {"west": shapely.box(98, 26, 104, 32), "east": shapely.box(117, 29, 122, 33)}


def nearest(lon, lat):
    """The least geodesic distance between any two points, metres."""
    xyz = np.column_stack(pyproj.Transformer.from_crs(4979, 4978, always_xy=True).transform(lon, lat, 0 * lon))
    _, index = cKDTree(xyz).query(xyz, 2)
    return pyproj.Geod(ellps="WGS84").inv(lon, lat, lon[index[:, 1]], lat[index[:, 1]])[2].min()


def test_thousands_in_seconds_apart_and_reproducible():
    begun = time.process_time()
    drawn = draw(BELT, 4000, 3000.0, seed=1)
    assert time.process_time() - begun < 10
    assert len(drawn.lon) == 4000
    assert np.bincount(drawn.region).tolist() == [2000, 2000]
    assert nearest(drawn.lon, drawn.lat) >= 3000
    for number, ground in enumerate(BELT.values()):
        assert shapely.contains_xy(ground, drawn.lon[drawn.region == number], drawn.lat[drawn.region == number]).all()
    again = draw(BELT, 4000, 3000.0, seed=1)
    np.testing.assert_array_equal(drawn.lon, again.lon)
    assert not np.array_equal(drawn.lon, draw(BELT, 4000, 3000.0, seed=2).lon)


def test_points_are_uniform_by_area():
    """Over 60 degrees of latitude, where a degree in the north covers half the ground of one in the south."""
    box = shapely.box(0, 0, 10, 60)
    drawn = draw({"all": box}, 3000, 0.0, seed=0)
    share = area(shapely.box(0, 0, 10, 30)) / area(box)
    assert abs((drawn.lat < 30).mean() - share) < 3.5 * np.sqrt(share * (1 - share) / 3000)
    lat = np.linspace(10, 50, 7)
    np.testing.assert_allclose(_latitude(_authalic(lat), 10, 50), lat, atol=1e-6)


def classes(breaks=(10.0, 50.0)):
    """A raster over 2 x 1 degrees: 5 in the left, 30 in a strip of a hundredth, 90 right of it, nodata in the north."""
    values = np.full((100, 200), 90.0)
    values[:, :100], values[:, 100:102] = 5, 30
    valid = np.ones(values.shape, bool)
    valid[:20] = False
    return Density(values, valid, make_lattice("EPSG:4326", 110.0, 31.0, 0.01, 100, 200), breaks)


def test_strata_get_equal_numbers_while_they_have_room():
    ground = {"all": shapely.box(110, 30, 112, 31)}
    drawn = draw(ground, 30, 3000.0, 0, classes())
    assert np.bincount(drawn.density).tolist() == [10, 10, 10]
    assert (drawn.lat < 30.8).all()
    drawn = draw(ground, 300, 3000.0, 0, classes())
    counts = np.bincount(drawn.density)
    assert counts.sum() == 300
    assert 20 < counts[1] < 60  # the strip is 90 km long
    assert min(counts[0], counts[2]) >= 100
    np.testing.assert_array_equal(classes().classes(drawn.lon, drawn.lat), drawn.density)


def test_no_room_and_no_ground():
    small = {"all": shapely.box(110, 30.1, 110.2, 30.2)}
    with pytest.raises(InputError, match=r"only \d+ of 500 sites have room at a distance of 3 km: lower"):
        draw(small, 500, 3000.0, 0)
    with pytest.raises(InputError, match="no valid pixel of the density raster lies in all"):
        draw({"all": shapely.box(110, 30.9, 111, 30.99)}, 5, 3000.0, 0, classes())


def test_the_command_writes_a_table_for_preparation_and_a_map(tmp_path, capsys):
    regions = geopandas.GeoDataFrame({"basin": ["up", "down"]}, geometry=list(BELT.values()), crs=4326)
    regions.to_file(tmp_path / "belt.geojson")
    values = np.tile(np.linspace(0, 100, 300), (80, 1))[..., None].astype(np.float32)
    lattice = make_lattice("EPSG:4326", 98.0, 33.0, 0.1, 80, 300)
    write_raster(tmp_path / "built.tif", values, Layout(lattice, "float32", ("built",)))
    arguments = [
        f"--area={tmp_path}/belt.geojson", "--region=basin", f"--density={tmp_path}/built.tif", "--breaks=10,70",
        "--sites=60", f"--output={tmp_path}/out",
    ]  # fmt: skip
    assert sites.main(arguments) == 0
    said = capsys.readouterr().out
    assert "never estimate an accuracy or an area from it" in said
    table = pd.read_csv(tmp_path / "out" / "sites.csv")
    assert table.groupby(["region", "density"]).size().tolist() == [15, 15, 15, 15]
    assert [entry.region for entry in from_table(tmp_path / "out")] == table["region"].tolist()
    squares = geopandas.read_file(tmp_path / "out" / "sites.gpkg")
    near = squares.iloc[0].geometry.centroid.distance(shapely.Point(table["lon"][0], table["lat"][0]))
    assert near < 0.001
    assert abs(area(squares.iloc[0].geometry) / 4e6 - 1) < 0.005
    assert json.loads((tmp_path / "out" / "sample.json").read_text())["warning"].startswith("These sites are for train")
    first = {name: (tmp_path / "out" / name).read_bytes() for name in ("sites.csv", "sites.png")}
    assert first["sites.png"].startswith(b"\x89PNG")
    assert sites.main(arguments) == 0
    assert first == {name: (tmp_path / "out" / name).read_bytes() for name in first}
    assert sites.main([*arguments, "--side=2500"]) == 2
    assert sites.main([*arguments, "--breaks=70,10"]) == 2
    assert sites.main([*arguments, "--region=none"]) == 2
    errors = capsys.readouterr().err
    assert "make the distance at least 3536" in errors
    assert "no column 'none'; its columns are ['basin']" in errors
