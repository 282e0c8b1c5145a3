"""The metadata beside a raster is evidence where it is of the same product."""

import pathlib

import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.radiometry.product_metadata import (
    SOURCE_TAG,
    Identity,
    product_metadata,
    raster_identity,
    read_product_metadata,
)

pytestmark = pytest.mark.quick

NAME = "S2B_MSIL2A_20230514T032541_N0509_R018_T50RKV_20230514T064301"


def xml(path, offsets=("-1000", "-1000"), uri=f"{NAME}.SAFE", baseline="05.09", start="2023-05-14T03:25:41.024Z"):
    about = f"<PRODUCT_URI>{uri}</PRODUCT_URI>" if uri else ""
    about += f"<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>" if baseline else ""
    about += f"<DATATAKE_SENSING_START>{start}</DATATAKE_SENSING_START>" if start else ""
    values = "".join(f"<BOA_ADD_OFFSET band_id='{i}'>{o}</BOA_ADD_OFFSET>" for i, o in enumerate(offsets))
    path.write_text(f"<n1:Product xmlns:n1='x'>{about}<List>{values}</List></n1:Product>")
    return path


def test_what_a_file_says(tmp_path):
    found = read_product_metadata(xml(tmp_path / "MTD_MSIL2A.xml"))
    assert found.offset == -1000
    assert found.identity == Identity("50RKV", "20230514", 5.09)


@pytest.mark.parametrize(("baseline", "offset"), [("02.14", 0), ("05.09", None), (None, None)])
def test_products_of_before_have_no_offset_to_tell(tmp_path, baseline, offset):
    path = xml(tmp_path / "MTD_MSIL2A.xml", offsets=(), uri="", baseline=baseline)
    assert read_product_metadata(path).offset == offset


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a>", "cannot be read as XML"),
        ("<a><BOA_ADD_OFFSET>-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET>0</BOA_ADD_OFFSET></a>", "different offsets"),
        ("<a><BOA_ADD_OFFSET>minus</BOA_ADD_OFFSET></a>", "BOA_ADD_OFFSET is 'minus', which is not a number"),
        ("<a><PROCESSING_BASELINE>x</PROCESSING_BASELINE></a>", "the processing baseline is 'x'"),
    ],
)
def test_a_file_that_tells_nothing_useful_is_named(tmp_path, text, message):
    path = tmp_path / "MTD_MSIL2A.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"MTD_MSIL2A\.xml.*{message}"):
        read_product_metadata(path)


@pytest.mark.parametrize(
    ("name", "tags", "identity"),
    [
        (f"{NAME}.tif", {}, Identity("50RKV", "20230514", 5.09)),
        ("T50RKV_20230514T032541_B02_10m.jp2", {}, Identity("50RKV", "20230514", None)),
        ("scene.tif", {}, Identity()),
        ("town_2021-06-01.tif", {}, Identity("", "20210601", None)),
        ("scene.tif", {"grid:code": "MGRS-50RKV", "datetime": "2023-05-14T03:25:41Z"}, Identity("50RKV", "20230514")),
        ("scene.tif", {"s2_product_uri": f"{NAME}.SAFE"}, Identity("50RKV", "20230514", 5.09)),
        ("scene.tif", {"s2_mgrs_tile": "50RKV", "PROCESSING_BASELINE": "0509"}, Identity("50RKV", "", 5.09)),
        ("ABC12DEF_1234.tif", {}, Identity()),
    ],
)
def test_what_a_raster_tells_of_its_product(name, tags, identity):
    assert raster_identity(pathlib.Path(name), tags) == identity


@pytest.mark.parametrize(
    ("name", "tags", "note"),
    [
        ("scene.tif", {}, "nothing shows that it is of the same product"),
        ("scene.tif", {"grid:code": "MGRS-50RKV"}, ""),
        (f"{NAME}.tif", {}, ""),
        ("T50RKW_20230514T032541_B02_10m.tif", {}, "tile 50RKV, not 50RKW"),
        ("T50RKV_20210601T032541_B02_10m.tif", {}, "date 20230514, not 20210601"),
        ("scene.tif", {"PROCESSING_BASELINE": "02.14"}, "baseline 05.09, not 02.14"),
    ],
)
def test_another_products_metadata_is_no_evidence(tmp_path, name, tags, note):
    xml(tmp_path / "MTD_MSIL2A.xml")
    found, notes = product_metadata(tmp_path / name, tags)
    assert (found is None) == bool(note)
    assert note in "".join(notes)


def test_of_two_files_the_own_one_is_used(tmp_path):
    xml(tmp_path / "MTD_MSIL1C.xml", ("0",), uri="S2B_MSIL1C_20180101T032541_N0206_R018_T50RKV_20180101T064301.SAFE",
        baseline="02.06", start="2018-01-01T03:25:41Z")  # fmt: skip
    xml(tmp_path / "MTD_MSIL2A.xml")
    found, notes = product_metadata(tmp_path / f"{NAME}.tif", {})
    assert found.path.name == "MTD_MSIL2A.xml"
    assert len(notes) == 1
    with pytest.raises(InputError, match="have different offsets"):
        product_metadata(tmp_path / "scene.tif", {"grid:code": "MGRS-50RKV"})


def test_a_virtual_raster_of_ours_is_looked_up_beside_its_file(tmp_path):
    (tmp_path / "there").mkdir()
    xml(tmp_path / "there" / "MTD_MSIL2A.xml")
    source = tmp_path / "there" / f"{NAME}.tif"
    assert product_metadata(tmp_path / "a.vrt", {})[0] is None
    assert product_metadata(tmp_path / "a.vrt", {SOURCE_TAG: str(source)})[0].offset == -1000
