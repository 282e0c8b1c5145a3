"""A user's scene: accepted, refused with a sentence, or adapted where asked."""

import dataclasses

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Contract, Modality, Statistics
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.open_scene import find_bands, open_scene
from jointseg_jax.rasters.reader import Handles, open_raster
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(0)


def statistics(mean, std, low, high, bands=3):
    return Statistics((mean,) * bands, (std,) * bands, (low,) * bands, (high,) * bands)


DISPLAY = Contract(
    (Modality("s2", ("R", "G", "B"), 10.0, "uint8", "display", 0.0, 1 / 255, 0.0, statistics(0.5, 0.2, 0.0, 1.0)),),
    ("R", "G", "B"),
)
REFLECTANCE = Contract(
    (
        Modality(
            "s2",
            ("B04", "B03", "B02"),
            10.0,
            "uint16",
            "reflectance",
            0.0,
            1e-4,
            -1000.0,
            statistics(0.12, 0.08, 0.0, 0.5),
        ),
    ),
    ("B04", "B03", "B02"),
)
WITH_SAR = REFLECTANCE.replace(
    modalities=(
        *REFLECTANCE.modalities,
        Modality("s1", ("VV",), 10.0, "float32", "dB", None, 1, 0, statistics(-12, 4, -30, 5, 1)),
    )
)


def scene(
    path,
    *,
    dtype="uint16",
    low=1100,
    high=4000,
    names=("B02", "B03", "B04"),
    crs="EPSG:32650",
    spacing=10.0,
    size=(30, 40),
    **tags,
):
    values = RNG.integers(low, high, (*size, len(names))).astype(dtype)
    left, top = (500_000, 3_400_000) if crs != "EPSG:4326" else (118.0, 31.0)
    layout = Layout(make_lattice(crs, left, top, spacing, *size), dtype, names, tags.pop("nodata", None), tags)
    write_raster(path, values, layout)
    return values


def test_reflectance_by_name_and_offset(tmp_path):
    values = scene(tmp_path / "s.tif", RADIO_ADD_OFFSET=-1000)
    opened = open_scene(tmp_path / "s.tif", REFLECTANCE)
    read = opened.scene.read(Window(0, 0, 30, 40), Handles())["s2"]
    np.testing.assert_allclose(read["values"][0], (values[..., ::-1] - 1000.0) / 10000, atol=1e-6)
    assert "RADIO_ADD_OFFSET is -1000" in opened.decisions["radiometry_s2"]


def test_a_datasets_site_is_a_scene(data):
    """A folder with one raster per modality; the same numbers as the dataset itself reads."""
    opened = open_scene(data.root / "sites" / "d", data.contract)
    ours = opened.scene.read(Window(-2, 3, 20, 20), Handles())
    theirs = data.scene("d").read(Window(-2, 3, 20, 20), Handles())
    for name in theirs:
        np.testing.assert_allclose(ours[name]["values"], theirs[name]["values"], atol=1e-6)
        np.testing.assert_array_equal(ours[name]["valid"], theirs[name]["valid"])


@pytest.mark.parametrize(
    ("contract", "made", "flags", "message"),
    [
        (REFLECTANCE, {}, {}, "says nothing about its radiometric offset"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000, "low": 9000, "high": 30000}, {}, "band B0. ranges from"),
        (REFLECTANCE, {"dtype": "uint8", "low": 0, "high": 255}, {}, "trained on reflectance"),
        (REFLECTANCE, {"names": ("B02", "B03"), "RADIO_ADD_OFFSET": -1000}, {}, "no band B04"),
        (REFLECTANCE, {"names": ("", "", "", ""), "RADIO_ADD_OFFSET": -1000}, {}, "unnamed bands"),
        (REFLECTANCE, {"crs": "EPSG:4326", "spacing": 1e-4, "RADIO_ADD_OFFSET": -1000}, {}, "--keep-grid"),
        (REFLECTANCE, {"spacing": 20.0, "RADIO_ADD_OFFSET": -1000}, {}, "pixels of 20 m"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000}, {"bands": (1, 2, 9)}, "--bands=1,2,9"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000}, {"mode": "magic"}, "--radiometry=magic"),
        (DISPLAY, {"RADIO_ADD_OFFSET": -1000}, {}, "8-bit display stretch"),
        (REFLECTANCE, {"low": 0, "high": 1, "nodata": 0, "RADIO_ADD_OFFSET": -1000}, {}, "no valid pixel"),
        (WITH_SAR, {"RADIO_ADD_OFFSET": -1000}, {}, "lacks modality 's1'"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_refusals(tmp_path, contract, made, flags, message):
    scene(tmp_path / "s.tif", **made)
    with pytest.raises(InputError, match=message) as caught:
        open_scene(tmp_path / "s.tif", contract, **flags)
    assert "\n" not in str(caught.value)


def test_missing_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.tif does not exist"):
        open_scene(tmp_path / "nowhere.tif", DISPLAY)


def test_display_scene_under_a_display_contract(tmp_path):
    values = scene(tmp_path / "s.tif", dtype="uint8", low=1, high=255, names=("R (B4)", "G (B3)", "B (B2)"))
    read = open_scene(tmp_path / "s.tif", DISPLAY).scene.read(Window(0, 0, 30, 40), Handles())["s2"]
    np.testing.assert_allclose(read["values"][0], values / 255.0, atol=1e-6)


def test_display_flag_takes_8_bits_as_they_are(tmp_path):
    values = scene(tmp_path / "s.tif", dtype="uint8", low=1, high=255)
    opened = open_scene(tmp_path / "s.tif", REFLECTANCE, mode="display")
    read = opened.scene.read(Window(0, 0, 30, 40), Handles())["s2"]
    np.testing.assert_allclose(read["values"][0], values[..., ::-1] / 255.0, atol=1e-6)
    assert opened.decisions["radiometry"] == "display"


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_harmonising_meets_the_training_statistics(tmp_path, dtype):
    scene(tmp_path / "s.tif", dtype=dtype, low=1, high=250, RADIO_ADD_OFFSET=0)
    opened = open_scene(tmp_path / "s.tif", REFLECTANCE, mode="harmonise")
    values = opened.scene.read(Window(0, 0, 30, 40), Handles())["s2"]["values"][0]
    np.testing.assert_allclose(values.mean((0, 1)), 0.12, atol=1e-4)
    np.testing.assert_allclose(values.std((0, 1)), 0.08, atol=1e-4)
    assert "harmonised, gain" in opened.decisions["radiometry_s2"]


@pytest.mark.parametrize("alpha", [False, True])
def test_all_bands_at_nodata_is_nodata_even_in_bands_not_used(tmp_path, alpha):
    """Four bands at 255 are nodata; three of them at 255 are a bright pixel."""
    path = tmp_path / "s.tif"
    scene(path, dtype="uint8", low=1, high=250, names=("B01", "B02", "B03", "B04"), nodata=255)
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


def test_keep_grid_keeps_degrees(tmp_path):
    scene(tmp_path / "s.tif", dtype="uint8", low=1, high=250, crs="EPSG:4326", spacing=9e-5, names=("R", "G", "B"))
    opened = open_scene(tmp_path / "s.tif", DISPLAY, keep_grid=True)
    assert opened.scene.lattice.crs.epsg == 4326
    assert opened.decisions["grid"] == "kept"


def test_partners_must_cover_the_same_ground(tmp_path):
    scene(tmp_path / "s2.tif", RADIO_ADD_OFFSET=-1000)
    scene(tmp_path / "s1.tif", dtype="float32", low=-20, high=-5, names=("VV",), size=(30, 39))
    with pytest.raises(InputError, match=r"s1\.tif is 39 x 30 pixels"):
        open_scene(tmp_path, WITH_SAR)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("B02", "B03", "B04"), (3, 2, 1)),
        (("red", "green", "blue"), (1, 2, 3)),
        (("B8", "B4", "B3", "B2"), (2, 3, 4)),
        (("", "", ""), (1, 2, 3)),
    ],
)
def test_bands_are_found_by_their_common_names(tmp_path, names, expected):
    write_raster(
        tmp_path / "s.tif",
        np.ones((4, 4, len(names)), np.uint16),
        Layout(make_lattice("EPSG:32650", 0, 0, 10, 4, 4), "uint16", names),
    )
    with open_raster(tmp_path / "s.tif") as raster:
        assert find_bands(raster, REFLECTANCE.primary) == expected


def test_real_scenes(real_data):
    korea = sorted((real_data / "sentinel2" / "korea" / "images").glob("*.tif"))[0]
    assert open_scene(korea, DISPLAY).scene.shape == (512, 512)
    with pytest.raises(InputError, match="trained on reflectance"):
        open_scene(korea, REFLECTANCE)
    beaufort = next((real_data / "sentinel2" / "beaufort").glob("*.tif"))
    with pytest.raises(InputError, match="degrees"):
        open_scene(beaufort, DISPLAY)
    opened = open_scene(beaufort, DISPLAY, keep_grid=True)
    valid = opened.scene.read(Window(0, 0, *opened.scene.shape), Handles())["s2"]["valid"]
    assert 1 - valid.mean() == pytest.approx(0.31, abs=0.01)
    terramesh = real_data / "sentinel2" / "terramesh" / "S2L2A" / "433D_629L_3_1.tif"
    with pytest.raises(InputError, match="radiometric offset"):
        open_scene(terramesh, REFLECTANCE)
    assert dataclasses.asdict(DISPLAY.primary)["units"] == "display"
