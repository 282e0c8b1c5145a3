"""Black borders without a nodata value are absent; black ground is not."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.radiometry.find_collar import find_collar
from jointseg_jax.rasters.reader import open_raster
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick


def picture(height=300, width=260):
    """An 8-bit picture without any black."""
    return np.random.default_rng(0).integers(1, 255, (height, width, 3)).astype(np.uint8)


def write(path, values, nodata=None):
    lattice = make_lattice("EPSG:32650", 500_000, 3_400_000, 10, *values.shape[:2])
    bands = tuple("RGBA"[: values.shape[-1]])
    write_raster(path, values, Layout(lattice, str(values.dtype), bands, nodata))


def found(path, indexes=(1, 2, 3)):
    with open_raster(path) as raster:
        return find_collar(raster, indexes)


def swath(height=300, width=260):
    """The ground of a slanting swath, bool: the rest is black, with the thin ends that rotation leaves."""
    rows, cols = np.mgrid[:height, :width]
    return (cols > 40 - rows * 0.13) & (cols < 220 + rows * 0.12) & (rows > 9) & (rows < 290 - cols * 0.02)


def test_a_slanting_border_is_absent_to_the_pixel(tmp_path):
    values, ground = picture(), swath()
    values[~ground] = 0
    values[150:160, 120:140] = 0  # deep water
    values[100, 100] = 0
    write(tmp_path / "a.tif", values)
    collar = found(tmp_path / "a.tif")
    np.testing.assert_array_equal(collar.over(Window(0, 0, 300, 260)), ~ground)
    assert collar.share == pytest.approx(1 - ground.mean())
    part = collar.over(Window(-5, 200, 40, 100))  # reaches beyond the raster
    np.testing.assert_array_equal(part[5:, :60], ~ground[:35, 200:])
    assert not part[:5].any()
    assert not part[:, 60:].any()


@pytest.mark.parametrize(
    "blacken",
    [
        lambda v: v,
        lambda v: v.__setitem__(np.s_[100:200, 50:150], 0),  # a lake, 13 % of the picture
        lambda v: v.__setitem__(np.s_[100:125, :20], 0),  # one that reaches the edge
        lambda v: v.__setitem__(np.s_[5, 7], 0),
        lambda v: v.__setitem__(np.s_[:, :30, :2], 0),  # two of three bands
    ],
    ids=["none", "lake", "lake at the edge", "pixel", "not all bands"],
)
def test_black_ground_is_ground(tmp_path, blacken):
    values = picture()
    blacken(values)
    write(tmp_path / "a.tif", values)
    assert found(tmp_path / "a.tif") is None


def test_a_thin_border_along_an_edge_counts(tmp_path):
    values = picture()
    values[:, :2] = 0
    write(tmp_path / "a.tif", values)
    collar = found(tmp_path / "a.tif")
    assert collar.over(Window(0, 0, 300, 260)).sum() == 600


@pytest.mark.parametrize("how", ["nodata", "alpha", "mask"])
def test_a_raster_that_says_itself_what_is_absent_is_believed(tmp_path, how):
    values = np.concatenate([picture(), np.full((300, 260, 1), 255, np.uint8)], -1)
    values[:, :40] = 0
    write(tmp_path / "a.tif", values, 255 if how == "nodata" else None)
    with rasterio.open(tmp_path / "a.tif", "r+") as raster:
        if how == "alpha":
            raster.colorinterp = [ColorInterp.undefined] * 3 + [ColorInterp.alpha]
        if how == "mask":
            raster.write_mask(values[..., 3])
    assert found(tmp_path / "a.tif") is None


def test_a_wholly_black_raster_is_wholly_absent(tmp_path):
    write(tmp_path / "a.tif", np.zeros((20, 30, 3), np.uint8))
    assert found(tmp_path / "a.tif").over(Window(0, 0, 20, 30)).all()


def test_a_raster_too_large_to_be_searched_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("jointseg_jax.rasters.radiometry.find_collar._LARGEST", 500)
    write(tmp_path / "a.tif", np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\.tif has 30 x 20 pixels.*-a_nodata 0"):
        found(tmp_path / "a.tif")


def test_real_pictures_have_no_border(real_data):
    """Stretched chips with black water at their edges, and a mosaic with a black harbour basin."""
    files = sorted((real_data / "sentinel2" / "korea" / "images").glob("*.tif"))
    assert len(files) == 30
    for path in [*files, real_data / "dubai" / "scene4" / "image.vrt"]:
        assert found(path) is None, path
