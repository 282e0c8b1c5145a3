"""Scores of the impervious fraction of coarse cells: additive sums, and the metrics computed from them."""

import dataclasses
import math
from typing import Any

import numpy as np

from jointseg_jax.evaluation.spatial.cells import cells
from jointseg_jax.evaluation.sums import Sums

SIDES = (10, 30, 100)  # m, of the cells in which fractions are compared
KNOWN = 0.5  # share of a cell's pixels that must be known in both


@dataclasses.dataclass(frozen=True)
class FractionError(Sums):
    """Sums over cells of the error (estimate - reference) and of the reference fraction."""

    cells: int = 0
    error: float = 0.0
    squared_error: float = 0.0
    reference: float = 0.0
    squared_reference: float = 0.0

    @classmethod
    def of(cls, estimate: np.ndarray, reference: np.ndarray, known: np.ndarray, side: int) -> "FractionError":
        """Compares the fractions of cells of `side` x `side` pixels, over the pixels known in both.

        Args:
            estimate: a class (0 or 1), a probability or a fraction per pixel, [h, w].
            reference: likewise.
            known: bool [h, w]. Cells with less than half of their pixels known are left out.
            side: of a cell, pixels.
        """
        weight = cells(known, side, False)
        count = weight.sum(-1)
        judged = count >= KNOWN * side * side
        guess, true = (
            np.where(weight, cells(values, side, 0), 0).sum(-1, dtype=np.float64)[judged] / count[judged]
            for values in (estimate, reference)
        )
        return cls.between(guess, true)

    @classmethod
    def between(cls, estimate: np.ndarray, reference: np.ndarray) -> "FractionError":
        """Compares the known fractions of cells, [cells] each."""
        error = estimate - reference
        sums = (error.sum(), np.square(error).sum(), reference.sum(), np.square(reference).sum())
        return cls(len(error), *(float(s) for s in sums))

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


@dataclasses.dataclass(frozen=True)
class Fractions(Sums):
    """Errors of the fraction in cells of 10, 30 and 100 m."""

    by_side: tuple[FractionError, ...] = (FractionError(),) * len(SIDES)

    @classmethod
    def of(cls, estimate: np.ndarray, reference: np.ndarray, known: np.ndarray) -> "Fractions":
        """Compares two rasters of a site; the arguments are those of `FractionError.of`."""
        return cls(tuple(FractionError.of(estimate, reference, known, side) for side in SIDES))

    def figures(self) -> dict[str, Any]:
        """Bias, RMSE and R2 per side."""
        return {f"{side}m": error.figures() for side, error in zip(SIDES, self.by_side, strict=True)}
