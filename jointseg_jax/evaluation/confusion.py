"""Scores of a class map: additive counts, and the metrics computed from their sum."""

import dataclasses
from typing import Any

import numpy as np

from jointseg_jax.evaluation.sums import Sums, ratio
from jointseg_jax.rasters.contract import IGNORE

CALIBRATION_BINS = 20
_LEVELS = 50 * CALIBRATION_BINS  # of the probability, so finer than the product's 200


@dataclasses.dataclass(frozen=True)
class Confusion(Sums):
    """Pixel counts by (reference, map); "positive" is impervious."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    @classmethod
    def of(cls, mapped: np.ndarray, reference: np.ndarray) -> "Confusion":
        """Counts pixels known in both (255 is unknown)."""
        known = (mapped != IGNORE) & (reference != IGNORE)
        counts = np.bincount(2 * (reference[known] == 1) + (mapped[known] == 1), minlength=4)
        return cls(int(counts[3]), int(counts[1]), int(counts[2]), int(counts[0]))

    @property
    def pixels(self) -> int:
        """The number of pixels counted."""
        return sum(dataclasses.astuple(self))

    def figures(self) -> dict[str, Any]:
        """The usual metrics; None where a denominator is zero."""
        tp, fp, fn, tn = dataclasses.astuple(self)
        total = self.pixels
        f1, f1_pervious = ratio(2 * tp, 2 * tp + fp + fn), ratio(2 * tn, 2 * tn + fp + fn)
        chance = ((tp + fp) * (tp + fn) + (tn + fn) * (tn + fp)) / total**2 if total else 0.0
        accuracy = ratio(tp + tn, total)
        return {
            "isa": {
                "precision": ratio(tp, tp + fp),
                "recall": ratio(tp, tp + fn),
                "f1": f1,
                "iou": ratio(tp, tp + fp + fn),
            },
            "macro_f1": None if f1 is None or f1_pervious is None else (f1 + f1_pervious) / 2,
            "oa": accuracy,
            "kappa": None if accuracy is None or chance == 1 else (accuracy - chance) / (1 - chance),
            "area_ratio": ratio(tp + fp, tp + fn),
        }


@dataclasses.dataclass(frozen=True)
class Reliability(Sums):
    """Sums per level of predicted probability, thousandths: pixels, probabilities, impervious pixels."""

    pixels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(_LEVELS))
    probability: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(_LEVELS))
    impervious: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(_LEVELS))

    @classmethod
    def of(cls, probability: np.ndarray, reference: np.ndarray, valid: np.ndarray) -> "Reliability":
        """Counts valid pixels with a known reference."""
        known = valid & (reference != IGNORE)
        p, y = probability[known].astype(np.float64), reference[known] == 1
        levels = np.minimum((p * _LEVELS).astype(int), _LEVELS - 1)
        return cls(
            np.bincount(levels, minlength=_LEVELS).astype(float),
            np.bincount(levels, p, _LEVELS),
            np.bincount(levels, y.astype(float), _LEVELS),
        )

    def expected_error(self) -> float | None:
        """Expected calibration error.

        The mean over pixels of |observed share - predicted probability| in each of 20 bins (Guo et al. 2017).
        """
        total = self.pixels.sum()
        excess = (self.impervious - self.probability).reshape(CALIBRATION_BINS, -1).sum(1)
        return float(np.abs(excess).sum() / total) if total else None

    def brier(self) -> float | None:
        """The mean squared difference of probability and class (Brier 1950), of probabilities in thousandths."""
        total = self.pixels.sum()
        mean = self.probability / np.maximum(self.pixels, 1)
        return float((self.pixels * mean**2 + self.impervious * (1 - 2 * mean)).sum() / total) if total else None

    def diagram(self) -> list[dict[str, float]]:
        """The reliability diagram: mean probability, observed share and pixels of each of 20 bins that occurs."""
        sums = (x.reshape(CALIBRATION_BINS, -1).sum(1) for x in (self.pixels, self.probability, self.impervious))
        return [
            {"probability": float(p / n), "share": float(y / n), "pixels": int(n)}
            for n, p, y in zip(*sums, strict=True)
            if n
        ]

    def best_f1(self) -> float | None:
        """F1 of class 1 at the best threshold for these very pixels.

        No map has it, because the threshold is chosen before. Its lead over the map's F1 is what the transfer of the
        threshold costs. None without a pixel of class 1.
        """
        hits, called = self._above()
        positive = self.impervious.sum()
        return float(np.max(2 * hits / (called + positive))) if positive else None

    def average_precision(self) -> float | None:
        """The mean precision over recall, from the precision at every level; needs no threshold.

        None without a pixel of class 1. Uninformative probabilities have the share of class 1.
        """
        hits, called = self._above()
        positive = self.impervious.sum()
        if not positive:
            return None
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        return float((precision * self.impervious[::-1]).sum() / positive)

    def _above(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of class 1 and all pixels from the highest level down to each level."""
        return np.cumsum(self.impervious[::-1]), np.cumsum(self.pixels[::-1])
