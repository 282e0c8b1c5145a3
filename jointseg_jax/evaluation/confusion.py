"""Scores of a class map: additive counts, and the metrics computed from their sum."""

import dataclasses
from typing import Any

import numpy as np

from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.rasters.contract import IGNORE

CALIBRATION_BINS = 20


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
        f1, f1_pervious = _ratio(2 * tp, 2 * tp + fp + fn), _ratio(2 * tn, 2 * tn + fp + fn)
        chance = ((tp + fp) * (tp + fn) + (tn + fn) * (tn + fp)) / total**2 if total else 0.0
        accuracy = _ratio(tp + tn, total)
        return {
            "isa": {
                "precision": _ratio(tp, tp + fp),
                "recall": _ratio(tp, tp + fn),
                "f1": f1,
                "iou": _ratio(tp, tp + fp + fn),
            },
            "macro_f1": None if f1 is None or f1_pervious is None else (f1 + f1_pervious) / 2,
            "oa": accuracy,
            "kappa": None if accuracy is None or chance == 1 else (accuracy - chance) / (1 - chance),
            "area_ratio": _ratio(tp + fp, tp + fn),
        }


def _ratio(a: float, b: float) -> float | None:
    return a / b if b else None


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Sums per bin of predicted probability: pixels, probabilities, impervious pixels."""

    pixels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(CALIBRATION_BINS))
    probability: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(CALIBRATION_BINS))
    impervious: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(CALIBRATION_BINS))

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(
            self.pixels + other.pixels, self.probability + other.probability, self.impervious + other.impervious
        )

    @classmethod
    def of(cls, probability: np.ndarray, reference: np.ndarray, valid: np.ndarray) -> "Reliability":
        """Counts valid pixels with a known reference."""
        known = valid & (reference != IGNORE)
        p, y = probability[known].astype(np.float64), reference[known] == 1
        bins = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        return cls(
            np.bincount(bins, minlength=CALIBRATION_BINS).astype(float),
            np.bincount(bins, p, CALIBRATION_BINS),
            np.bincount(bins, y.astype(float), CALIBRATION_BINS),
        )

    def expected_error(self) -> float | None:
        """Expected calibration error.

        The mean over pixels of |observed share - predicted probability| per bin (Guo et al. 2017).
        """
        total = self.pixels.sum()
        return float(np.abs(self.impervious - self.probability).sum() / total) if total else None
