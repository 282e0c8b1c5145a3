"""A user's scene: accepted, refused with a sentence, or adapted where asked."""

import dataclasses

import numpy as np
import pytest
import rasterio
from scene_files import DISPLAY, REFLECTANCE, WITH_SAR, write_scene

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.radiometry.find_bands import find_bands
from jointseg_jax.rasters.reader import Handles, open_raster
from jointseg_jax.rasters.scene import in_words
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick


def test_reflectance_by_name_and_offset(tmp_path):
    values = write_scene(tmp_path / "s.tif", RADIO_ADD_OFFSET=-1000)
    opened = open_scene(tmp_path / "s.tif", REFLECTANCE)
    read = opened.scene.read(Window(0, 0, 30, 40), Handles())["s2"]
    np.testing.assert_allclose(read["values"][0], (values[..., ::-1] - 1000.0) / 10000, atol=1e-6)
    assert "RADIO_ADD_OFFSET is -1000" in opened.decisions["radiometry_s2"]
    said = in_words(opened.decisions)
    assert said.startswith("radiometry: contract; s2: offset -1000 (RADIO_ADD_OFFSET is -1000); bands of s2: B0")
    assert in_words({"grid": "kept", "bands_s2_20m": "B11: band 1"}) == "grid: kept; bands of s2_20m: B11: band 1"


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
        (REFLECTANCE, {}, {}, "no information about its radiometric offset"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000, "low": 9000, "high": 30000}, {}, "band B0. ranges from"),
        (REFLECTANCE, {"dtype": "uint8", "low": 0, "high": 255}, {}, "'s2' is reflectance"),
        (REFLECTANCE, {"names": ("B02", "B03"), "RADIO_ADD_OFFSET": -1000}, {}, "no band B04"),
        (REFLECTANCE, {"names": ("", "", "", ""), "RADIO_ADD_OFFSET": -1000}, {}, "unnamed bands"),
        (REFLECTANCE, {"crs": "EPSG:4326", "spacing": 1e-4, "RADIO_ADD_OFFSET": -1000}, {}, "--keep-grid"),
        (REFLECTANCE, {"spacing": 20.0, "RADIO_ADD_OFFSET": -1000}, {}, "pixels of 20 m"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000}, {"bands": (1, 2, 9)}, "--bands=1,2,9"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000}, {"mode": "magic"}, "--radiometry=magic"),
        (DISPLAY, {"RADIO_ADD_OFFSET": -1000}, {}, "8-bit display stretch"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000}, {"mode": "display"}, "--radiometry=display needs 8-bit"),
        (REFLECTANCE, {"low": 0, "high": 1, "nodata": 0, "RADIO_ADD_OFFSET": -1000}, {}, "no valid pixel"),
        (WITH_SAR, {"RADIO_ADD_OFFSET": -1000}, {}, "no raster of modality 's1'"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_refusals(tmp_path, contract, made, flags, message):
    write_scene(tmp_path / "s.tif", **made)
    with pytest.raises(InputError, match=message) as caught:
        open_scene(tmp_path / "s.tif", contract, **flags)
    assert "\n" not in str(caught.value)


def test_missing_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.tif does not exist"):
        open_scene(tmp_path / "nowhere.tif", DISPLAY)


def test_display_scene_under_a_display_contract(tmp_path):
    values = write_scene(tmp_path / "s.tif", dtype="uint8", low=1, high=255, names=("R (B4)", "G (B3)", "B (B2)"))
    read = open_scene(tmp_path / "s.tif", DISPLAY).scene.read(Window(0, 0, 30, 40), Handles())["s2"]
    np.testing.assert_allclose(read["values"][0], values / 255.0, atol=1e-6)


def test_display_flag_takes_8_bits_as_they_are(tmp_path):
    values = write_scene(tmp_path / "s.tif", dtype="uint8", low=1, high=255)
    opened = open_scene(tmp_path / "s.tif", REFLECTANCE, mode="display")
    read = opened.scene.read(Window(0, 0, 30, 40), Handles())["s2"]
    np.testing.assert_allclose(read["values"][0], values[..., ::-1] / 255.0, atol=1e-6)
    assert opened.decisions["radiometry"] == "display"


def test_the_display_flag_is_for_the_first_modality(tmp_path):
    """A partner of 8-bit numbers keeps its own units."""
    write_scene(tmp_path / "s2.tif", dtype="uint8", low=1, high=250)
    values = write_scene(tmp_path / "s1.tif", dtype="uint8", low=0, high=200, names=("VV",), scale=0.1, offset=-25.0)
    opened = open_scene(tmp_path, WITH_SAR, mode="display")
    assert opened.scene.layers["s2"][0].modality.units == "display"
    assert opened.scene.layers["s1"][0].modality.units == "dB"
    read = opened.scene.read(Window(0, 0, 30, 40), Handles())["s1"]["values"][0]
    np.testing.assert_allclose(read, values * 0.1 - 25, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_harmonising_meets_the_training_statistics(tmp_path, dtype):
    write_scene(tmp_path / "s.tif", dtype=dtype, low=1, high=250, RADIO_ADD_OFFSET=0)
    opened = open_scene(tmp_path / "s.tif", REFLECTANCE, mode="harmonise")
    values = opened.scene.read(Window(0, 0, 30, 40), Handles())["s2"]["values"][0]
    np.testing.assert_allclose(values.mean((0, 1)), 0.12, atol=1e-4)
    np.testing.assert_allclose(values.std((0, 1)), 0.08, atol=1e-4)
    assert "harmonised, gain" in opened.decisions["radiometry_s2"]


def test_keep_grid_keeps_degrees(tmp_path):
    write_scene(
        tmp_path / "s.tif", dtype="uint8", low=1, high=250, crs="EPSG:4326", spacing=9e-5, names=("R", "G", "B")
    )
    opened = open_scene(tmp_path / "s.tif", DISPLAY, keep_grid=True)
    assert opened.scene.lattice.crs.epsg == 4326
    assert opened.decisions["grid"] == "kept"


def test_dates_are_taken_in_order_and_counted(tmp_path):
    contract = REFLECTANCE.replace(modalities=(dataclasses.replace(REFLECTANCE.primary, dates=11),))
    for date in range(11):
        write_scene(tmp_path / f"s2_{date}.tif", low=1200 + 100 * date, high=1250 + 100 * date, RADIO_ADD_OFFSET=-1000)
    (tmp_path / "s2_old.tif").write_bytes(b"")
    values = open_scene(tmp_path, contract).scene.read(Window(0, 0, 30, 40), Handles())["s2"]["values"]
    assert values.shape == (11, 30, 40, 3)
    np.testing.assert_allclose(values.mean((1, 2, 3)), 0.0225 + 0.01 * np.arange(11), atol=1e-3)
    write_scene(tmp_path / "s2.tif", RADIO_ADD_OFFSET=-1000)
    assert open_scene(tmp_path, contract).scene.dates == 12
    with pytest.raises(InputError, match=r"s2_10\.tif'\] .* but the network was trained on one date"):
        open_scene(tmp_path, REFLECTANCE)


@pytest.mark.parametrize(
    ("made", "offset"),
    [
        ({"scale": 1e-4, "offset": 0.0, "RADIO_ADD_OFFSET": -1000}, -1000),
        ({"scale": 1e-4, "offset": -0.1}, -1000),
        ({"scale": 1e-4, "offset": -0.1, "PROCESSING_BASELINE": "05.09"}, -1000),
        ({"scale": 1e-4, "offset": 0.0, "low": 100, "high": 3000}, 0),
    ],
)
def test_the_files_own_scale_is_evidence_among_others(tmp_path, made, offset):
    values = write_scene(tmp_path / "s.tif", **made)
    read = open_scene(tmp_path / "s.tif", REFLECTANCE).scene.read(Window(0, 0, 30, 40), Handles())["s2"]
    np.testing.assert_allclose(read["values"][0], (values[..., ::-1] + float(offset)) / 10000, atol=1e-6)


def test_scales_of_the_bands_in_use_must_agree(tmp_path):
    path = tmp_path / "s.tif"
    write_scene(path, names=("QA", "B02", "B03", "B04"), RADIO_ADD_OFFSET=-1000)
    with rasterio.open(path, "r+") as raster:
        raster.scales = (1.0, 1e-4, 1e-4, 1e-4)
    assert open_scene(path, REFLECTANCE).scene.layers["s2"][0].modality.scale == 1e-4
    with rasterio.open(path, "r+") as raster:
        raster.scales = (1.0, 1e-4, 2e-4, 1e-4)
    with pytest.raises(InputError, match="has different scales or offsets"):
        open_scene(path, REFLECTANCE)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("B02", "B03", "B04"), (3, 2, 1)),
        (("red", "green", "blue"), (1, 2, 3)),
        (("B8", "B4", "B3", "B2"), (2, 3, 4)),
        (("", "", ""), (1, 2, 3)),
        (("B04 mask", "B04", "B03", "B02"), (2, 3, 4)),
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


def test_one_band_that_is_no_colour_may_have_any_name(tmp_path):
    lattice = make_lattice("EPSG:32650", 0, 0, 10, 4, 4)
    write_raster(tmp_path / "dem.tif", np.ones((4, 4, 1), np.float32), Layout(lattice, "float32", ("DSM",)))
    elevation = Modality("dem", ("elevation",), 10.0, "float32", "m", None, 1, 0)
    with open_raster(tmp_path / "dem.tif") as raster:
        assert find_bands(raster, elevation) == (1,)
        with pytest.raises(InputError, match="no band VV"):
            find_bands(raster, WITH_SAR.modalities[1])


def test_real_scenes(real_data):
    korea = sorted((real_data / "sentinel2" / "korea" / "images").glob("*.tif"))[0]
    assert open_scene(korea, DISPLAY).scene.shape == (512, 512)
    with pytest.raises(InputError, match="'s2' is reflectance"):
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
