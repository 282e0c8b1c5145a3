"""The offset is decided from evidence, pixels are a check, and evidence that disagrees is refused."""

import pathlib

import numpy as np
import pytest
import rasterio
from scipy import ndimage

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.radiometry.offsets import Pixels, check_floats, decide_offset, look
from jointseg_jax.rasters.radiometry.product_metadata import Identity, ProductMetadata

pytestmark = pytest.mark.quick

CARRYING = Pixels(0.0, (1080.0, 1120.0, 1090.0, 1160.0))
REMOVED = Pixels(0.6, (80.0, 120.0, 90.0, 160.0))
DESERT = Pixels(0.0, (1200.0, 1900.0, 2600.0, 3300.0))
OVERCAST = Pixels(0.0, (2500.0, 2400.0, 2450.0, 2900.0))


def xml(offset):
    return ProductMetadata(pathlib.Path("MTD_MSIL2A.xml"), offset, Identity())


@pytest.mark.parametrize("pixels", [None, DESERT, OVERCAST])
@pytest.mark.parametrize(
    ("tags", "offset"),
    [
        ({"RADIO_ADD_OFFSET": "-1000"}, -1000),
        ({"BOA_ADD_OFFSET": "0"}, 0),
        ({"earthsearch:boa_offset_applied": "True"}, 0),
        ({"boa_offset_applied": "false"}, -1000),
        ({"boa_offset_applied": "False", "s2:processing_baseline": "05.09"}, -1000),
        ({"boa_offset_applied": "False", "s2:processing_baseline": "02.14"}, 0),  # there was nothing to take off
        ({"boa_offset_applied": "False", "s2:processing_baseline": "00.01"}, 0),
        ({"boa_offset_applied": "True", "s2:processing_baseline": "05.09"}, 0),
        ({"PROCESSING_BASELINE": "05.09"}, -1000),
        ({"s2:processing_baseline": "N0400"}, -1000),
        ({"processing_baseline": "03.01"}, 0),
        ({"RADIO_ADD_OFFSET": "-1000", "PROCESSING_BASELINE": "02.14"}, -1000),
    ],
)
def test_the_evidence_decides_where_pixels_show_nothing(tags, offset, pixels):
    """Deserts and cloud are bright, whatever the numbers carry."""
    decision = decide_offset(tags, pixels, "x.tif")
    assert decision.offset == offset
    assert decision.evidence


@pytest.mark.parametrize(
    ("tags", "pixels", "words"),
    [
        ({}, REMOVED, ("no information about its radiometric offset",)),
        ({"datetime": "2023-05-01"}, CARRYING, ("no information about its radiometric offset",)),
        ({"PROCESSING_BASELINE": "05.09"}, REMOVED, ("baseline is 05.09", "60% of the pixels", "product's own files")),
        ({"RADIO_ADD_OFFSET": "-1000"}, REMOVED, ("the raster's tag", "60% of the pixels")),
        ({"boa_offset_applied": "True"}, CARRYING, ("the archive's flag", "1080 to 1160")),
        ({"RADIO_ADD_OFFSET": "0"}, CARRYING, ("the raster's tag", "1080 to 1160", "MTD_MSI*.xml")),
    ],
)
def test_refusals_carry_both_pieces_of_evidence(tags, pixels, words):
    with pytest.raises(InputError) as caught:
        decide_offset(tags, pixels, "x.tif")
    message = str(caught.value)
    assert "x.tif" in message
    assert all(word in message for word in words), message
    assert "tag it RADIO_ADD_OFFSET=0" not in message


@pytest.mark.parametrize(
    ("tag", "offset", "pixels", "expected"),
    [
        ("-1000", -1000, CARRYING, -1000),
        ("0", -1000, REMOVED, 0),  # taken off since: the tag that says so counts
        ("-1000", 0, CARRYING, -1000),
        ("0", -1000, CARRYING, "MTD_MSIL2A.xml beside it"),
        ("0", -1000, DESERT, "do not support the tag"),
        ("0", -1000, None, "the raster's tag"),
        ("-1000", -1000, REMOVED, "should include"),
    ],
)
def test_a_tag_beside_the_products_xml(tag, offset, pixels, expected):
    tags = {"RADIO_ADD_OFFSET": tag}
    if not isinstance(expected, str):
        assert decide_offset(tags, pixels, "x.tif", product=xml(offset)).offset == expected
        return
    with pytest.raises(InputError, match=expected):
        decide_offset(tags, pixels, "x.tif", product=xml(offset))


def test_the_products_xml_outweighs_flag_and_baseline():
    assert decide_offset({"PROCESSING_BASELINE": "02.00"}, CARRYING, "x", product=xml(-1000)).offset == -1000
    assert decide_offset({"boa_offset_applied": "True"}, CARRYING, "x", product=xml(-1000)).offset == -1000
    assert decide_offset({}, CARRYING, "x", product=xml(0)).offset == 0  # haze may look so


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"RADIO_ADD_OFFSET": "1000"}, "sign is probably wrong.*correct it to -1000"),
        ({"RADIO_ADD_OFFSET": "-900"}, "only offsets of 0 or -1000"),
        ({"RADIO_ADD_OFFSET": "-1"}, "only offsets of 0 or -1000"),
        ({"RADIO_ADD_OFFSET": "nan"}, "only offsets of 0 or -1000"),
        ({"RADIO_ADD_OFFSET": "-1000", "BOA_ADD_OFFSET": "0"}, "different offsets"),
        ({"RADIO_ADD_OFFSET": "minus"}, r"x\.tif: .* not a number"),
        ({"PROCESSING_BASELINE": "four"}, r"x\.tif: .* not a number"),
    ],
)
def test_only_offsets_that_exist_are_believed(tags, message):
    with pytest.raises(InputError, match=message):
        decide_offset(tags, CARRYING, "x.tif")


@pytest.mark.parametrize(
    ("tags", "file_offset", "pixels", "expected"),
    [
        ({}, -1000.0, CARRYING, -1000.0),
        ({}, 0.0, REMOVED, 0.0),
        ({"RADIO_ADD_OFFSET": "-1000"}, 0.0, CARRYING, -1000.0),  # an offset nobody set reads as 0
        ({"RADIO_ADD_OFFSET": "-1000"}, -1000.0, CARRYING, -1000.0),
        ({}, 0.0, CARRYING, "all just above 1000"),
        ({}, 1000.0, CARRYING, "sign is probably wrong"),
        ({"boa_offset_applied": "True"}, -1000.0, REMOVED, "scale and offset give -1000"),
        ({}, -1000.0, REMOVED, "should include"),
    ],
)
def test_the_files_own_offset_is_the_last_piece_of_evidence(tags, file_offset, pixels, expected):
    if isinstance(expected, float):
        assert decide_offset(tags, pixels, "x.tif", file_offset=file_offset).offset == expected
        return
    with pytest.raises(InputError, match=expected):
        decide_offset(tags, pixels, "x.tif", file_offset=file_offset)


def ground(offset=0.0, seed=0):
    """Digital numbers of fields and woods, about 0.03 to 0.3, and a pond of 3 %."""
    rng = np.random.default_rng(seed)
    level = np.where(rng.random((4000, 1)) < 0.03, [300, 250, 200, 100], [600, 800, 700, 2500])
    return (level * rng.uniform(0.4, 1.6, (4000, 4)) + offset).astype(np.uint16)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda dn: dn,
        lambda dn: np.concatenate([dn, np.full((300, 4), 1, np.uint16)]),  # Sen2Cor's floor
        lambda dn: np.concatenate([dn, np.full((60, 4), 700, np.uint16)]),  # 1.5 % of shadow below zero
        lambda dn: np.concatenate([dn, np.broadcast_to([1010, 1020, 1000, 700], (4000, 4))]),  # half of it is a lake
    ],
    ids=["land", "floor", "shadow", "lake"],
)
def test_a_dark_tail_does_not_contradict_an_offset(spoil):
    dn = np.asarray(spoil(ground(1000.0).astype(int)))
    dn = dn[(dn > 0).all(-1)]
    pixels = look(dn)
    assert pixels is not None
    assert pixels.offset in (None, -1000.0)


def test_pixels_speak_for_what_they_carry():
    assert look(ground()).offset == 0
    assert look(ground(1000.0)).offset == -1000
    assert look(ground()[:50]) is None  # too few to conclude anything
    assert look(np.zeros((0, 4), np.uint16)) is None


def test_floats_that_carry_the_offset_are_refused():
    check_floats(ground() / 10000.0, "x.tif")
    with pytest.raises(InputError, match=r"x\.tif has floating-point numbers.*as if the \+1000"):
        check_floats(ground(1000.0) / 10000.0, "x.tif")


CHIPS = {"terramesh/S2L2A": "*.tif", "eotdl": "*.tif", "boadella": "*.tif"}
# Haze and cloud: nothing there is dark, whatever the numbers carry.
SILENT = {(0, "Boadella_2020-01-18"), (-1000, "Boadella_2020-01-18"), (-1000, "Boadella_2020-01-13"),
          (-1000, "s2_l2a_boadella_20200113")}  # fmt: skip


@pytest.mark.parametrize("bands", [(2, 3, 4, 8), (4, 3, 2)])
def test_real_chips_with_and_without_the_offset(real_data, bands):
    """All L2A chips at hand, as they are and with 1000 added or taken off: no false alarm, and misses only in haze."""
    seen = 0
    for folder, pattern in CHIPS.items():
        for path in sorted((real_data / "sentinel2" / folder).glob(pattern)):
            with rasterio.open(path) as raster:
                stored = np.moveaxis(raster.read(bands).astype(int), 0, -1)
            carries = path.stem.startswith("433D")
            for truth in (0, -1000):
                shift = -truth - (1000 if carries else 0)
                dn = np.where(stored > 0, np.maximum(stored + shift, 1), 0)
                valid = ndimage.binary_erosion((dn > 0).all(-1), np.ones((3, 3)), iterations=3)
                expected = None if (truth, path.stem) in SILENT else truth
                assert look(dn[valid]).offset == expected, (path.name, truth)
                seen += 1
    assert seen == 30
