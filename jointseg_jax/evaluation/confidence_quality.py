"""Measures the quality of a confidence: its AUROC for wrong pixels, and risk against coverage."""

import dataclasses
from typing import Any

import numpy as np

from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.mapping.predictor.confidence import LEVELS
from jointseg_jax.rasters.contract import IGNORE


@dataclasses.dataclass(frozen=True)
class Ranking(Sums):
    """Counts of right and wrong pixels per stored level of a score, 0 to 200; a higher level is more confident.

    The levels are those of the product file, so the figures hold for it exactly.
    """

    right: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(LEVELS + 1, np.int64))
    wrong: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(LEVELS + 1, np.int64))

    @classmethod
    def of(cls, levels: np.ndarray, mapped: np.ndarray, reference: np.ndarray) -> "Ranking":
        """Counts pixels known in both maps (255 is unknown); levels: integers from 0 to 200."""
        known = (mapped != IGNORE) & (reference != IGNORE)
        wrong = mapped[known] != reference[known]
        found = levels[known]
        return cls(np.bincount(found[~wrong], minlength=LEVELS + 1), np.bincount(found[wrong], minlength=LEVELS + 1))

    @property
    def pixels(self) -> int:
        """The number of pixels counted."""
        return int(self.right.sum() + self.wrong.sum())

    def auroc(self) -> float | None:
        """The probability that a wrong pixel has a lower level than a right one; 1/2 is chance.

        Ties count half (Hanley, McNeil 1982). None if all pixels are right, or all wrong.
        """
        right, wrong = self.right.astype(float), self.wrong.astype(float)
        pairs = right.sum() * wrong.sum()
        if not pairs:
            return None
        above = right.sum() - np.cumsum(right)
        return float((wrong * (above + right / 2)).sum() / pairs)

    def curve(self) -> list[dict[str, float]]:
        """The risk-coverage curve, most confident pixels first (El-Yaniv, Wiener 2010).

        For each level that occurs: the share of pixels at or above it, and the share of wrong pixels among those.
        """
        kept = np.cumsum((self.right + self.wrong)[::-1])[::-1]
        errors = np.cumsum(self.wrong[::-1])[::-1]
        occurring = np.flatnonzero(self.right + self.wrong)[::-1]
        return [
            {
                "confidence": level / LEVELS,
                "coverage": float(kept[level] / self.pixels),
                "risk": float(errors[level] / kept[level]),
            }
            for level in occurring.tolist()
        ]

    def figures(self) -> dict[str, Any]:
        """AUROC, the risk at full coverage, and the area under the risk-coverage curve (lower is better).

        Pixels within a level have no order; the curve assumes that its errors are evenly spread. `aurc_best` is the
        area of a score that ranks all errors last, `aurc_none` that of an uninformative score.
        """
        if not self.pixels:
            return {"auroc": None, "pixels": 0}
        risk = float(self.wrong.sum() / self.pixels)
        best = risk + (1 - risk) * float(np.log1p(-risk)) if risk < 1 else 1.0
        return {
            "auroc": self.auroc(), "risk": risk, "aurc": self._area(), "aurc_best": best, "aurc_none": risk,
            "pixels": self.pixels,
        }  # fmt: skip

    def _area(self) -> float:
        kept = errors = area = 0.0
        for right, wrong in zip(self.right[::-1].tolist(), self.wrong[::-1].tolist(), strict=True):
            count = right + wrong
            if count:
                # The integral of (errors + s x wrong) / (kept + s x count) over the pixels s x count, s from 0 to 1.
                rate = wrong / count
                area += wrong + ((errors - rate * kept) * float(np.log1p(count / kept)) if kept else 0.0)
            kept, errors = kept + count, errors + wrong
        return area / kept


def margin_levels(probability: np.ndarray, threshold: float) -> np.ndarray:
    """A baseline score without extra computation: the distance of the probability from the threshold, 0 to 200."""
    room = np.where(probability >= threshold, 1 - threshold, threshold)
    return np.round(LEVELS * np.abs(probability - threshold) / room).astype(np.uint8)
