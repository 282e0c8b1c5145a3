"""Scores of a map of change: additive counts of pairs of true and mapped kinds, and the figures of their sum."""

import dataclasses
from typing import Any

import numpy as np

from jointseg_jax.change.flicker import flickers
from jointseg_jax.evaluation.change.kinds import Kinds
from jointseg_jax.evaluation.confusion import Confusion
from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.rasters.contract import IGNORE


@dataclasses.dataclass(frozen=True)
class ChangeCounts(Sums):
    """Pixels of ground whose states are known on all dates, in truth and on the map.

    Attributes:
        matrix: by true kind (rows) and mapped kind, see `Kinds`.
        flicker: pixels that the map shows as impervious, later pervious and later impervious again.
    """

    matrix: np.ndarray
    flicker: int

    @classmethod
    def of(cls, mapped: np.ndarray, true: np.ndarray, kinds: Kinds) -> "ChangeCounts":
        """Counts one piece of ground; both are states, uint8 [dates, rows, cols], 255 for unknown."""
        count = kinds.stable + 1
        here, there = kinds.of(true), kinds.of(mapped)
        known = (here != IGNORE) & (there != IGNORE)
        pairs = np.bincount(here[known].astype(int) * count + there[known], minlength=count**2)
        return cls(pairs.reshape(count, count), int((flickers(mapped) & known).sum()))

    def figures(self, kinds: Kinds) -> dict[str, Any]:
        """The figures; None where a denominator is zero.

        Returns:
            `pixels`; `change`, `gain` and `loss`: precision, recall, F1 and IoU of pixels that change at all, gain
            once, or lose once; `false_change`: the share of truly stable ground that changes on the map; `flicker`: the
            share of all ground; `right_period`: of pixels that gain in truth and on the map, the share in the same
            period; `periods`: the matrix behind it, true periods in rows; `area_m2`: true and mapped pixels of every
            kind.
        """
        total = int(self.matrix.sum())
        number = np.arange(len(self.matrix))
        changed = (number > 0) & (number < kinds.stable)
        gained = changed & (number < kinds.loss)
        stable = int(self.matrix[~changed].sum())
        periods = self.matrix[np.ix_(gained, gained)]
        names = kinds.names
        return {
            "pixels": total,
            "change": self._isa(changed),
            "gain": self._isa(gained),
            "loss": self._isa(number == kinds.loss),
            "false_change": float(self.matrix[np.ix_(~changed, changed)].sum()) / stable if stable else None,
            "flicker": self.flicker / total if total else None,
            "right_period": float(np.trace(periods)) / float(periods.sum()) if periods.sum() else None,
            "periods": periods.tolist(),
            "area_m2": {
                "true": dict(zip(names, self.matrix.sum(1).tolist(), strict=True)),
                "mapped": dict(zip(names, self.matrix.sum(0).tolist(), strict=True)),
            },
        }

    def _isa(self, chosen: np.ndarray) -> dict[str, float | None]:
        true, mapped = self.matrix[chosen], self.matrix[:, chosen]
        both = int(true[:, chosen].sum())
        found = Confusion(both, int(mapped.sum()) - both, int(true.sum()) - both, 0).figures()
        scores: dict[str, float | None] = found["isa"]
        return scores
