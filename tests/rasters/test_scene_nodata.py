"""Nodata of a scene: by value, by mask and by alpha band."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from scene_files import DISPLAY, REFLECTANCE, write_scene

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles, open_raster
from jointseg_jax.rasters.virtual.band_stack import Band, stack_bands, stack_beside

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("alpha", [False, True])
def test_all_bands_at_nodata_is_nodata_even_in_bands_not_used(tmp_path, alpha):
    """Four bands at 255 are nodata; three of them at 255 are a bright pixel."""
    path = tmp_path / "s.tif"
    write_scene(path, dtype="uint8", low=1, high=250, names=("B01", "B02", "B03", "B04"), nodata=255)
    with rasterio.open(path, "r+") as raster:
        values = raster.read()
        values[:, :4] = 255
        values[1:, 10, 10] = 255
        values[0, 12, 12] = 255
        raster.write(values)
        if alpha:  # what GDAL makes of four 8-bit bands when nobody says otherwise
            raster.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    read = open_scene(path, DISPLAY).scene.read(Window(0, 0, 30, 40), Handles())["s2"]
    assert not read["valid"][0, :4].any()
    assert read["valid"][0, 4:].all()


def test_nodata_of_the_bands_in_use_must_agree(tmp_path):
    bands = []
    for name, nodata in (("QA", 1), ("B02", 0), ("B03", 65535), ("B04", 65535)):
        write_scene(tmp_path / f"{name}.tif", names=(name,), nodata=nodata)
        bands.append(Band(tmp_path / f"{name}.tif", 1, name))
    stack = tmp_path / "s.vrt"
    stack_bands(stack, bands, {"RADIO_ADD_OFFSET": "-1000"})
    with pytest.raises(
        InputError, match=r"s\.vrt has different nodata values .*\[4, 3, 2\] \(65535, 65535, 0\): store"
    ):
        open_scene(stack, REFLECTANCE)
    stack_bands(tmp_path / "again.vrt", [Band(stack, 3, "B03")], {})  # a band's own value, not the first one's
    with open_raster(tmp_path / "again.vrt") as raster:
        assert raster.nodata == 65535
    before = stack.read_text()
    assert stack_beside(stack, bands[1:], {}).name.startswith("s-")  # another run may read the first
    assert stack.read_text() == before
    assert stack_beside(stack, bands, {"RADIO_ADD_OFFSET": "-1000"}) == stack
    values = write_scene(tmp_path / "B02.tif", names=("B02",), nodata=65535)
    values[:3] = 65535
    with rasterio.open(tmp_path / "B02.tif", "r+") as raster:
        raster.write(values[..., 0], 1)
    stack_bands(stack, bands, {"RADIO_ADD_OFFSET": "-1000"})
    valid = open_scene(stack, REFLECTANCE).scene.read(Window(0, 0, 30, 40), Handles())["s2"]["valid"][0]
    assert not valid[:3].any()
    assert valid[3:].all()


@pytest.mark.parametrize(
    ("kind", "dtype"), [("mask", "uint16"), ("mask", "float32"), ("alpha", "uint16"), ("alpha", "float32")]
)
def test_masks_and_alpha_bands_hold_for_all_dtypes(tmp_path, kind, dtype):
    path = tmp_path / "s.tif"
    write_scene(path, dtype=dtype, names=("B02", "B03", "B04", "alpha"), RADIO_ADD_OFFSET=-1000)
    hole = np.full((30, 40), 255, np.uint8)
    hole[:7] = 0
    with rasterio.open(path, "r+") as raster:
        if dtype == "float32":
            raster.write((raster.read() - 1000) / 10000)
        if kind == "mask":
            raster.write_mask(hole)
        else:
            raster.colorinterp = [ColorInterp.undefined] * 3 + [ColorInterp.alpha]
            raster.write(hole.astype(dtype), 4)
    valid = open_scene(path, REFLECTANCE).scene.read(Window(0, 0, 30, 40), Handles())["s2"]["valid"][0]
    assert not valid[:7].any()
    assert valid[7:].all()
