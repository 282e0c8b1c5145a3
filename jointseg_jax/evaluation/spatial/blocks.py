"""Confusion by block of ground, for intervals, and by density of the reference."""

import dataclasses
from typing import Any

import numpy as np

from jointseg_jax.evaluation.confusion import Confusion
from jointseg_jax.evaluation.spatial.cells import cells
from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.rasters.contract import IGNORE

BLOCK = 500  # pixels: errors are alike within some hundred metres, so pixels are no independent sample
CELL = 100  # pixels, in which the density of the reference is taken
DENSITIES = (0.0, 0.05, 0.2, 0.5)  # lower bounds
FEWEST = 10  # blocks: the bootstrap's intervals from fewer are too narrow to be shown
_DRAWS = 2000


@dataclasses.dataclass(frozen=True)
class BlockCounts:
    """Counts [blocks, 4] in the order of `Confusion`, one row per block of 500 m that has known pixels."""

    counts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 4), np.int64))

    def __add__(self, other: "BlockCounts") -> "BlockCounts":
        return BlockCounts(np.concatenate([self.counts, other.counts]))

    @classmethod
    def of(cls, mapped: np.ndarray, reference: np.ndarray, side: int = BLOCK) -> "BlockCounts":
        """Counts the blocks of a site, `side` pixels wide, from its corner."""
        height, width = mapped.shape
        windows = [np.s_[r : r + side, c : c + side] for r in range(0, height, side) for c in range(0, width, side)]
        rows = [dataclasses.astuple(Confusion.of(mapped[w], reference[w])) for w in windows]
        return cls(np.array([row for row in rows if sum(row)], np.int64).reshape(-1, 4))

    def intervals(self, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
        """Percentile intervals of the bootstrap over blocks (Efron, Tibshirani 1993) for the figures of class 1.

        They say how much the figures vary with the ground that happened to be in the split, not with the training.

        Returns:
            The number of blocks, and per figure (low, high); None with fewer than 10 blocks, or where undefined.
        """
        number = len(self.counts)
        names = [name for name in _figures(np.ones((1, 4))) if name != "oa"]
        found: dict[str, Any] = {"blocks": number}
        if number < FEWEST:
            return {**found, **dict.fromkeys(names)}
        drawn = _figures(_weights(number, seed) @ self.counts)
        return {**found, **{name: _interval(drawn[name], level) for name in names}}

    def difference(self, other: "BlockCounts", level: float = 0.95, seed: int = 0) -> dict[str, Any]:
        """Figures of one map minus those of another on the same blocks, with paired percentile intervals.

        Both maps are resampled with the same blocks, so what is hard for both cancels out.

        Args:
            other: counts of the same pixels, block by block.
            level: of the intervals.
            seed: of the bootstrap.

        Returns:
            The number of blocks, and per figure `value`, `low` and `high`; the limits are None with fewer than 10
            blocks, all three where a figure is undefined.
        """
        if not np.array_equal(self.counts.sum(1), other.counts.sum(1)):
            raise ValueError("the two maps must be counted on the same pixels of the same blocks")
        number = len(self.counts)
        found: dict[str, Any] = {"blocks": number}
        value, value_other = (_figures(c.counts.sum(0)[None]) for c in (self, other))
        weights = _weights(number, seed) if number >= FEWEST else None
        drawn = [_figures(weights @ c.counts) for c in (self, other)] if weights is not None else None
        for name in value:
            change = float(value[name][0] - value_other[name][0])
            limits = _interval(drawn[0][name] - drawn[1][name], level) if drawn else None
            low, high = limits or (None, None)
            found[name] = {"value": change if np.isfinite(change) else None, "low": low, "high": high}
        return found


def _weights(number: int, seed: int) -> np.ndarray:
    """How often each block is drawn [draws, blocks]."""
    return np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), _DRAWS)


def _figures(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of class 1 and overall accuracy of counts [draws, 4]; NaN where undefined."""
    tp, fp, fn, tn = counts.T.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": 2 * tp / (2 * tp + fp + fn),
            "iou": tp / (tp + fp + fn), "area_ratio": (tp + fp) / (tp + fn), "oa": (tp + tn) / (tp + fp + fn + tn),
        }  # fmt: skip


def _interval(drawn: np.ndarray, level: float) -> list[float] | None:
    """Central percentiles; None if a draw is undefined."""
    if not np.isfinite(drawn).all():
        return None
    return [float(v) for v in np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))]


@dataclasses.dataclass(frozen=True)
class ByDensity(Sums):
    """Confusion per class of the reference's density in cells of 100 m."""

    classes: tuple[Confusion, ...] = (Confusion(),) * len(DENSITIES)

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
