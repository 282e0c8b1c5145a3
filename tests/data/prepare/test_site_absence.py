"""What preparation takes as absent without being told, and units that no ground has."""

import numpy as np
import pytest
import rasterio
import toy
from rasterio.enums import ColorInterp

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles

FINE = Window(0, 0, 360, 420)


def border():
    """The ground that a rotated orthophoto does not reach, bool on the 1 m lattice."""
    rows, cols = np.mgrid[:360, :420]
    return (cols < 60 - rows * 0.15) | (rows > 350 - cols * 0.02)


@pytest.mark.parametrize(
    ("dtype", "simulate"), [("uint8", False), ("uint16", False), ("float32", False), ("uint8", True)]
)
def test_the_black_border_of_an_image_is_absent(one, dtype, simulate):
    """Black ground is not: a shadow of 8 m stays."""
    folder, config = one

    def blacken(stack):
        made = stack.astype(float)
        made[:, 100:108, 200:208] = 0
        made[:, border()] = 0
        return made

    toy.rewrite(folder / "image.tif", dtype=dtype, values=blacken, nodata=None)
    if simulate:
        config.simulate.enabled = True
        config.modalities.s2.bands, config.modalities.s2.units = ("R", "G", "B"), "display"
        config.image_bands = ("R", "G", "B")
        config.modalities.s2.spacing = 10
    data = prepare(config, say=toy.quiet)
    values, valid = data.scene("a").image.read(FINE, Handles())
    np.testing.assert_array_equal(valid, ~border())
    assert (values[border()] == 0).all()
    assert any("image: black border on" in note for note in data.sites["a"].notes)
    if simulate:
        seen = data.scene("a").read(Window(0, 0, 36, 42), Handles())["s2"]["valid"][0]
        assert not seen[:30, :1].any()
        assert seen[5:30, 10:].all()


def test_an_images_alpha_of_any_dtype_counts(one):
    folder, config = one
    alpha = np.where(border(), 0, 255)

    def with_alpha(stack):
        return np.concatenate([stack / 255, alpha[None]]) * np.where(border(), 0, 1)

    toy.rewrite(folder / "image.tif", dtype="float32", values=with_alpha, bands=("R", "G", "B", ""), nodata=None)
    with rasterio.open(folder / "image.tif", "r+") as raster:
        raster.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    valid = prepare(config, say=toy.quiet).scene("a").image.read(FINE, Handles())[1]
    np.testing.assert_array_equal(valid, ~border())


def test_a_warped_input_is_not_mixed_with_its_absent_ground(one):
    """Half of the granule is 0 and nothing says so; what is left is ground, as bright as it was."""
    folder, config = one
    config.warp = True

    def half(stack):
        made = stack.copy()
        made[:, :, :20] = 0
        return made

    toy.rewrite(folder / "s2.tif", values=half, nodata=None)
    with rasterio.open(folder / "s2.tif", "r+") as raster:
        raster.transform = raster.transform * rasterio.Affine.translation(0.5, 0.5)
        darkest = raster.read()[:, 3:, 23:].min()
    data = prepare(config, say=toy.quiet)
    assert (data.sites["a"].height, data.sites["a"].width) == (35, 41)  # what the input covers whole
    read = data.scene("a").read(Window(0, 0, 35, 41), Handles())["s2"]
    valid = read["valid"][0]
    assert not valid[:, :18].any()
    assert valid[5:30, 21:].all()
    assert read["values"][0][valid].min() > (darkest - 1000) / 10000 - 0.02


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("s2.tif", {"RADIO_ADD_OFFSET": "1000"}, "sign is probably wrong"),
        ("s2.tif", {"values": lambda s: np.where(s > 0, (s - 1000) // 2, 0)}, "product's own files"),
        ("s1.tif", {"values": lambda s: 10 ** (s / 10)}, "s1.tif: band VV .* which no ground surface has"),
    ],
)
def test_units_and_offsets_are_those_of_prediction(own, file, change, message):
    root, config = own
    toy.keep_only(config, "a")
    toy.rewrite(root / "a" / file, **change)
    with pytest.raises(InputError, match=message):
        prepare(config, say=toy.quiet)


@pytest.mark.parametrize(("scale", "offset"), [(1e-8, 0.0), (1.0e-2, 0.0), (np.nan, 0.0)])
def test_a_scale_that_gives_no_reflectance_is_refused(one, scale, offset):
    folder, config = one
    with rasterio.open(folder / "s2.tif", "r+") as raster:
        raster.scales, raster.offsets = (scale,) * 4, (offset,) * 4
    with pytest.raises(InputError, match=r"s2\.tif.*(which no ground surface has|not a finite number)"):
        prepare(config, say=toy.quiet)


def test_a_tail_at_the_processors_floor_changes_nothing(one):
    folder, config = one

    def dark(stack):
        made = stack.copy()
        made[:, 20:23, 20:24] = 1
        return made

    toy.rewrite(folder / "s2.tif", values=dark)
    assert "offset -1000" in prepare(config, say=toy.quiet).sites["a"].notes[0]
