"""What numbers mean, and when two datasets mean different things."""

import dataclasses
import json

import numpy as np
import pytest

from jointseg_jax.rasters.contract import Contract, Modality, Statistics, common_spacing, differences, upgraded
from jointseg_jax.storage import formats, typed

pytestmark = pytest.mark.quick

S2 = Modality("s2", ("B02", "B03", "B04"), 10.0, "uint16", "reflectance", 0.0, 1e-4, -1000.0)
RGB = Modality("s2", ("R", "G", "B"), 10.0, "uint8", "display", 0.0, 1 / 255)
CONTRACT = Contract((S2,), ("B04", "B03", "B02"))


def read(fields):
    return typed.parse(upgraded(fields), Contract, formats.DATASET, "dataset.json")


def test_decoding_is_the_stated_formula():
    np.testing.assert_allclose(S2.decode(np.array([[1000, 2000, 11000]], np.uint16)), [[0, 0.1, 1.0]], atol=1e-7)


def test_one_band_at_nodata_spoils_reflectance_but_not_a_display_stretch():
    stored = np.array([[0, 5, 9], [0, 0, 0], [1, 2, 3]])
    np.testing.assert_array_equal(S2.valid(stored.astype(np.uint16)), [False, False, True])
    np.testing.assert_array_equal(RGB.valid(stored.astype(np.uint8)), [True, False, True])


def test_nan_is_never_valid():
    sar = Modality("s1", ("VV", "VH"), 10.0, "float32", "dB")
    np.testing.assert_array_equal(
        sar.valid(np.array([[1, np.nan], [1, 2.0], [np.inf, 0]], np.float32)), [False, True, False]
    )


def test_round_trip_through_json():
    full = CONTRACT.replace(
        modalities=(
            dataclasses.replace(S2, statistics=Statistics((0.1,) * 3, (0.2,) * 3, (0.0,) * 3, (1.0,) * 3), dates=2),
            Modality("s1", ("VV",), 10.0, "float32", "dB", optional=True),
        )
    )
    assert read(json.loads(json.dumps(typed.plain(full)))) == full


def test_contracts_that_state_their_dates_once_are_read():
    fields = json.loads(json.dumps(typed.plain(CONTRACT)))
    del fields["modalities"][0]["dates"], fields["modalities"][0]["optional"]
    found = read({**fields, "dates": 2})
    assert (found.dates, found.primary.dates, found.primary.optional) == (2, 2, False)


def test_spacings_nest_in_a_common_multiple():
    def at(spacing):
        return Modality(f"m{spacing}", ("x",), float(spacing), "float32", "index")

    assert common_spacing((S2, at(20), at(30))) == 60
    assert common_spacing(CONTRACT.modalities) == 10


def test_zero_is_no_reflectance_whatever_nodata_is():
    stored = np.array([[0, 5, 9], [65535, 5, 9], [1, 2, 3]], np.uint16)
    np.testing.assert_array_equal(dataclasses.replace(S2, nodata=65535.0).valid(stored), [False, False, True])


def test_encoding_is_the_inverse_of_decoding():
    stored = np.arange(1, 65536, 7, dtype=np.uint16)[:, None].repeat(3, 1)
    np.testing.assert_array_equal(S2.encode(S2.decode(stored)), stored)
    assert S2.encode(np.array([[-0.2, 0.1, 9.9]])).tolist() == [[1, 2000, 65535]]


def test_image_bands_must_be_in_the_first_modality():
    with pytest.raises(ValueError, match="B08"):
        Contract((S2,), ("B08", "B03", "B02"))
    assert CONTRACT.image_index == (2, 1, 0)


def test_units_are_known():
    with pytest.raises(ValueError, match="lumens"):
        dataclasses.replace(S2, units="lumens")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (CONTRACT, None),
        (Contract((dataclasses.replace(S2, bands=("B04", "B03", "B02")),), ("B04", "B03", "B02")), "bands"),
        (Contract((dataclasses.replace(S2, units="display"),), CONTRACT.image_bands), "units display"),
        (Contract((dataclasses.replace(S2, name="other"),), CONTRACT.image_bands), "'s2' is missing"),
        (CONTRACT.replace(label="built_proxy"), "label is built_proxy"),
        (
            Contract((dataclasses.replace(S2, dates=2),), CONTRACT.image_bands),
            "2 dates where the network was trained with one",
        ),
        (Contract((dataclasses.replace(S2, optional=True),), CONTRACT.image_bands), "absent at some sites"),
        (Contract((dataclasses.replace(S2, offset=0.0, scale=2e-4, nodata=9.0),), CONTRACT.image_bands), None),
    ],
)
def test_differences_are_sentences(given, message):
    found = differences(CONTRACT, given)
    assert (found == []) if message is None else any(message in f for f in found)


@pytest.mark.parametrize("dates", [1, 2, 5])
def test_a_network_of_several_dates_takes_any_number(dates):
    several, given = (
        Contract((dataclasses.replace(S2, dates=count), dataclasses.replace(S2, name="dem")), CONTRACT.image_bands)
        for count in (3, dates)
    )
    assert differences(several, given) == []
    more = given.replace(modalities=(given.modalities[0], dataclasses.replace(given.modalities[1], dates=2)))
    assert "modality 'dem' has 2 dates where the network was trained with one" in differences(several, more)[0]
    assert differences(several, more.first_dates(1)) == []


@pytest.mark.parametrize("units", ["reflectance", "dB", "m", "index"])
def test_what_floats_can_not_be(units):
    """Fill that no nodata value names: exactly 0 in all bands where warping fills, and numbers beyond any quantity."""
    modality = Modality("x", ("a", "b"), 10, "float32", units)
    rows = [(0.1, 0.2), (0.0, 0.2), (0, 0), (1e38, 0.1), (-3.4e38, -3.4e38), (np.inf, 1), (1, np.nan)]
    expected = [True, True, units in ("m", "index"), False, False, False, False]
    for dtype in (np.float32, np.float64):
        assert modality.valid(np.array(rows, dtype)).tolist() == expected
    assert not modality.valid(np.array([(1e300, 1.0)])).any()


@pytest.mark.parametrize("nodata", [-9999, 70000, 0.5, np.nan, np.inf])
def test_a_nodata_value_that_numbers_cannot_have_marks_none_of_them(nodata):
    modality = Modality("x", ("a",), 10, "uint16", "m", nodata)
    assert modality.valid(np.arange(65536, dtype=np.uint16)[:, None]).all()
