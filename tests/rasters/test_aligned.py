"""Rasters read on another lattice: shifted, repeated, warped; what they do not cover is a gap."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.aligned import open_aligned
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick

TARGET = make_lattice("EPSG:32650", 500_010, 3_399_990, 10, 35, 41)


def test_coarser_classes_are_repeated_wherever_the_lattice_begins(tmp_path):
    """The target begins in the middle of a 20 m pixel and has an odd number of rows and columns."""
    classes = np.random.default_rng(0).integers(1, 9, (30, 30)).astype(np.uint8)
    write_raster(
        tmp_path / "scl.tif",
        classes,
        Layout(make_lattice("EPSG:32650", 500_000, 3_400_000, 20, 30, 30), "uint8", ("SCL",), 0),
    )
    expected = np.repeat(np.repeat(classes, 2, 0), 2, 1)[1:, 1:]
    with open_aligned(tmp_path / "scl.tif", TARGET, categorical=True) as raster:
        for window in (Window(0, 0, 35, 41), Window(3, 4, 5, 6), Window(4, 7, 1, 1)):
            found, inside = raster.read(window)
            np.testing.assert_array_equal(found[..., 0], expected[window.slices()])
            assert inside.all()
        found, inside = raster.read(Window(50, -4, 20, 10))
        np.testing.assert_array_equal(inside[:, 3:].all(1), np.arange(20) < 9)
        assert not inside[:, :3].any()
    with pytest.raises(InputError, match="pixels of 20 m, but 10 m"), open_aligned(tmp_path / "scl.tif", TARGET):
        pass


@pytest.mark.parametrize("gap", ["none", "nodata", "mask", "alpha"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_ground_beyond_a_warped_raster_is_a_gap(tmp_path, gap, dtype):
    path = tmp_path / "dem.tif"
    values = np.full((60, 30, 2), 7, dtype)
    values[..., 1] = 255
    layout = Layout(
        make_lattice("EPSG:32650", 500_004, 3_399_997, 10, 60, 30), dtype, ("a", "b"), 0 if gap == "nodata" else None
    )
    write_raster(path, values, layout)
    hole = np.full((60, 30), 255, np.uint8)
    hole[:10] = 0
    with rasterio.open(path, "r+") as raster:
        if gap == "mask":
            raster.write_mask(hole)
        elif gap == "alpha":
            raster.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
            raster.write(hole.astype(dtype), 2)
        elif gap == "nodata":
            raster.write(np.where(hole, 7, 0).astype(dtype), 1)
            raster.write(np.where(hole, 7, 0).astype(dtype), 2)
    with open_aligned(path, TARGET, warp=True) as raster:
        found, inside = raster.read(Window(0, 0, 35, 41))
    assert found.shape == (35, 41, 2)
    assert not inside[:, 31:].any()
    if gap != "none":
        assert not inside[:7].any()
    assert inside[11:, 1:28].all()
    np.testing.assert_array_equal(found[inside][:, 0], 7)


@pytest.mark.parametrize("nodata", [None, 0])
def test_a_damaged_file_that_is_warped_is_named_and_read_when_it_comes_back(tmp_path, nodata):
    path = tmp_path / "x.tif"
    numbers = np.random.default_rng(0).integers(1, 999, (60, 60, 2)).astype(np.uint16)
    lattice = make_lattice("EPSG:32650", 500_004, 3_399_997, 10, 60, 60)
    write_raster(path, numbers, Layout(lattice, "uint16", ("a", "b"), nodata))
    window = Window(0, 0, 35, 41)
    with open_aligned(path, TARGET, warp=True) as raster:
        expected = raster.read(window)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with open_aligned(path, TARGET, warp=True) as raster:
        with pytest.raises(InputError) as caught:
            raster.read(window)
        assert str(caught.value).startswith(f"{path} is damaged near row 0, column 0")
        assert "No such file" not in str(caught.value)
        (tmp_path / "whole.tif").write_bytes(whole)
        (tmp_path / "whole.tif").replace(path)  # the open handle still has the half
        for found, right in zip(raster.read(window), expected, strict=True):
            np.testing.assert_array_equal(found, right)
