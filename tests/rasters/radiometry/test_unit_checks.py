"""A scene in other units is refused; ground that is only new is not."""

import numpy as np
import pytest
import rasterio

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality, Statistics
from jointseg_jax.rasters.radiometry.unit_checks import check_against_training, check_nature, harmonise

pytestmark = pytest.mark.quick

# Of the demo's landscape.
STATISTICS = Statistics(
    (0.0708, 0.0879, 0.0814, 0.2099), (0.0405, 0.0415, 0.0481, 0.0886),
    (0.0128, 0.0182, 0.0111, 0.0174), (0.4147, 0.4360, 0.4392, 0.4726),
)  # fmt: skip
S2 = Modality("s2", ("B02", "B03", "B04", "B08"), 10, "uint16", "reflectance", 0, 1e-4, -1000, STATISTICS)
SAR_STATISTICS = Statistics((-11.5, -17.7), (4.7, 4.9), (-26.6, -33.6), (3.0, -3.8))
SAR = Modality("s1", ("VV", "VH"), 10, "float32", "dB", None, 1, 0, SAR_STATISTICS)
DEM = Modality("dem", ("elevation",), 10, "float32", "m", None, 1, 0, Statistics((233.0,), (301.0,), (2.0,), (760.0,)))


def scenery(*levels, deviation=0.3, seed=0):
    """Values [n, bands] around levels."""
    rng = np.random.default_rng(seed)
    return np.array(levels) * np.clip(1 + deviation * rng.standard_normal((5000, len(levels))), 0.05, None)


FIELDS = scenery(0.07, 0.09, 0.08, 0.25)


def check(values, modality=S2, scale=1.0):
    check_against_training(values, modality, "x.tif", visible=modality is S2, scale=scale)


@pytest.mark.parametrize(
    "values",
    [
        FIELDS,
        scenery(0.16, 0.25, 0.36, 0.45, deviation=0.1),  # desert
        scenery(0.12, 0.15, 0.19, 0.24, deviation=0.2),  # bare fields
        scenery(0.035, 0.025, 0.012, 0.006, deviation=0.1),  # open water
        scenery(0.02, 0.012, 0.004, 0.002, deviation=0.1) - 0.01,  # clear ocean, overcorrected
        np.concatenate([FIELDS[:4850], np.full((150, 4), 1.1)]),  # 3 % of cloud
        np.concatenate([FIELDS[:3500], scenery(0.8, 0.8, 0.8, 0.8)[:1500]]),  # 30 % of cloud
        scenery(0.58, 0.55, 0.53, 0.57),  # overcast
    ],
    ids=["fields", "desert", "bare", "water", "ocean", "3 % cloud", "30 % cloud", "overcast"],
)
def test_new_ground_is_not_refused(values):
    check(values)
    check_nature(values, S2, "x.tif", scale=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (FIELDS * 1e-4, "too low"),
        (FIELDS * 1e-2, "too low"),
        (FIELDS * 1e4, "too high"),
        (FIELDS * 100, "too high"),
        (FIELDS * 10, "too high"),
        (FIELDS - 0.1, "too low"),
        (np.where([True, True, True, False], FIELDS, 0.2), "spread is too small"),
        (FIELDS * [1, 1, 1, 1e-4], "spread is too small"),
        (np.concatenate([FIELDS[:4000], FIELDS[:1000] * 30]), "spread is too large"),  # tiles of two kinds
    ],
)
def test_other_units_are_refused(values, message):
    with pytest.raises(InputError, match=rf"x\.tif: band B.*ranges from .* the training data range from .*{message}"):
        check(values)


def test_a_scale_that_was_left_over_is_named():
    with pytest.raises(InputError, match=r"own scale of 0\.0001 was applied\): clear that scale"):
        check(FIELDS * 1e-4, scale=1e-4)


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        (np.random.default_rng(0).normal((-12, -18), 2.0, (4000, 2)), True),
        (10 ** (np.random.default_rng(0).normal((-12, -18), 2.0, (4000, 2)) / 10), False),  # linear power
    ],
)
def test_backscatter_is_in_decibels(values, fits):
    for judge in (lambda: check(values, SAR), lambda: check_nature(values, SAR, "x.tif", scale=1)):
        if fits:
            judge()
        else:
            with pytest.raises(InputError, match="band VV"):
                judge()


def test_a_plain_is_flat():
    check(np.full((100, 1), 3.0), DEM)
    with pytest.raises(InputError, match="too high"):
        check(np.full((100, 1), 30000.0), DEM)  # centimetres


@pytest.mark.parametrize("values", [FIELDS * 1e-4, FIELDS * 1e4, FIELDS - 0.2])
def test_what_no_ground_has_is_refused_without_training_data(values):
    with pytest.raises(InputError, match="which no ground surface has"):
        check_nature(values, S2, "x.tif", scale=1)


def test_harmonising_leaves_cloud_and_damage_out():
    clean = harmonise(FIELDS, S2)
    spoilt = harmonise(np.concatenate([FIELDS, np.full((150, 4), 1.1), np.full((5, 4), 9e5)]), S2)
    np.testing.assert_allclose(spoilt.gain, clean.gain, rtol=0.01)
    np.testing.assert_allclose(FIELDS.mean(0) * clean.gain + clean.offset, STATISTICS.mean, rtol=1e-5)


def test_real_chips_are_not_refused(real_data):
    """Coast, fields, villages, hills, a town, haze, an overcast sky: each only when it is scaled."""
    files = sorted((real_data / "sentinel2").glob("terramesh/S2L2A/*.tif"))
    files += sorted((real_data / "sentinel2").glob("eotdl/*.tif"))
    files += sorted((real_data / "sentinel2").glob("boadella/*.tif"))
    assert len(files) == 15
    for path in files:
        with rasterio.open(path) as raster:
            stored = np.moveaxis(raster.read((2, 3, 4, 8)).astype(float), 0, -1)
        values = (stored[(stored > 0).all(-1)] - (1000 if path.stem.startswith("433D") else 0)) / 10000
        check(values)
        check_nature(values, S2, path.name, scale=1)
        for factor in (1e-4, 1e-2, 100, 1e4):
            with pytest.raises(InputError):
                check(values * factor)
