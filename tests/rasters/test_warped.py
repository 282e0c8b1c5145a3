"""Rasters of any CRS and spacing on a 1 m lattice: in their place, averaged or by majority, with no share of gaps."""

import numpy as np
import pyproj
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.aligned import Aligned, open_aligned
from jointseg_jax.rasters.lattice import Window, make_lattice, refine
from jointseg_jax.rasters.warped import Warped, bounds_in
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick

TARGET = make_lattice("EPSG:32618", 585_000, 4_500_000, 1, 60, 80)  # New York
ALL = Window(0, 0, 60, 80)
NADIR = {"EPSG:2263": 1 / 0.3048006096, "EPSG:3857": 1.0, "EPSG:4326": 1 / 90_000, "EPSG:32619": 1.0, "EPSG:32618": 1.0}


def grid_in(crs, metres):
    """A lattice in some CRS with pixels of about `metres` that reaches 15 m and more beyond the target."""
    left, bottom, right, top = bounds_in(TARGET.pad(15), crs)
    step = metres * NADIR[crs]
    return make_lattice(crs, left, top, step, int((top - bottom) / step), int((right - left) / step))


def places(lattice: GeoBox, crs: str):
    """Coordinates in `crs` of the centres of pixels."""
    height, width = lattice.shape
    cols, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = lattice.affine * (cols, rows)
    return pyproj.Transformer.from_crs(lattice.crs.to_wkt(), crs, always_xy=True).transform(x, y)


def wave(lattice):
    """A smooth pattern fixed to the ground, 500 to 1500, on the pixels of a lattice; of 20 m and more per period."""
    x, y = places(lattice, "EPSG:32618")
    return 1000 + 300 * np.sin((x - 585_000) / 4) + 200 * np.cos((y - 4_500_000) / 6)


@pytest.mark.parametrize("metres", [0.3, 0.5, 1.4])
@pytest.mark.parametrize("crs", NADIR)
def test_ground_stays_in_its_place_in_any_crs(tmp_path, crs, metres):
    own = grid_in(crs, metres)
    write_raster(tmp_path / "i.tif", wave(own).astype(np.uint16)[..., None], Layout(own, "uint16", ("a",)))
    with open_aligned(tmp_path / "i.tif", TARGET, warp=True, picture=True) as raster:
        found, inside = raster.read(ALL)
        for window in (Window(0, 0, 7, 80), Window(31, 17, 29, 40)):  # whichever window it is read through
            np.testing.assert_allclose(raster.read(window)[0], found[window.slices()].astype(int), atol=1)
        assert isinstance(raster, Warped)
        assert raster.spacing == pytest.approx(metres, rel=0.35)  # Web Mercator and degrees are no metres
        assert ("average" in raster.note) == (raster.spacing < 0.95)
    assert inside.all()
    # 0.1 m would change it by up to 8.
    np.testing.assert_allclose(found[..., 0], wave(TARGET), atol=8 if metres < 1 else 20)


def test_a_finer_raster_is_averaged_over_every_pixel(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    write_raster(tmp_path / "i.tif", noise, Layout(refine(TARGET, 2), "uint8", ("R", "G", "B"), rgb=True))
    with open_aligned(tmp_path / "i.tif", TARGET, warp=True, picture=True) as raster:
        found, _ = raster.read(ALL)
    np.testing.assert_allclose(found, noise.reshape(60, 2, 80, 2, 3).mean((1, 3)), atol=0.51)


def test_a_raster_on_the_lattice_is_not_resampled(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 1)).astype(np.uint8)
    write_raster(tmp_path / "i.tif", noise, Layout(TARGET, "uint8", ("R",)))
    with open_aligned(tmp_path / "i.tif", TARGET, warp=True, picture=True) as raster:
        assert isinstance(raster, Aligned)
        np.testing.assert_array_equal(raster.read(ALL)[0], noise)


@pytest.mark.parametrize(("picture", "hidden"), [(True, 0), (False, 1)])
def test_absent_pixels_take_no_part(tmp_path, picture, hidden):
    """At nodata in one band of two: a saturated picture, an incomplete measurement."""
    values = np.full((120, 160, 2), 200, np.uint8)
    values[:60, :, 0] = 0
    values[:20] = 0
    write_raster(tmp_path / "i.tif", values, Layout(refine(TARGET, 2), "uint8", ("a", "b"), 0))
    with open_aligned(tmp_path / "i.tif", TARGET, warp=True, picture=picture) as raster:
        found, inside = raster.read(ALL)
    np.testing.assert_array_equal(inside, (np.arange(60) >= (30 if hidden else 10))[:, None].repeat(80, 1))
    assert set(np.unique(found[inside])) == ({200} if hidden else {0, 200})


def test_classes_go_by_majority_after_their_translation(tmp_path):
    """Roof and road hold 30 % each of every pixel, grass the rest: built in the majority, grass by code."""
    codes = np.full((600, 800), 7, np.uint8)
    codes.reshape(60, 10, 80, 10)[:, :3] = 1
    codes.reshape(60, 10, 80, 10)[:, 3:6] = 2
    write_raster(tmp_path / "l.tif", codes[..., None], Layout(refine(TARGET, 10), "uint8", ("label",)))

    def recode(given, inside):
        return np.where(inside, np.isin(given, (1, 2)), 255).astype(np.uint8)

    with open_aligned(tmp_path / "l.tif", TARGET, warp=True, categorical=True) as raster:
        assert set(np.unique(raster.read(ALL)[0])) == {7}
    with open_aligned(tmp_path / "l.tif", TARGET, warp=True, categorical=True, recode=recode) as raster:
        found, inside = raster.read(Window(0, 0, 60, 90))
        assert "mode" in raster.note
    assert set(np.unique(found[:, :80])) == {1}
    np.testing.assert_array_equal(inside.all(0), np.arange(90) < 80)


def test_a_raster_without_a_place_is_refused(tmp_path):
    write_raster(tmp_path / "i.tif", np.ones((60, 80, 1), np.uint8), Layout(TARGET, "uint8", ("R",)))
    with rasterio.open(tmp_path / "i.tif", "r+") as raster:
        raster.crs = rasterio.crs.CRS()
    with pytest.raises(InputError, match=r"i\.tif has no CRS"), open_aligned(tmp_path / "i.tif", TARGET, warp=True):
        pass
