"""Kinds of change that a sequence of states shows: the classes that are judged, sampled and reported.

With dates 2017, 2019 and 2021 the kinds are 0 stable pervious, 1 gain 2017 to 2019, 2 gain 2019 to 2021, 3 loss,
4 several changes, 5 stable impervious.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from jointseg_jax.rasters.contract import IGNORE


@dataclasses.dataclass(frozen=True)
class Kinds:
    """The kinds of change between some dates.

    Attributes:
        labels: names of the dates, in order.
    """

    labels: tuple[str, ...]

    @property
    def periods(self) -> tuple[str, ...]:
        """Names of the periods between two dates; the gain of period i is kind i + 1."""
        return tuple(f"{a} to {b}" for a, b in itertools.pairwise(self.labels))

    @property
    def loss(self) -> int:
        """Impervious at first, then pervious to the end, from any date on."""
        return len(self.labels)

    @property
    def several(self) -> int:
        """More than one change."""
        return self.loss + 1

    @property
    def stable(self) -> int:
        """Impervious on all dates."""
        return self.loss + 2

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all kinds, by number."""
        gains = (f"gain {period}" for period in self.periods)
        return ("stable pervious", *gains, "loss", "several changes", "stable impervious")

    def of(self, states: np.ndarray) -> np.ndarray:
        """The kind of every pixel, uint8 [rows, cols], 255 where a state is unknown.

        Args:
            states: uint8 [dates, rows, cols]: 0 pervious, 1 impervious, 255 unknown.
        """
        known = (states != IGNORE).all(0)
        differs = states[1:] != states[:-1]
        count = differs.sum(0)
        when = 1 + differs.argmax(0)
        once = np.where(states[0] == 0, when, self.loss)
        never = np.where(states[0] == 0, 0, self.stable)
        kind = np.where(count == 0, never, np.where(count == 1, once, self.several))
        return np.where(known, kind, IGNORE).astype(np.uint8)


def filled(states: np.ndarray) -> np.ndarray:
    """States [dates, rows, cols] whose gaps hold the last known state before them, or else the first after them."""
    found = states.copy()
    for order in (range(1, len(found)), range(len(found) - 2, -1, -1)):
        step = 1 if order.step > 0 else -1
        for i in order:
            found[i] = np.where(found[i] == IGNORE, found[i - step], found[i])
    return found


def majority(states: np.ndarray) -> np.ndarray:
    """A majority filter over three consecutive dates, of filled states; the first and the last date stay."""
    found = states.copy()
    if len(states) > 2:
        known = (states[:-2] != IGNORE) & (states[1:-1] != IGNORE) & (states[2:] != IGNORE)
        ones = (states[:-2] == 1).astype(np.uint8) + (states[1:-1] == 1) + (states[2:] == 1)
        found[1:-1] = np.where(known, ones >= 2, states[1:-1])
    return found


def thresholded(probabilities: Sequence[np.ndarray], threshold: float = 0.5) -> np.ndarray:
    """States of single maps, uint8 [dates, rows, cols]: what each map shows by itself; NaN becomes 255."""
    with np.errstate(invalid="ignore"):
        shown = [np.where(np.isnan(p), IGNORE, p >= threshold) for p in probabilities]
    return np.stack(shown).astype(np.uint8)
