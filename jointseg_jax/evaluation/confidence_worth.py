"""What a confidence is worth: does it rank wrong pixels below right ones, and what is the risk of those it keeps?"""

import dataclasses
from typing import Any

import numpy as np

from jointseg_jax.mapping.predictor.confidence import LEVELS
from jointseg_jax.rasters.contract import IGNORE


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Right and wrong pixels per stored level of a score, 0 to 200; higher levels claim more confidence.

    The levels are those of the product, so the figures are exactly those of the file delivered.
    """

    right: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(LEVELS + 1, np.int64))
    wrong: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(LEVELS + 1, np.int64))

    def __add__(self, other: "Ranking") -> "Ranking":
        return Ranking(self.right + other.right, self.wrong + other.wrong)

    @classmethod
    def of(cls, levels: np.ndarray, mapped: np.ndarray, reference: np.ndarray) -> "Ranking":
        """Counts over pixels known in both maps (255 is unknown); levels: whole numbers of 0 to 200."""
        known = (mapped != IGNORE) & (reference != IGNORE)
        wrong = mapped[known] != reference[known]
        found = levels[known]
        return cls(np.bincount(found[~wrong], minlength=LEVELS + 1), np.bincount(found[wrong], minlength=LEVELS + 1))

    @property
    def pixels(self) -> int:
        """All counted pixels."""
        return int(self.right.sum() + self.wrong.sum())

    def auroc(self) -> float | None:
        """The chance that a wrong pixel has a lower level than a right one; 1/2 is worthless.

        Equal levels count half (Hanley, McNeil 1982). None where all pixels are right, or all wrong.
        """
        right, wrong = self.right.astype(float), self.wrong.astype(float)
        pairs = right.sum() * wrong.sum()
        if not pairs:
            return None
        above = right.sum() - np.cumsum(right)
        return float((wrong * (above + right / 2)).sum() / pairs)

    def curve(self) -> list[dict[str, float]]:
        """Risk against coverage, most confident pixels first (El-Yaniv, Wiener 2010).

        For each level that occurs: the share of pixels that reach it, and the share of wrong ones among those.
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

        Within a level pixels have no order, so along it the risk follows from errors that come evenly. `aurc_best` is
        that of a score that knows every error, `aurc_none` of one that knows nothing.
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
    """A score that costs nothing, to compare with: the distance of the probability from the threshold, 0 to 200."""
    room = np.where(probability >= threshold, 1 - threshold, threshold)
    return np.round(LEVELS * np.abs(probability - threshold) / room).astype(np.uint8)
