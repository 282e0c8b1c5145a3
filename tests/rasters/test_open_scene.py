"""A user's scene: accepted, refused with a sentence, or adapted where asked."""

import dataclasses

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Contract, Modality, Statistics
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.radiometry.band_names import find_bands
from jointseg_jax.rasters.reader import Handles, open_raster
from jointseg_jax.rasters.virtual.band_stack import Band, stack_bands, stack_beside
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
SWIR = Modality("s2_20m", ("B11",), 20.0, "uint16", "reflectance", 0.0, 1e-4, -1000.0, statistics(0.2, 0.1, 0, 0.6, 1))
WITH_SWIR = REFLECTANCE.replace(modalities=(*REFLECTANCE.modalities, SWIR))
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
    corner=None,
    nodata=None,
    scale=None,
    offset=None,
    **tags,
):
    values = RNG.integers(low, high, (*size, len(names))).astype(dtype)
    left, top = corner or ((500_000, 3_400_000) if crs != "EPSG:4326" else (118.0, 31.0))
    lattice = make_lattice(crs, left, top, spacing, *size)
    layout = Layout(lattice, dtype, names, nodata, tags, scale=scale, offset=offset)
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
        (REFLECTANCE, {"dtype": "uint8", "low": 0, "high": 255}, {}, "'s2' is reflectance"),
        (REFLECTANCE, {"names": ("B02", "B03"), "RADIO_ADD_OFFSET": -1000}, {}, "no band B04"),
        (REFLECTANCE, {"names": ("", "", "", ""), "RADIO_ADD_OFFSET": -1000}, {}, "unnamed bands"),
        (REFLECTANCE, {"crs": "EPSG:4326", "spacing": 1e-4, "RADIO_ADD_OFFSET": -1000}, {}, "--keep-grid"),
        (REFLECTANCE, {"spacing": 20.0, "RADIO_ADD_OFFSET": -1000}, {}, "pixels of 20 m"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000}, {"bands": (1, 2, 9)}, "--bands=1,2,9"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000}, {"mode": "magic"}, "--radiometry=magic"),
        (DISPLAY, {"RADIO_ADD_OFFSET": -1000}, {}, "8-bit display stretch"),
        (REFLECTANCE, {"RADIO_ADD_OFFSET": -1000}, {"mode": "display"}, "--radiometry=display takes 8-bit"),
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (30, 39)}, r"s1\.tif is 39 x 30 pixels"),
        ({"spacing": 20.0}, r"s1\.tif has pixels of 20 x 20"),
        ({"crs": "EPSG:32633"}, r"s1\.tif is in EPSG:32633"),
        ({"corner": (500_100, 3_400_000)}, r"s1\.tif begins at 500100"),
    ],
)
@pytest.mark.parametrize("keep_grid", [False, True])
def test_partners_must_cover_the_same_ground(tmp_path, changes, message, keep_grid):
    scene(tmp_path / "s2.tif", RADIO_ADD_OFFSET=-1000)
    scene(tmp_path / "s1.tif", dtype="float32", low=-20, high=-5, names=("VV",), **changes)
    with pytest.raises(InputError, match=message):
        open_scene(tmp_path, WITH_SAR, keep_grid=keep_grid)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crs": "EPSG:32633", "spacing": 60.0}, "EPSG:32633"),
        ({"spacing": 60.0}, "pixels of 60 x 60"),
        ({"corner": (500_000, 3_400_020)}, "begins at 500000, 3400020"),
        ({"size": (15, 20), "spacing": 10.0}, "pixels of 10 x 10"),
    ],
)
def test_coarser_partners_too(tmp_path, changes, message):
    """The shape alone says nothing: these have the right number of pixels."""
    scene(tmp_path / "s2.tif", RADIO_ADD_OFFSET=-1000)
    swir = {"names": ("B11",), "size": (15, 20), "spacing": 20.0, "RADIO_ADD_OFFSET": -1000, **changes}
    scene(tmp_path / "s2_20m.tif", **swir)
    with pytest.raises(InputError, match=message):
        open_scene(tmp_path, WITH_SWIR)


def test_a_scene_of_odd_size_with_20_m_bands(tmp_path):
    """Its last row and column lie in 20 m pixels that reach beyond it; no window changes a value."""
    scene(tmp_path / "s2.tif", size=(35, 41), RADIO_ADD_OFFSET=-1000)
    scene(tmp_path / "s2_20m.tif", names=("B11",), size=(18, 21), spacing=20.0, RADIO_ADD_OFFSET=-1000)
    opened = open_scene(tmp_path, WITH_SWIR).scene
    whole = opened.read(Window(0, 0, 35, 41), Handles())["s2_20m"]
    assert whole["valid"].all()
    part = opened.read(Window(30, 34, 9, 11), Handles())["s2_20m"]
    np.testing.assert_array_equal(part["values"][:, :5, :7], whole["values"][:, 30:, 34:])
    assert part["valid"][0, :6, :8].all()  # the rest of the last 20 m pixels
    assert not part["valid"][0, 6:].any()


def test_a_kept_grid_in_degrees_has_partners_in_degrees(tmp_path):
    grid = {"crs": "EPSG:4326", "RADIO_ADD_OFFSET": -1000}
    scene(tmp_path / "s2.tif", spacing=9e-5, size=(35, 41), **grid)
    scene(tmp_path / "s2_20m.tif", names=("B11",), size=(18, 21), spacing=18e-5, **grid)
    assert open_scene(tmp_path, WITH_SWIR, keep_grid=True).scene.shape == (35, 41)
    scene(tmp_path / "s2_20m.tif", names=("B11",), size=(18, 21), spacing=27e-5, **grid)
    with pytest.raises(InputError, match=r"pixels of 0\.00027"):
        open_scene(tmp_path, WITH_SWIR, keep_grid=True)


def test_dates_are_taken_in_order_and_counted(tmp_path):
    contract = REFLECTANCE.replace(modalities=(dataclasses.replace(REFLECTANCE.primary, dates=11),))
    for date in range(11):
        scene(tmp_path / f"s2_{date}.tif", low=1200 + 100 * date, high=1250 + 100 * date, RADIO_ADD_OFFSET=-1000)
    (tmp_path / "s2_old.tif").write_bytes(b"")
    values = open_scene(tmp_path, contract).scene.read(Window(0, 0, 30, 40), Handles())["s2"]["values"]
    assert values.shape == (11, 30, 40, 3)
    np.testing.assert_allclose(values.mean((1, 2, 3)), 0.0225 + 0.01 * np.arange(11), atol=1e-3)
    scene(tmp_path / "s2.tif", RADIO_ADD_OFFSET=-1000)
    with pytest.raises(InputError, match="but the network was trained on 11 per site"):
        open_scene(tmp_path, contract)


def test_an_optional_modality_may_be_absent(tmp_path):
    contract = REFLECTANCE.replace(
        modalities=(REFLECTANCE.primary, dataclasses.replace(WITH_SAR.modalities[1], optional=True))
    )
    scene(tmp_path / "s2.tif", RADIO_ADD_OFFSET=-1000)
    for path in (tmp_path, tmp_path / "s2.tif"):
        opened = open_scene(path, contract)
        assert opened.decisions["radiometry_s1"] == "absent, masked"
        sar = opened.scene.read(Window(0, 0, 30, 40), Handles())["s1"]
        assert sar["values"].shape == (1, 30, 40, 1)
        assert not sar["valid"].any()


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
    values = scene(tmp_path / "s.tif", **made)
    read = open_scene(tmp_path / "s.tif", REFLECTANCE).scene.read(Window(0, 0, 30, 40), Handles())["s2"]
    np.testing.assert_allclose(read["values"][0], (values[..., ::-1] + float(offset)) / 10000, atol=1e-6)


def test_scales_of_the_bands_in_use_must_agree(tmp_path):
    path = tmp_path / "s.tif"
    scene(path, names=("QA", "B02", "B03", "B04"), RADIO_ADD_OFFSET=-1000)
    with rasterio.open(path, "r+") as raster:
        raster.scales = (1.0, 1e-4, 1e-4, 1e-4)
    assert open_scene(path, REFLECTANCE).scene.layers["s2"][0].modality.scale == 1e-4
    with rasterio.open(path, "r+") as raster:
        raster.scales = (1.0, 1e-4, 2e-4, 1e-4)
    with pytest.raises(InputError, match="scales its bands differently"):
        open_scene(path, REFLECTANCE)


def test_nodata_of_the_bands_in_use_must_agree(tmp_path):
    bands = []
    for name, nodata in (("QA", 1), ("B02", 0), ("B03", 65535), ("B04", 65535)):
        scene(tmp_path / f"{name}.tif", names=(name,), nodata=nodata)
        bands.append(Band(tmp_path / f"{name}.tif", 1, name))
    stack = tmp_path / "s.vrt"
    stack_bands(stack, bands, {"RADIO_ADD_OFFSET": "-1000"})
    with pytest.raises(InputError, match=r"s\.vrt marks absence differently .*\[4, 3, 2\]: 65535, 65535, 0"):
        open_scene(stack, REFLECTANCE)
    stack_bands(tmp_path / "again.vrt", [Band(stack, 3, "B03")], {})  # a band's own value, not the first one's
    with open_raster(tmp_path / "again.vrt") as raster:
        assert raster.nodata == 65535
    before = stack.read_text()
    assert stack_beside(stack, bands[1:], {}).name.startswith("s-")  # another run may read the first
    assert stack.read_text() == before
    assert stack_beside(stack, bands, {"RADIO_ADD_OFFSET": "-1000"}) == stack
    values = scene(tmp_path / "B02.tif", names=("B02",), nodata=65535)
    values[:3] = 65535
    with rasterio.open(tmp_path / "B02.tif", "r+") as raster:
        raster.write(values[..., 0], 1)
    stack_bands(stack, bands, {"RADIO_ADD_OFFSET": "-1000"})
    valid = open_scene(stack, REFLECTANCE).scene.read(Window(0, 0, 30, 40), Handles())["s2"]["valid"][0]
    assert not valid[:3].any()
    assert valid[3:].all()


def test_the_display_flag_is_for_the_first_modality(tmp_path):
    """A partner of 8-bit numbers keeps its own units."""
    scene(tmp_path / "s2.tif", dtype="uint8", low=1, high=250)
    values = scene(tmp_path / "s1.tif", dtype="uint8", low=0, high=4, names=("VV",))
    opened = open_scene(tmp_path, WITH_SAR, mode="display")
    assert opened.scene.layers["s2"][0].modality.units == "display"
    assert opened.scene.layers["s1"][0].modality.units == "dB"
    read = opened.scene.read(Window(0, 0, 30, 40), Handles())["s1"]["values"][0]
    np.testing.assert_array_equal(read, values.astype(np.float32))


@pytest.mark.parametrize(
    ("kind", "dtype"), [("mask", "uint16"), ("mask", "float32"), ("alpha", "uint16"), ("alpha", "float32")]
)
def test_masks_and_alpha_bands_hold_for_all_dtypes(tmp_path, kind, dtype):
    path = tmp_path / "s.tif"
    scene(path, dtype=dtype, names=("B02", "B03", "B04", "alpha"), RADIO_ADD_OFFSET=-1000)
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
