"""The units of a site's image and inputs: fitted, read from the file, or refused."""

import numpy as np
import pytest
import rasterio
import toy

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.site import fine
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles


def test_an_image_of_other_ground_is_refused(own):
    """Its bands may well slope upwards against the input's; they explain nothing of it."""
    root, config = own
    toy.keep_only(config, "a")
    config.inputs = ("s2",)
    foreign, _ = toy.ground(7, 36, 42)
    toy.rewrite(root / "a" / "image.tif", values=lambda s: np.moveaxis(np.round(foreign * 250 + 2), -1, 0))
    with pytest.raises(InputError, match=r"image\.tif and .*s2\.tif do not show the same ground"):
        prepare(config, say=toy.quiet)


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("Blue", "Green", "Red"), [2, 1, 0]),
        (("b", "g", "r", "nir"), [2, 1, 0]),
        (("B02", "B03", "B04"), [2, 1, 0]),
        (("R", "G", "B"), [0, 1, 2]),
        (("B1", "B2", "B3"), [0, 1, 2]),  # of whatever camera
        (("Band 1", "Band 2", "Band 3"), [0, 1, 2]),
        ((None, None, None), [0, 1, 2]),
        (("Red", "Green", "Infrared"), [0, 1, 2]),
    ],
)
def test_the_images_bands_go_by_colour_where_it_tells(names, order):
    assert fine.image_band_positions(names, ("B04", "B03", "B02")) == order


def test_an_image_of_blue_green_red_is_the_same_image(one):
    folder, config = one
    before = stored(prepare(config, say=toy.quiet))
    with rasterio.open(folder / "image.tif", "r+") as raster:
        raster.write(raster.read()[::-1])
        raster.descriptions = ("Blue", "Green", "Red")
    np.testing.assert_array_equal(stored(prepare(config, say=toy.quiet)), before)


def stored(data):
    with rasterio.open(data.root / "sites" / "a" / "image.tif") as raster:
        return raster.read()


def test_a_constant_image_is_refused(one):
    folder, config = one
    toy.rewrite(folder / "image.tif", values=lambda s: np.full_like(s, 9))
    with pytest.raises(InputError, match="do not show the same ground"):
        prepare(config, say=toy.quiet)


def test_too_little_common_ground_is_refused(one):
    folder, config = one
    toy.rewrite(folder / "scl.tif", values=lambda s: np.where(np.arange(21) < 3, s, 9))
    with pytest.raises(InputError, match=r"image\.tif and .*s2\.tif have only \d common blocks of 60 m"):
        prepare(config, say=toy.quiet)


def test_few_blocks_of_common_ground_are_warned_of(one):
    folder, config = one
    toy.rewrite(folder / "scl.tif", values=lambda s: np.where(np.arange(21) < 10, s, 9))
    lines: list[str] = []
    site = prepare(config, say=lines.append).sites["a"]
    assert any("WARNING: from 17 blocks, where 25 or more are wanted" in note for note in site.notes)
    assert "; WARNING: few blocks (17)" in lines[0]


def test_an_image_said_to_match_must_be_stored_like_the_input(one):
    _, config = one
    config.match_image = False
    with pytest.raises(InputError, match=r"image\.tif contains uint8 numbers, .* must contain uint16"):
        prepare(config, say=toy.quiet)


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8"])
def test_a_gap_in_the_image_is_a_gap_and_nothing_else_changes(one, dtype):
    """Floats in 0..1 with one hole; signed numbers below zero; and what was there before."""
    folder, config = one
    gain = {"float32": 1 / 255, "int16": 100, "uint8": 1}[dtype]
    shift = -9000 if dtype == "int16" else 0
    nodata = {"float32": np.nan, "int16": 32767, "uint8": 255}[dtype]

    def spoil(stack):
        made = stack.astype(float) * gain + shift
        made[:, 200:220, 100:130] = nodata
        return made

    toy.rewrite(folder / "image.tif", dtype=dtype, values=spoil, nodata=None if dtype == "float32" else nodata)
    with rasterio.open(folder / "image.tif") as raster:
        given = np.moveaxis(raster.read(), 0, -1).astype(np.float64)
    data = prepare(config, say=toy.quiet)
    image = data.scene("a").image
    values, valid = image.read(Window(0, 0, 360, 420), Handles())
    hole = np.zeros((360, 420), bool)
    hole[200:220, 100:130] = True
    np.testing.assert_array_equal(valid, ~hole)
    assert (values[hole] == 0).all()
    site = data.sites["a"]
    expected = given[~hole] * site.image_gain + site.image_offset
    np.testing.assert_allclose(values[~hole], expected, atol=1e-4)
    np.testing.assert_allclose(site.image_gain, 1 / 500 / gain, rtol=0.03)


def test_scaled_inputs_are_stored_in_units(own):
    """A file's own scale holds in preparation as it does in prediction."""
    root, config = own
    toy.keep_only(config, "a")
    config.inputs = ("s2", "s1")
    folder = root / "a"
    with rasterio.open(folder / "s1.tif") as raster:
        backscatter = raster.read()
    toy.rewrite(folder / "s1.tif", dtype="int16", values=lambda s: np.round(s * 100), nodata=-32768)
    with rasterio.open(folder / "s1.tif", "r+") as raster:
        raster.scales = (0.01, 0.01)
    toy.rewrite(folder / "s2.tif", keep_tags=False)
    with rasterio.open(folder / "s2.tif", "r+") as raster:
        before = raster.read()
        raster.scales, raster.offsets = (1e-4,) * 4, (-0.1,) * 4
    data = prepare(config, say=toy.quiet)
    scene = data.scene("a")
    inputs = scene.read(Window(0, 0, 36, 42), Handles())
    np.testing.assert_allclose(inputs["s1"]["values"][0], np.moveaxis(backscatter, 0, -1), atol=0.006)
    valid = inputs["s2"]["valid"][0]
    expected = (np.moveaxis(before, 0, -1)[valid] - 1000.0) / 10000
    np.testing.assert_allclose(inputs["s2"]["values"][0][valid], expected, atol=1e-6)
    assert "own offset is -1000" in data.sites["a"].notes[0]


def test_ground_beyond_a_warped_input_is_invalid(own):
    """A DEM without a nodata value that covers the upper half of the site."""
    root, config = own
    toy.keep_only(config, "a")
    config.inputs = ("s2", "dem")
    config.warp = True
    toy.rewrite(root / "a" / "dem.tif", values=lambda s: s[:, :18] + 100, nodata=None)
    data = prepare(config, say=toy.quiet)
    valid = data.scene("a").read(Window(0, 0, 36, 42), Handles())["dem"]["valid"][0]
    assert valid[:18].all()
    assert not valid[18:].any()
    statistics = data.contract.modalities[1].statistics
    assert statistics is not None
    assert statistics.low[0] >= 100


@pytest.mark.parametrize("names", [("B4", "B3", "B2", "B8"), ("red", "green", "blue", "nir")])
def test_bands_go_by_the_names_that_prediction_knows(one, names):
    """The contract's order is B02, B03, B04, B08; the file holds red first."""
    folder, config = one
    with rasterio.open(folder / "s2.tif") as raster:
        given = raster.read()
    toy.rewrite(folder / "s2.tif", bands=names, values=lambda s: s[[2, 1, 0, 3]])
    data = prepare(config, say=toy.quiet)
    with rasterio.open(data.root / data.sites["a"].layers["s2"][0]) as raster:
        stored = raster.read()
    seen = (stored > 0).all(0)
    np.testing.assert_array_equal(stored[:, seen], given[:, seen])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("coast", "blue", "green", "red"), r"s2\.tif lacks band B08 \(it has \['coast'"),
        (("B02", "B03", "B04 L1C", "B04 L2A"), r"s2\.tif has more than one band B04"),
    ],
)
def test_names_that_do_not_tell_the_bands_are_refused(one, names, message):
    """Four bands where four are wanted, but not those."""
    folder, config = one
    toy.rewrite(folder / "s2.tif", bands=names)
    with pytest.raises(InputError, match=message):
        prepare(config, say=toy.quiet)


def test_bands_without_names_are_taken_in_order(one):
    folder, config = one
    before = prepare(config, say=toy.quiet)
    stored = (before.root / before.sites["a"].layers["s2"][0]).read_bytes()
    toy.rewrite(folder / "s2.tif", bands=("", "", "", ""))
    after = prepare(config, say=toy.quiet)
    assert (after.root / after.sites["a"].layers["s2"][0]).read_bytes() == stored
