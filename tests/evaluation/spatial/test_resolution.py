"""Fourier ring correlation: what a blur of known width leaves of a reference."""

import numpy as np
import pytest
from scipy import ndimage

from jointseg_jax.evaluation.spatial.resolution import RingCorrelation

KNOWN = np.ones((256, 256), bool)


def noise(seed):
    return np.random.default_rng(seed).normal(size=(256, 256))


def test_a_raster_correlates_with_itself_at_every_scale():
    found = RingCorrelation.of(noise(0), noise(0), KNOWN)
    assert found.windows == 4
    assert found.curve() == pytest.approx([1.0] * 64)
    assert found.resolution() == 2.0


@pytest.mark.parametrize("cut", [8, 16, 32])
def test_the_resolution_is_the_period_beyond_which_all_is_replaced(cut):
    """Patterns coarser than `cut` are the reference's; finer ones are of other noise."""
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    mixed = np.where(frequency < 1 / cut, np.fft.fft2(noise(0)), np.fft.fft2(noise(1)))
    assert RingCorrelation.of(np.fft.ifft2(mixed).real, noise(0), KNOWN).resolution() == pytest.approx(cut, rel=0.1)


def test_blur_alone_keeps_the_correlation_and_added_noise_takes_it():
    blurred = ndimage.gaussian_filter(noise(0), 2.0, mode="wrap")
    assert RingCorrelation.of(blurred, noise(0), KNOWN).figures()["correlation"]["16m"] > 0.99
    # The transfer exp(-2 (pi sigma f)^2) meets the noise of 0.1 where both have the same power: a correlation of 0.71.
    noisy = blurred + 0.1 * noise(1)
    period = 2 * np.pi / np.sqrt(-2 * np.log(0.1 / np.sqrt(3)) / 4)  # where the ratio of powers gives one half
    assert RingCorrelation.of(noisy, noise(0), KNOWN).resolution() == pytest.approx(period, rel=0.1)


def test_unknown_windows_and_unrelated_rasters():
    known = KNOWN.copy()
    known[0, 0] = False
    assert RingCorrelation.of(noise(0), noise(0), known).windows == 3
    assert RingCorrelation.of(noise(0), noise(1), KNOWN).resolution() is None
    assert RingCorrelation().figures() == {"resolution_m": None, "windows": 0, "correlation": {}}
    flat = RingCorrelation.of(np.zeros((256, 256)), noise(0), KNOWN)
    assert flat.resolution() is None
