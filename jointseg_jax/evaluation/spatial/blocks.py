"""Confusion by block of ground, for intervals, and by density of the reference."""

import dataclasses
from typing import Any

import numpy as np

from jointseg_jax.evaluation.confusion import Confusion
from jointseg_jax.evaluation.spatial.cells import cells
from jointseg_jax.rasters.contract import IGNORE

BLOCK = 500  # pixels: errors are alike within some hundred metres, so pixels are no independent sample
CELL = 100  # pixels, in which the density of the reference is taken
DENSITIES = (0.0, 0.05, 0.2, 0.5)  # lower bounds
_FEWEST = 10  # blocks: the bootstrap's intervals from fewer are too narrow to be shown
_DRAWS = 2000


@dataclasses.dataclass(frozen=True)
class BlockCounts:
    """Counts [blocks, 4] in the order of `Confusion`, one row per block of 500 m that has known pixels."""

    counts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 4), np.int64))

    def __add__(self, other: "BlockCounts") -> "BlockCounts":
        return BlockCounts(np.concatenate([self.counts, other.counts]))

    @classmethod
    def of(cls, mapped: np.ndarray, reference: np.ndarray) -> "BlockCounts":
        """Counts the blocks of a site from its corner."""
        height, width = mapped.shape
        windows = [np.s_[r : r + BLOCK, c : c + BLOCK] for r in range(0, height, BLOCK) for c in range(0, width, BLOCK)]
        rows = [dataclasses.astuple(Confusion.of(mapped[w], reference[w])) for w in windows]
        return cls(np.array([row for row in rows if sum(row)], np.int64).reshape(-1, 4))

    def intervals(self, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
        """Percentile intervals of the bootstrap over blocks (Efron, Tibshirani 1993) for the figures of class 1.

        They say how much the figures vary with the ground that happened to be in the split, not with the training.

        Returns:
            The number of blocks, and per figure (low, high); None with fewer than 10 blocks, or where undefined.
        """
        number = len(self.counts)
        found: dict[str, Any] = {"blocks": number}
        if number < _FEWEST:
            return {**found, **dict.fromkeys(("precision", "recall", "f1", "iou", "area_ratio"))}
        weights = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), _DRAWS)
        tp, fp, fn, _ = (weights @ self.counts).T.astype(float)
        ratios = {
            "precision": (tp, tp + fp), "recall": (tp, tp + fn), "f1": (2 * tp, 2 * tp + fp + fn),
            "iou": (tp, tp + fp + fn), "area_ratio": (tp + fp, tp + fn),
        }  # fmt: skip
        for name, (part, whole) in ratios.items():
            if not (whole > 0).all():
                found[name] = None
                continue
            tails = ((1 - level) / 2, (1 + level) / 2)
            found[name] = [float(v) for v in np.quantile(part / whole, tails)]
        return found


@dataclasses.dataclass(frozen=True)
class ByDensity:
    """Confusion per class of the reference's density in cells of 100 m."""

    classes: tuple[Confusion, ...] = (Confusion(),) * len(DENSITIES)

    def __add__(self, other: "ByDensity") -> "ByDensity":
        return ByDensity(tuple(a + b for a, b in zip(self.classes, other.classes, strict=True)))

    @classmethod
    def of(cls, mapped: np.ndarray, reference: np.ndarray) -> "ByDensity":
        """Counts the cells of a site from its corner."""
        pair = [cells(x, CELL, IGNORE) for x in (mapped, reference)]
        known = (pair[1] != IGNORE).sum(-1)
        density = (pair[1] == 1).sum(-1) / np.maximum(known, 1)
        group = np.searchsorted(DENSITIES, density, side="right") - 1
        return cls(tuple(Confusion.of(*(x[(group == k) & (known > 0)] for x in pair)) for k in range(len(DENSITIES))))

    def figures(self) -> list[dict[str, Any]]:
        """The metrics per class of density."""
        return [
            {"from": lower, "pixels": c.pixels, **c.figures()} for lower, c in zip(DENSITIES, self.classes, strict=True)
        ]
