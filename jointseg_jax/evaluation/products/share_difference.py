"""How much larger the built share of a map is than that of another, with an interval over blocks of ground."""

import dataclasses
import math
from typing import Any

import numpy as np
from scipy import stats

from jointseg_jax.evaluation.spatial.blocks import FEWEST
from jointseg_jax.evaluation.sums import Sums


@dataclasses.dataclass(frozen=True)
class ShareDifference(Sums):
    """Sums over blocks of the ground that both maps know: of its area, of the difference there, and of their products.

    Attributes:
        blocks: with known ground.
        known: square kilometres.
        difference: built by the first map minus built by the other, square kilometres.
        known_2, difference_2, product: sums of squares and of products of the two.
    """

    blocks: int = 0
    known: float = 0.0
    difference: float = 0.0
    known_2: float = 0.0
    difference_2: float = 0.0
    product: float = 0.0

    @classmethod
    def of(cls, difference: np.ndarray, known: np.ndarray, side: int, pixel_m2: float) -> "ShareDifference":
        """Sums the blocks of a window, from its corner on.

        Args:
            difference: of the built fractions [h, w].
            known: to both maps [h, w].
            side: of a block, pixels.
            pixel_m2: area of a pixel.
        """
        rows, cols = (range(0, length, side) for length in known.shape)

        def sums(values: np.ndarray) -> np.ndarray:
            total = np.add.reduceat(np.add.reduceat(values, rows, 0, dtype=np.float64), cols, 1)
            return np.asarray(total * pixel_m2 / 1e6)

        area = sums(known)
        more = sums(np.where(known, difference, 0))[area > 0]
        area = area[area > 0]
        return cls(
            len(area), float(area.sum()), float(more.sum()), float(area @ area), float(more @ more), float(area @ more)
        )

    def figures(self, level: float = 0.95) -> dict[str, Any]:
        """The difference of the shares, and an interval of the ratio of two totals over blocks (Cochran 1977, 6.4).

        The difference on this ground itself is exact. The interval says how it varies from place to place, so whether
        one map has more in general or only in some places; it says nothing about which of them is right.

        Returns:
            `blocks`, `value`, `low` and `high`; the limits are None with fewer than 10 blocks.
        """
        if not self.known:
            return {"blocks": 0, "value": None, "low": None, "high": None}
        value = self.difference / self.known
        if self.blocks < FEWEST:
            return {"blocks": self.blocks, "value": value, "low": None, "high": None}
        squares = max(self.difference_2 - 2 * value * self.product + value**2 * self.known_2, 0.0)
        se = math.sqrt(squares * self.blocks / (self.blocks - 1)) / self.known
        half = float(stats.t.ppf((1 + level) / 2, self.blocks - 1)) * se
        return {"blocks": self.blocks, "value": value, "low": value - half, "high": value + half}
