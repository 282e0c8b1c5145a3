"""Agreement of a map and another product: areas on the map's grid, fractions in the product's cells, 100 m and 1 km."""

import dataclasses
import math
from typing import Any

import numpy as np

from jointseg_jax.evaluation.products.cells import CellError, Parts
from jointseg_jax.evaluation.products.share_difference import ShareDifference
from jointseg_jax.evaluation.spatial.blocks import BLOCK
from jointseg_jax.evaluation.spatial.fraction import FractionError
from jointseg_jax.evaluation.sums import Sums, ratio
from jointseg_jax.rasters.contract import IGNORE

SIDES = {"100m": 100, "1km": 1000}  # metres
NEITHER, BOTH, ONLY_MAP, ONLY_PRODUCT = range(4)  # codes of the difference map; 255 is unknown
NAMES = ("neither", "both", "only_map", "only_product")


def differences(classes: np.ndarray, fraction: np.ndarray, threshold: float) -> np.ndarray:
    """Codes of the difference, uint8 [h, w]: see the constants; 255 where one of the two is unknown.

    Args:
        classes: of the map, 0, 1 or 255.
        fraction: of the product, NaN where unknown.
        threshold: fraction from which the product's pixel counts as built.
    """
    with np.errstate(invalid="ignore"):
        theirs = fraction >= threshold
    code = np.where(classes == 1, np.where(theirs, BOTH, ONLY_MAP), np.where(theirs, ONLY_PRODUCT, NEITHER))
    return np.where((classes == IGNORE) | np.isnan(fraction), IGNORE, code).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Areas(Sums):
    """Square metres: known in both, by code; built by the product's fractions; mapped, whether compared or not."""

    neither: float = 0.0
    both: float = 0.0
    only_map: float = 0.0
    only_product: float = 0.0
    fractions: float = 0.0
    mapped: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Areas in km2 and measures of agreement; None where undefined.

        `quantity` and `allocation` are the two parts of the disagreement, as shares of the area (Pontius, Millones
        2011).
        """
        total = self.neither + self.both + self.only_map + self.only_product
        map_m2, product_m2 = self.both + self.only_map, self.both + self.only_product

        return {
            "compared_km2": total / 1e6,
            "coverage": ratio(total, self.mapped),
            "matrix_km2": {name: getattr(self, name) / 1e6 for name in NAMES},
            "map_km2": map_m2 / 1e6,
            "product_km2": product_m2 / 1e6,
            "product_fractions_km2": self.fractions / 1e6,
            "area_ratio": ratio(map_m2, self.fractions),
            "f1": ratio(2 * self.both, map_m2 + product_m2),
            "iou": ratio(self.both, total - self.neither),
            "agreement": ratio(self.both + self.neither, total),
            "quantity": ratio(abs(self.only_map - self.only_product), total),
            "allocation": ratio(2 * min(self.only_map, self.only_product), total),
        }


class Agreement:
    """Sums of the comparison of a map with one product on some ground."""

    def __init__(self, spacing: float):
        """`spacing`: pixel size of the map, metres."""
        self.areas = Areas()
        self._more = ShareDifference()
        self._cells = CellError()
        self._errors = {name: FractionError() for name in SIDES}
        self._spacing = spacing

    def add(
        self, classes: np.ndarray, fraction: np.ndarray, code: np.ndarray, parts: list[Parts], pixel_m2: float
    ) -> None:
        """Adds a window.

        Args:
            classes: of the map on this ground, 255 elsewhere.
            fraction: of the product.
            code: `differences` of the two.
            parts: content of the product's cells, see `layer.Look`.
            pixel_m2: area of a pixel.
        """
        known = code != IGNORE
        neither, both, only_map, only_product = (float(n) for n in np.bincount(code[known], minlength=4) * pixel_m2)
        fractions = float(fraction[known].sum(dtype=np.float64)) * pixel_m2
        mapped = int((classes != IGNORE).sum()) * pixel_m2
        self.areas += Areas(neither, both, only_map, only_product, fractions, mapped)
        more = np.where(known, (classes == 1) - fraction, 0)
        self._more += ShareDifference.of(more, known, max(1, round(BLOCK / self._spacing)), pixel_m2)
        for part in parts:
            self._cells.add(part)
        share = np.where(known, fraction, 0)
        for name, side in SIDES.items():
            pixels = max(1, round(side / self._spacing))
            self._errors[name] += FractionError.of(classes, share, known, pixels)

    def figures(self) -> dict[str, Any]:
        """Areas, agreement, difference of shares; bias (map minus product), RMSE and R2 of the fraction by cell."""
        own = self._cells.total()
        errors = {"own": own, **self._errors} if own.cells else self._errors
        return {
            **self.areas.figures(),
            "share_difference": self._more.figures(),
            "fraction": {name: _rounded(error.figures()) for name, error in errors.items()},
        }


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 6) if isinstance(v, float) and math.isfinite(v) else v for k, v in figures.items()}
