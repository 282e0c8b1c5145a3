"""The offset is decided from evidence, and evidence that disagrees is refused."""

import numpy as np
import pytest
import rasterio

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.radiometry import darkest, decide_offset, read_product_xml

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("tags", "dark", "offset"),
    [
        ({"RADIO_ADD_OFFSET": "-1000"}, 1080.0, -1000),
        ({"BOA_ADD_OFFSET": "0"}, 80.0, 0),
        ({"earthsearch:boa_offset_applied": "True"}, 120.0, 0),
        ({"boa_offset_applied": "false"}, 1100.0, -1000),
        ({"boa_offset_applied": "False", "s2:processing_baseline": "05.09"}, 1100.0, -1000),
        ({"boa_offset_applied": "False", "s2:processing_baseline": "02.14"}, 900.0, 0),  # there was nothing to take off
        ({"boa_offset_applied": "False", "s2:processing_baseline": "00.01"}, 150.0, 0),
        ({"boa_offset_applied": "True", "s2:processing_baseline": "05.09"}, 120.0, 0),
        ({"PROCESSING_BASELINE": "05.09"}, 1090.0, -1000),
        ({"s2:processing_baseline": "N0400"}, 1001.0, -1000),
        ({"processing_baseline": "03.01"}, 150.0, 0),
        ({"PROCESSING_BASELINE": "02.14"}, None, 0),
        ({"RADIO_ADD_OFFSET": "-1000", "PROCESSING_BASELINE": "02.14"}, 1200.0, -1000),
    ],
)
def test_decisions(tags, dark, offset):
    decision = decide_offset(tags, dark, "x.tif")
    assert decision.offset == offset
    assert decision.evidence


@pytest.mark.parametrize(
    ("tags", "dark", "message"),
    [
        ({}, 900.0, "says nothing"),
        ({"datetime": "2023-05-01"}, 1100.0, "says nothing"),
        ({"PROCESSING_BASELINE": "05.09"}, 60.0, "removed already"),
        ({"boa_offset_applied": "True"}, 1050.0, "as if"),
    ],
)
def test_refusals_carry_both_pieces_of_evidence(tags, dark, message):
    with pytest.raises(InputError, match=message) as caught:
        decide_offset(tags, dark, "x.tif")
    assert "x.tif" in str(caught.value)
    assert f"{dark:.0f}" in str(caught.value)


@pytest.mark.parametrize(
    ("tags", "file_offset", "dark", "expected"),
    [
        ({}, -1000.0, 1100.0, -1000.0),
        ({}, 0.0, 80.0, 0.0),
        ({"RADIO_ADD_OFFSET": "-1000"}, 0.0, 1100.0, -1000.0),  # an offset nobody set reads as 0
        ({"RADIO_ADD_OFFSET": "-1000"}, -1000.0, 1100.0, -1000.0),
        ({}, 0.0, 1100.0, "as if"),
        ({"boa_offset_applied": "True"}, -1000.0, 80.0, "scale and offset say -1000"),
        ({}, -1000.0, 80.0, "removed already"),
    ],
)
def test_the_files_own_offset_is_the_last_piece_of_evidence(tags, file_offset, dark, expected):
    if isinstance(expected, float):
        assert decide_offset(tags, dark, "x.tif", file_offset=file_offset).offset == expected
        return
    with pytest.raises(InputError, match=expected):
        decide_offset(tags, dark, "x.tif", file_offset=file_offset)


@pytest.mark.parametrize("tags", [{"RADIO_ADD_OFFSET": "minus"}, {"PROCESSING_BASELINE": "four"}])
def test_a_tag_that_is_no_number_is_named(tags):
    with pytest.raises(InputError, match=r"x\.tif: .* no number"):
        decide_offset(tags, 1100.0, "x.tif")


def test_the_products_xml_wins(tmp_path):
    path = tmp_path / "MTD_MSIL2A.xml"
    path.write_text(
        "<n1:Product xmlns:n1='x'><BOA_ADD_OFFSET band_id='0'>-1000</BOA_ADD_OFFSET>"
        "<BOA_ADD_OFFSET band_id='1'>-1000</BOA_ADD_OFFSET></n1:Product>"
    )
    assert read_product_xml(path) == -1000
    assert (
        decide_offset({"PROCESSING_BASELINE": "02.00"}, 1100.0, "x", xml_offset=read_product_xml(path)).offset == -1000
    )
    path.write_text("<a><BOA_ADD_OFFSET>-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET>0</BOA_ADD_OFFSET></a>")
    with pytest.raises(InputError, match="differing"):
        read_product_xml(path)
    path.write_text("<a>")
    with pytest.raises(InputError, match="not readable"):
        read_product_xml(path)
    path.write_text("<a/>")
    assert read_product_xml(path) is None


def test_darkest_ignores_nodata():
    dn = np.full((50, 50, 2), 1500, np.uint16)
    dn[:10] = 0
    dn[20, :, 1] = 1100
    assert darkest(dn) == 1100
    assert darkest(np.zeros((3, 3, 1), np.uint16)) is None


@pytest.mark.parametrize(
    ("name", "carries"), [("433D_629L_3_1", True), ("282D_485L_3_3", False), ("637U_59R_1_3", False)]
)
def test_real_items(real_data, name, carries):
    """TerraMesh mixes baselines.

    One of these stacks still carries +1000, and a wrong claim about any of them is refused.
    """
    with rasterio.open(real_data / "sentinel2" / "terramesh" / "S2L2A" / f"{name}.tif") as raster:
        dark = darkest(np.moveaxis(raster.read([2, 3, 4]), 0, -1))
    assert dark is not None
    if carries:
        assert decide_offset({"RADIO_ADD_OFFSET": "-1000"}, dark, name).offset == -1000
        with pytest.raises(InputError, match="as if"):
            decide_offset({"boa_offset_applied": "True"}, dark, name)
    else:
        assert decide_offset({"RADIO_ADD_OFFSET": "0"}, dark, name).offset == 0
        with pytest.raises(InputError, match="removed already"):
            decide_offset({"PROCESSING_BASELINE": "05.00"}, dark, name)
