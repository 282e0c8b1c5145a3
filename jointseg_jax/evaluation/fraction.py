"""Scores of the impervious fraction of coarse cells: additive sums, and the metrics computed from them."""

import dataclasses
import math
from typing import Any

import numpy as np

from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.rasters.contract import IGNORE

_KNOWN = 0.5  # share of a cell's pixels that must be known in both


@dataclasses.dataclass(frozen=True)
class FractionError(Sums):
    """Sums over cells of the error (mapped - reference) and of the reference fraction."""

    cells: int = 0
    error: float = 0.0
    squared_error: float = 0.0
    reference: float = 0.0
    squared_reference: float = 0.0

    @classmethod
    def of(cls, mapped: np.ndarray, reference: np.ndarray, side: int) -> "FractionError":
        """Compares the fractions of cells of `side` x `side` pixels, over the pixels known in both.

        Args:
            mapped: classes [h, w], 0, 1, or 255 for unknown; sides are multiples of `side`.
            reference: likewise.
            side: of a cell, pixels. Cells with less than half of their pixels known are left out.
        """
        known = (mapped != IGNORE) & (reference != IGNORE)
        shape = (mapped.shape[0] // side, side, mapped.shape[1] // side, side)
        count = known.reshape(shape).sum((1, 3))
        judged = count >= _KNOWN * side * side

        def fractions(classes: np.ndarray) -> np.ndarray:
            positive = (known & (classes == 1)).reshape(shape).sum((1, 3))
            return positive[judged] / count[judged]

        true = fractions(reference)
        error = fractions(mapped) - true
        sums = (error.sum(), np.square(error).sum(), true.sum(), np.square(true).sum())
        return cls(int(judged.sum()), *(float(s) for s in sums))

    def figures(self) -> dict[str, Any]:
        """Bias, RMSE and R2 of the fraction; None where they are undefined."""
        if not self.cells:
            return {"cells": 0, "bias": None, "rmse": None, "r2": None}
        spread = self.squared_reference - self.reference**2 / self.cells
        return {
            "cells": self.cells,
            "bias": self.error / self.cells,
            "rmse": math.sqrt(self.squared_error / self.cells),
            "r2": 1 - self.squared_error / spread if spread > 1e-9 * self.cells else None,
        }
