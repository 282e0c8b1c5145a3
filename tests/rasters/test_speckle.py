"""The speckle filter against plain NumPy, on noise of known looks, beside gaps, and through windows."""

import numpy as np
import pytest

from jointseg_jax.rasters.contract import Contract, Modality, Speckle, differences
from jointseg_jax.rasters.speckle import filter_speckle

pytestmark = pytest.mark.quick

LEE = Speckle("lee", 5, 4.4)


def radar(height=40, width=44, seed=0):
    """Two fields at -12 and -6 dB under speckle of 4.4 looks, in dB [h, w, 1]."""
    rng = np.random.default_rng(seed)
    truth = np.where(np.arange(width) < 22, -12.0, -6.0) * np.ones((height, 1))
    return truth[..., None], truth[..., None] + 10 * np.log10(rng.gamma(4.4, 1 / 4.4, (height, width, 1)))


def by_hand(values, valid, window, looks):
    """Lee's filter pixel by pixel."""
    reach, found = window // 2, values.copy()
    power = 10 ** (values / 10)
    for y, x in zip(*np.nonzero(valid), strict=True):
        cut = np.s_[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        near = power[cut][valid[cut]]
        mean, variance = near.mean(), near.var()
        q = max(0.0, (variance - mean**2 / looks) / (1 + 1 / looks))
        found[y, x] = 10 * np.log10(mean + q / (q + mean**2 / looks) * (power[y, x] - mean))
    return found


def test_the_filter_is_the_formula_beside_gaps_too():
    _, values = radar(14, 44)
    valid = np.random.default_rng(1).random(values.shape[:2]) > 0.3
    values[~valid] = 0
    found = filter_speckle(values, valid, LEE)
    np.testing.assert_allclose(found, by_hand(values, valid, 5, 4.4), atol=1e-4)
    np.testing.assert_array_equal(found[~valid], 0)


def test_speckle_goes_and_the_edge_stays():
    truth, values = radar()
    valid = np.ones(values.shape[:2], bool)
    error = [np.abs(v - truth).mean() for v in (values, filter_speckle(values, valid, LEE))]
    assert error[1] < 0.5 * error[0]
    bright = np.full((21, 21, 1), -15.0)
    bright[10, 10] = 10
    assert filter_speckle(bright, np.ones((21, 21), bool), LEE)[10, 10, 0] > 8.5  # a corner reflector


def test_a_window_has_the_bits_of_the_whole():
    _, values = radar()
    valid = np.ones(values.shape[:2], bool)
    valid[10:14, 5:9] = False
    whole = filter_speckle(values, valid, LEE)
    for top, left in ((0, 0), (3, 7), (11, 20)):
        cut, core = np.s_[top : top + 20, left : left + 20], np.s_[2:-2, 2:-2]
        np.testing.assert_array_equal(filter_speckle(values[cut], valid[cut], LEE)[core], whole[cut][core])


@pytest.mark.parametrize("wrong", [("frost", 7, 4.4), ("lee", 6, 4.4), ("lee", 1, 4.4), ("lee", 7, 0.0)])
def test_filters_that_are_none(wrong):
    with pytest.raises(ValueError, match="speckle filter"):
        Speckle(*wrong)


def test_it_is_part_of_the_contract():
    plain = Modality("s1", ("VV",), 10, "float32", "dB")
    filtered = Modality("s1", ("VV",), 10, "float32", "dB", speckle=LEE)
    contracts = [Contract((m,), ()) for m in (filtered, plain)]
    assert differences(contracts[0], contracts[0]) == []
    assert "speckle None where the network was trained with lee filter of 5 x 5" in differences(*contracts)[0]
    with pytest.raises(ValueError, match="for dB"):
        Modality("s2", ("B02",), 10, "uint16", "reflectance", speckle=LEE)
