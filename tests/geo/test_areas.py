"""Areas on the ellipsoid, against the projection's own scale factors and against each other."""

import numpy as np
import pyproj
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.geo.ellipsoid import PixelAreas
from jointseg_jax.rasters.lattice import Window, make_lattice


@pytest.mark.parametrize("left", [166_020.0, 300_000.0, 500_040.0, 833_000.0])
@pytest.mark.parametrize(("crs", "top"), [("EPSG:32650", 3_400_020.0), ("EPSG:32650", 60.0), ("EPSG:32750", 6.2e6)])
def test_the_projections_areal_scale_says_the_same(crs, left, top):
    lattice = make_lattice(crs, left, top, 1, 640, 640)
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(left + 320, top - 320)
    scale = pyproj.Proj(crs).get_factors(lon, lat).areal_scale
    assert PixelAreas(lattice).pixel(Window(0, 0, 640, 640)) == pytest.approx(1 / scale, rel=2e-7)


def test_parts_add_up_to_the_whole():
    """A tile of 10.24 km, cut into cores of any size."""
    lattice = make_lattice("EPSG:32650", 700_000.0, 3_400_000.0, 1, 10240, 10240)
    areas = PixelAreas(lattice)
    whole = areas.window(Window(0, 0, 10240, 10240))
    assert abs(whole / 10240**2 - 1) > 1e-5
    for side in (640, 1000):
        parts = sum(
            areas.window(Window(row, col, min(side, 10240 - row), min(side, 10240 - col)))
            for row in range(0, 10240, side)
            for col in range(0, 10240, side)
        )
        assert parts == pytest.approx(whole, rel=1e-8)


def test_degrees_are_no_obstacle():
    """One by one degree at the equator: 12,308.8 km2 on WGS 84 (Karney's Planimeter)."""
    lattice = make_lattice("EPSG:4326", 10.0, 1.0, 0.01, 100, 100)
    assert PixelAreas(lattice).window(Window(0, 0, 100, 100)) == pytest.approx(12_308.8e6, rel=1e-4)


def test_across_the_date_line():
    here = PixelAreas(make_lattice("EPSG:4326", 179.9, 60.1, 0.001, 200, 200)).window(Window(0, 0, 200, 200))
    elsewhere = PixelAreas(make_lattice("EPSG:4326", 9.9, 60.1, 0.001, 200, 200)).window(Window(0, 0, 200, 200))
    assert here == pytest.approx(elsewhere, rel=1e-9)


def test_pixels_of_a_zone_differ_by_thousandths():
    lattice = make_lattice("EPSG:32650", 166_000.0, 3_400_000.0, 1, 10, 668_000)
    areas = PixelAreas(lattice)
    sizes = np.array([areas.pixel(Window(0, col, 10, 1000)) for col in range(0, 668_000, 1000)])
    assert sizes.max() == pytest.approx(1 / 0.9996**2, abs=1e-6)
    assert 0.997 < sizes.min() < 0.999


def test_without_an_ellipsoid_it_is_refused():
    with pytest.raises(InputError, match="no CRS"):
        PixelAreas(make_lattice(None, 0.0, 0.0, 1, 10, 10))
    local = 'LOCAL_CS["site grid",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    with pytest.raises(InputError, match="areas cannot be measured"):
        PixelAreas(make_lattice(local, 0.0, 0.0, 1, 10, 10))
