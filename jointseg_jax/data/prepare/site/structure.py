"""Decides whether two pictures of one grid show the same ground, by their edges.

Field borders, roads and shores stay where they are while the colours of fields change with the season.
"""

import dataclasses

import numpy as np
from scipy import ndimage, stats

_SMOOTH = 1.0  # pixels, standard deviation
NEAR = 1  # pixels of misregistration
_STEP, _STEPS = 8, 2  # the side's fraction and the number of the shifts to compare with
# Rank correlation of the gradients, and its distance from that at other shifts in their standard deviations. Seven
# clear dates of one place reach 0.44 and 4.1 at least in crops of 0.6 km and more, and 0.56 and 2.6 in crops of 0.36
# km, of which a fifth is not recognised. None of 336 pairs of different ground is taken for the same. See
# `benchmarks/image_units.py`.
_LEAST, _APART = 0.3, 3.0


@dataclasses.dataclass(frozen=True)
class Structure:
    """How alike the edges are.

    Attributes:
        here: rank correlation in place.
        elsewhere: the largest at other shifts.
        apart: distance of `here` from their mean, in their standard deviations.
    """

    here: float
    elsewhere: float
    apart: float

    @property
    def alike(self) -> bool:
        """Whether the pictures show the same ground."""
        return self.here >= _LEAST and self.here > self.elsewhere and self.apart >= _APART

    def __str__(self) -> str:
        return f"their edges correlate by {self.here:.2f} in place, elsewhere by up to {self.elsewhere:.2f}"


def compare(a: np.ndarray, b: np.ndarray, ok: np.ndarray) -> Structure:
    """Compares two pictures.

    Args:
        a, b: brightness `[h, w]`, in any units.
        ok: where both are valid, bool `[h, w]`.
    """
    inside = inner(ok)
    one, two = (edges(v, ok, inside) for v in (a, b))
    step = max(4, min(a.shape) // _STEP)
    around = [(i, j) for i in range(-_STEPS, _STEPS + 1) for j in range(-_STEPS, _STEPS + 1) if (i, j) != (0, 0)]
    near = range(-NEAR, NEAR + 1)
    here = max(_correlation(one, two, inside, i, j) for i in near for j in near)
    others = np.array([_correlation(one, two, inside, i * step, j * step) for i, j in around])
    spread = float(others.std())
    return Structure(here, float(others.max()), (here - float(others.mean())) / spread if spread else 0.0)


def inner(ok: np.ndarray) -> np.ndarray:
    """The valid pixels whose gradients no invalid pixel reaches, bool `[h, w]`."""
    return np.asarray(ndimage.binary_erosion(ok, np.ones((3, 3)), iterations=3, border_value=1))


def edges(values: np.ndarray, ok: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Ranks of the gradient's length among the pixels inside, 0 elsewhere, `[h, w]`.

    Args:
        values: brightness `[h, w]`.
        ok: where it is valid, bool `[h, w]`.
        inside: see `inner`.
    """
    filled = np.where(ok, values, values[ok].mean() if ok.any() else 0.0)
    length = ndimage.gaussian_gradient_magnitude(filled.astype(np.float64), _SMOOTH)
    ranks = np.zeros(values.shape)
    ranks[inside] = stats.rankdata(length[inside])
    return ranks


def _correlation(a: np.ndarray, b: np.ndarray, ok: np.ndarray, down: int, right: int) -> float:
    """Correlation of `a` with `b` moved by some pixels, where both are valid; 0 where too little is."""
    height, width = a.shape
    if abs(down) >= height or abs(right) >= width:
        return 0.0
    here = np.s_[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    there = np.s_[max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
    both = ok[here] & ok[there]
    x, y = a[here][both], b[there][both]
    return float(np.corrcoef(x, y)[0, 1]) if len(x) > 2 and np.ptp(x) and np.ptp(y) else 0.0
