"""The effective resolution of a map, by Fourier ring correlation with its reference."""

import dataclasses
from typing import Any

import numpy as np

from jointseg_jax.evaluation.sums import Sums

WINDOW = 128  # pixels
_HALF = 0.5  # of the correlation: coarser patterns agree more than they differ


def _rings() -> np.ndarray:
    return np.zeros(WINDOW // 2)


@dataclasses.dataclass(frozen=True)
class RingCorrelation(Sums):
    """Sums over windows of cross-spectrum and spectra per ring of frequency, float64 [64].

    Ring k holds the patterns with k + 1 periods per window.
    """

    cross: np.ndarray = dataclasses.field(default_factory=_rings)
    first: np.ndarray = dataclasses.field(default_factory=_rings)
    second: np.ndarray = dataclasses.field(default_factory=_rings)
    windows: int = 0

    @classmethod
    def of(cls, image: np.ndarray, reference: np.ndarray, known: np.ndarray) -> "RingCorrelation":
        """Correlates two rasters [h, w] over their windows of 128 pixels that are wholly known (bool [h, w])."""
        total = cls()
        rows, cols = (size // WINDOW for size in image.shape)
        for row in range(rows):
            for col in range(cols):
                window = np.s_[row * WINDOW : (row + 1) * WINDOW, col * WINDOW : (col + 1) * WINDOW]
                if known[window].all():
                    total += cls(*_spectra(image[window], reference[window]), windows=1)
        return total

    def curve(self) -> list[float | None]:
        """The correlation per ring, from one period per window on (Saxton, Baumeister 1982); None without power."""
        power = np.sqrt(self.first * self.second)
        return [float(c / p) if p > 0 else None for c, p in zip(self.cross, power, strict=True)]

    def resolution(self) -> float | None:
        """The period in pixels at which the correlation first falls below one half, between rings by interpolation.

        2 if it never does, the finest that pixels carry; None without windows or if not even one period per window
        agrees.
        """
        curve = self.curve()
        if not self.windows or curve[0] is None or curve[0] < _HALF:
            return None
        for k, value in enumerate(curve[1:], start=1):
            if value is None or value < _HALF:
                before = curve[k - 1] or 0.0
                part = (before - _HALF) / (before - value) if value is not None else 0.0
                return WINDOW / (k + part)
        return 2.0

    def figures(self) -> dict[str, Any]:
        """The resolution in metres of a 1 m map, and the correlation at periods of 64, 32, 16, 8 and 4 m."""
        curve = self.curve()
        at = {f"{period}m": curve[WINDOW // period - 1] for period in (64, 32, 16, 8, 4)} if self.windows else {}
        return {"resolution_m": self.resolution(), "windows": self.windows, "correlation": at}


def _spectra(image: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    taper = np.outer(np.hanning(WINDOW + 1)[:-1], np.hanning(WINDOW + 1)[:-1])
    a, b = (np.fft.fft2(taper * (x.astype(np.float64) - x.mean(dtype=np.float64))) for x in (image, reference))
    frequency = np.fft.fftfreq(WINDOW, 1 / WINDOW)
    ring = np.rint(np.hypot(frequency[:, None], frequency)).astype(int) - 1
    inside = (ring >= 0) & (ring < WINDOW // 2)
    parts = ((a * b.conj()).real, np.abs(a) ** 2, np.abs(b) ** 2)
    cross, first, second = (np.bincount(ring[inside], part[inside], WINDOW // 2) for part in parts)
    return cross, first, second
