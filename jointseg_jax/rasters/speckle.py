"""The speckle filter of radar backscatter, for preparation and prediction alike."""

import numpy as np
from scipy import ndimage

from jointseg_jax.rasters.contract import Speckle

_TINY = np.finfo(np.float64).tiny


def filter_speckle(values: np.ndarray, valid: np.ndarray, how: Speckle) -> np.ndarray:
    """Filters backscatter by local statistics (Lee 1980, IEEE PAMI 2(2), 165-168), in linear power.

    Speckle is noise with mean 1 and variance 1 / looks that multiplies the power. With mean m and variance v over the
    valid pixels of the window, the power z becomes m + k (z - m), with q = max(0, (v - m^2 / looks) / (1 + 1 / looks))
    and k = q / (q + m^2 / looks): the mean where the window shows speckle alone, z where it shows much more.

    A pixel depends on those within `how.reach` of it, and on nothing else of the array.

    Args:
        values: dB `[h, w, bands]`.
        valid: `[h, w]`; invalid pixels take no part and stay as they are.
        how: filter, window and looks.

    Returns:
        dB, float32 `[h, w, bands]`.
    """
    power = np.where(valid[..., None], 10.0 ** (values.astype(np.float64) / 10), 0.0)
    count = np.maximum(_sum(valid.astype(np.float64)[..., None], how.window), 1.0)
    mean = _sum(power, how.window) / count
    variance, noise = _sum(power**2, how.window) / count - mean**2, mean**2 / how.looks
    signal = np.maximum(0.0, (variance - noise) / (1 + 1 / how.looks))
    weight = signal / np.maximum(signal + noise, _TINY)
    found = 10 * np.log10(np.maximum(mean + weight * (power - mean), _TINY))
    return np.where(valid[..., None], found, values).astype(np.float32)


def _sum(values: np.ndarray, window: int) -> np.ndarray:
    """Sums over a sliding square; the same numbers in the same order for a pixel, wherever the array begins."""
    ones = np.ones(window)
    for axis in (0, 1):
        values = ndimage.correlate1d(values, ones, axis, mode="constant")
    return values
