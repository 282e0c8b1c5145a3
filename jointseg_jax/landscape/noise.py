"""Random streams, weighted choices and random fields."""

import zlib
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import scipy.fft

T = TypeVar("T")


def stream(seed: int, region_index: int, purpose: str) -> np.random.Generator:
    """Return the random generator of one purpose, so that a change to one part leaves all others as they were."""
    return np.random.default_rng(np.random.SeedSequence([seed, region_index, zlib.crc32(purpose.encode())]))


def choose(rng: np.random.Generator, weights: Mapping[T, float]) -> T:
    """Draw one of the keys, with a chance in proportion to its weight."""
    steps = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(steps, rng.random() * steps[-1]))]


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], *, longest: float, shortest: float = 2.0, slope: float = 2.0
) -> np.ndarray:
    """Draw a band-limited Gaussian field whose power falls as frequency ** -slope.

    Args:
        rng: the generator that is drawn from.
        shape: height and width in pixels.
        longest: the longest wavelength, in pixels; power rolls off beyond it.
        shortest: the shortest wavelength, in pixels.
        slope: 0 is white, 2 resembles land seen from above.

    Returns:
        float32 [height, width], zero mean and unit standard deviation.
    """
    height, width = (scipy.fft.next_fast_len(n, real=True) for n in shape)
    fy = np.fft.fftfreq(height).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(width).astype(np.float32)[None, :]
    squared = fx * fx + fy * fy
    low, high = np.float32(1.0 / longest), np.float32(1.0 / shortest)
    gain = (squared + low * low) ** np.float32(-slope / 4.0)
    gain *= np.exp(-((squared / (high * high)) ** 2))
    gain *= squared > (0.4 * low) ** 2
    spectrum = np.empty(gain.shape, np.complex64)
    spectrum.real = rng.standard_normal(gain.shape, dtype=np.float32)
    spectrum.imag = rng.standard_normal(gain.shape, dtype=np.float32)
    spectrum *= gain
    field = scipy.fft.irfft2(spectrum, s=(height, width))[: shape[0], : shape[1]]
    field = field - field.mean(dtype=np.float64).astype(np.float32)
    deviation = float(field.std(dtype=np.float64))
    return np.ascontiguousarray(field / np.float32(deviation or 1.0), dtype=np.float32)


def smoothstep(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """Map values to 0..1: 0 below `start`, 1 above `end`, smooth between (also for end < start)."""
    t = np.clip((values - start) / (end - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
