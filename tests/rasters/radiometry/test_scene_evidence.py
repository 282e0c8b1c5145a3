"""Scenes as archives and tools leave them: accepted as what they are, or refused for what is wrong with them."""

import numpy as np
import pytest
import rasterio
import toy
from rasterio.enums import ColorInterp, Resampling

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Contract, Modality, Statistics
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick

BANDS = ("B02", "B03", "B04", "B08")
STATISTICS = Statistics(
    (0.0708, 0.0879, 0.0814, 0.2099), (0.0405, 0.0415, 0.0481, 0.0886),
    (0.0128, 0.0182, 0.0111, 0.0174), (0.4147, 0.4360, 0.4392, 0.4726),
)  # fmt: skip
CONTRACT = Contract(
    (Modality("s2", BANDS, 10, "uint16", "reflectance", 0, 1e-4, -1000, STATISTICS),), ("B04", "B03", "B02")
)
PLACE = toy.FOOTPRINT
XML = f"<a>{PLACE}<BOA_ADD_OFFSET band_id='0'>{{}}</BOA_ADD_OFFSET></a>"


def reflectance(height=96, width=90, seed=0):
    """Fields, a few bright roofs and a pond."""
    rng = np.random.default_rng(seed)
    values = np.array([0.06, 0.08, 0.075, 0.25]) * rng.uniform(0.5, 1.5, (height, width, 4))
    values[10:16, 40:60] = rng.uniform(0.25, 0.4, (6, 20, 4))
    values[70:80, 10:30] = np.array([0.03, 0.025, 0.02, 0.01]) * rng.uniform(0.8, 1.2, (10, 20, 4))
    return values


def numbers(values=None, offset=1000):
    return np.round((reflectance() if values is None else values) * 10000 + offset).astype(np.uint16)


def write(path, stored, bands=BANDS, nodata=None, scale=None, offset=None, **tags):
    height, width = stored.shape[:2]
    lattice = make_lattice("EPSG:32650", 500_000, 3_400_000, 10, height, width)
    write_raster(path, stored, Layout(lattice, str(stored.dtype), bands, nodata, tags, scale, offset))
    return path


def read(path, **flags):
    scene = open_scene(path, CONTRACT, **flags).scene
    found = scene.read(Window(0, 0, *scene.shape), Handles())["s2"]
    return found["values"][0], found["valid"][0]


@pytest.mark.parametrize("evidence", [{"RADIO_ADD_OFFSET": -1000}, {"PROCESSING_BASELINE": "05.09"}, "xml"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s,
        lambda s: s.__setitem__(np.s_[:, :50], 0),  # half of the granule is absent
        lambda s: s.__setitem__(np.s_[20:26, 20:30], 1),  # 0.7 % at Sen2Cor's floor
        lambda s: s.__setitem__(np.s_[72:77, 12:17, 3], 700),  # a pond at -0.03 in one band
    ],
    ids=["whole", "half", "floor", "pond"],
)
def test_dark_tails_do_not_outweigh_the_evidence(tmp_path, evidence, spoil):
    stored = numbers()
    spoil(stored)
    path = write(tmp_path / "s.tif", stored, **({} if evidence == "xml" else evidence))
    if evidence == "xml":
        (tmp_path / "MTD_MSIL2A.xml").write_text(XML.format(-1000))
    values, valid = read(path)
    np.testing.assert_array_equal(valid, (stored > 0).all(-1))
    assert np.median(values[valid], 0) == pytest.approx([0.06, 0.08, 0.075, 0.25], rel=0.1)


def test_overviews_are_no_evidence(tmp_path):
    """Cubic overviews of a partial granule mix 0 with its ground, and ring below it."""
    stored = np.kron(numbers(reflectance(200, 200)), np.ones((4, 4, 1), np.uint16))
    stored[:, ::2] += 1
    stored[(np.add.outer(np.arange(800), np.arange(800)) // 16) % 3 == 0] = 0
    path = write(tmp_path / "s.tif", stored, RADIO_ADD_OFFSET=-1000)
    with rasterio.open(path, "r+") as raster:
        raster.build_overviews([2, 4], Resampling.cubic)
    assert read(path)[1].mean() == pytest.approx(2 / 3, abs=0.05)


def test_numbers_without_the_offset_are_refused_and_the_tag_that_helps_counts(tmp_path):
    path = write(tmp_path / "s.tif", numbers(offset=0))
    (tmp_path / "MTD_MSIL2A.xml").write_text(XML.format(-1000))
    with pytest.raises(InputError, match=r"MTD_MSIL2A\.xml beside it.*should include \+1000, but \d\d% of the pixels"):
        read(path)
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(RADIO_ADD_OFFSET="0")
    assert np.median(read(path)[0][..., 0]) == pytest.approx(0.06, rel=0.1)


@pytest.mark.parametrize("tag", [0, 1000])
def test_a_wrong_tag_on_numbers_that_carry_the_offset_is_refused(tmp_path, tag):
    """It would double the reflectance."""
    path = write(tmp_path / "s.tif", numbers(), RADIO_ADD_OFFSET=tag)
    with pytest.raises(InputError, match="sign is probably wrong" if tag else "all just above 1000"):
        read(path)


def test_the_metadata_of_another_product_is_named_and_not_used(tmp_path):
    path = write(tmp_path / "T50RKW_20230514T032541.tif", numbers())
    (tmp_path / "MTD_MSIL2A.xml").write_text(
        XML.format(0).replace(
            "<a>", "<a><PRODUCT_URI>S2B_MSIL2A_20180514T032541_N0207_R018_T50RKV_2.SAFE</PRODUCT_URI>"
        )
    )
    with pytest.raises(
        InputError, match=r"no information .*MTD_MSIL2A\.xml beside it belongs to another product \(tile"
    ):
        read(path)
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(PROCESSING_BASELINE="05.09")
    opened = open_scene(path, CONTRACT)
    assert "another product" in opened.decisions["radiometry_s2"]
    assert opened.scene.layers["s2"][0].modality.offset == -1000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (XML.replace(PLACE, ""), r"nothing shows that it is of the same product.*such as T50RKV_20230514T032541\.tif"),
        (XML.replace("116.9", "116.1").replace("118.2", "116.8"), r"another product \(its footprint lies elsewhere\)"),
        (XML.replace("29.8", "-29.8").replace("31.2", "-31.2"), r"another product \(its footprint lies elsewhere\)"),
    ],
    ids=["no place", "to the west", "south"],
)
def test_metadata_of_no_known_place_or_another_one_are_no_evidence(tmp_path, text, reason):
    path = write(tmp_path / "s2.tif", numbers())
    (tmp_path / "MTD_MSIL2A.xml").write_text(text.format(-1000))
    with pytest.raises(InputError, match=f"no information .*{reason}"):
        read(path)
    named = tmp_path / "T50RKV_20230514T032541.tif"
    path.rename(named)
    if "nothing" in reason:  # the advice is of use where the file names its product
        said = "<PRODUCT_URI>S2B_MSIL2A_20230514T032541_N0509_R018_T50RKV_20230514T064301.SAFE</PRODUCT_URI>"
        (tmp_path / "MTD_MSIL2A.xml").write_text(text.format(-1000).replace("<a>", f"<a>{said}"))
        assert np.median(read(named)[0][..., 0]) == pytest.approx(0.06, rel=0.1)


def test_metadata_of_the_place_alone_are_checked_by_the_pixels(tmp_path):
    """A tile is seen every five days: what only the place shows may be of a date before 04.00."""
    path = write(tmp_path / "s2.tif", numbers())
    (tmp_path / "MTD_MSIL2A.xml").write_text(XML.format(0))
    with pytest.raises(InputError, match=r"MTD_MSIL2A\.xml beside it.*all just above 1000"):
        read(path)


def hole(height=96, width=90):
    """A corner that a warped scene does not reach."""
    rows, cols = np.mgrid[:height, :width]
    return rows + cols < 60


@pytest.mark.parametrize("kind", ["alpha", "undefined alpha", "zero", "nan"])
@pytest.mark.parametrize("mode", ["contract", "harmonise"])
def test_absent_ground_of_float_scenes(tmp_path, kind, mode):
    stored = reflectance().astype(np.float32)
    stored[hole()] = np.nan if kind == "nan" else 0
    bands = BANDS
    if "alpha" in kind:
        stored = np.concatenate([stored, np.where(hole(), 0, 255)[..., None].astype(np.float32)], -1)
        bands = (*BANDS, "")
    path = write(tmp_path / "s.tif", stored, bands)
    if kind == "alpha":
        with rasterio.open(path, "r+") as raster:
            raster.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * 3 + [ColorInterp.alpha]
    opened = open_scene(path, CONTRACT, mode=mode)
    values, valid = read(path, mode=mode)
    np.testing.assert_array_equal(valid, ~hole())
    np.testing.assert_array_equal(opened.valid, ~hole())
    if mode == "harmonise":  # fitted on the ground alone
        np.testing.assert_allclose(values[valid].mean(0), STATISTICS.mean, rtol=1e-3)
        np.testing.assert_allclose(values[valid].std(0), STATISTICS.std, rtol=1e-3)


@pytest.mark.parametrize("mode", ["display", "harmonise"])
def test_black_borders_of_pictures(tmp_path, mode):
    rng = np.random.default_rng(1)
    stored = rng.integers(5, 255, (96, 90, 4)).astype(np.uint8)
    stored[hole()] = 0
    stored[60, 60] = 0  # one dark pixel is no hole
    path = write(tmp_path / "s.tif", stored)
    opened = open_scene(path, CONTRACT, mode=mode)
    np.testing.assert_array_equal(read(path, mode=mode)[1], ~hole())
    np.testing.assert_array_equal(opened.valid, ~hole())
    assert "black border on" in opened.decisions["radiometry_s2"]
    part = opened.scene.read(Window(10, 20, 30, 40), Handles())["s2"]["valid"][0]
    np.testing.assert_array_equal(part, ~hole()[10:40, 20:60])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"stored": reflectance().astype(np.float32) * 1e-4}, "ranges from .* the training data range from"),
        ({"stored": reflectance().astype(np.float32), "scale": 1e-4}, r"own scale of 0\.0001 was applied"),
        ({"stored": numbers(offset=0).astype(np.float32)}, "its level is too high"),
        ({"stored": (reflectance() + 0.1).astype(np.float32)}, r"as if the \+1000"),
        (
            {"stored": numbers(), "scale": np.nan, "offset": 0.0, "RADIO_ADD_OFFSET": -1000},
            "the scale nan in its header",
        ),
        ({"stored": numbers(), "scale": 1e-4, "offset": np.inf}, "the offset inf in its header"),
    ],
    ids=["twice", "left over", "numbers", "plus 0.1", "nan", "inf"],
)
def test_other_units_blame_the_input(tmp_path, made, message):
    path = write(tmp_path / "s.tif", made.pop("stored"), **made)
    with pytest.raises(InputError, match=rf"s\.tif.*{message}"):
        read(path)


@pytest.mark.parametrize("fault", [1e38, np.inf, -np.inf, -3.4e38])
def test_one_pixel_beyond_any_quantity_is_absent(tmp_path, fault):
    stored = reflectance().astype(np.float32)
    stored[5, 5, 1] = fault
    values, valid = read(write(tmp_path / "s.tif", stored))
    assert np.argwhere(~valid).tolist() == [[5, 5]]
    assert np.isfinite(values).all()


def test_cloud_does_not_make_other_units(tmp_path):
    """3 % of cloud without a classification; half of the scene with one, which a fit leaves out, too."""
    values = reflectance()
    values[:3] = 1.1
    read(write(tmp_path / "few.tif", numbers(values), RADIO_ADD_OFFSET=-1000))
    values[:48] = 1.1
    path = write(tmp_path / "s.tif", numbers(values), RADIO_ADD_OFFSET=-1000)
    classes = np.full((48, 45, 1), 4, np.uint8)
    classes[:24] = 9
    lattice = make_lattice("EPSG:32650", 500_000, 3_400_000, 20, 48, 45)
    write_raster(tmp_path / "scl.tif", classes, Layout(lattice, "uint8", ("SCL",)))
    read(path)
    fitted = read(path, mode="harmonise")[0][48:]
    np.testing.assert_allclose(fitted.mean((0, 1)), STATISTICS.mean, rtol=1e-3)


@pytest.mark.parametrize("tag", [0, -1000])
def test_real_chips_open_with_the_right_tag_alone(real_data, tmp_path, tag):
    for path in sorted((real_data / "sentinel2" / "terramesh" / "S2L2A").glob("*.tif")):
        with rasterio.open(path) as raster:
            stored = np.moveaxis(raster.read((2, 3, 4, 8)), 0, -1).astype(np.uint16)
        write(tmp_path / "s.tif", stored, RADIO_ADD_OFFSET=tag)
        if (tag == -1000) == path.stem.startswith("433D"):
            read(tmp_path / "s.tif")
        else:
            with pytest.raises(InputError, match="product's own files"):
                read(tmp_path / "s.tif")
