"""Calibrates sets of classes and intervals of fractions, and measures what they and the dissimilarity are worth.

Sets: split conformal prediction with a quantile per class (Vovk 2012; Sadinle, Lei, Wasserman 2019). Intervals: the
same on the error of the fraction, within bins of the predicted fraction. Sites differ more than the ground within a
site, so every site with ground enough has quantiles of its own, and the widest are kept: of S sites that are a random
sample of all sites, the widest is wide enough for a new one with probability S / (S + 1) (Dunn, Wasserman, Ramdas 2023,
on data in groups).
"""

import dataclasses
import fractions
import math
from collections.abc import Sequence

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.confidence_quality import Ranking
from jointseg_jax.evaluation.spatial.cells import cells
from jointseg_jax.evaluation.spatial.fraction import KNOWN, SIDES
from jointseg_jax.evaluation.sums import Sums, ratio
from jointseg_jax.mapping.predictor.applicability import AT_THRESHOLD
from jointseg_jax.mapping.predictor.uncertainty import LEVELS, Covered, Interval, Uncertainty, Worth, bounds, levels
from jointseg_jax.rasters.contract import IGNORE

_PART = 6000  # pixels, a multiple of all sides: bounds the memory
_UNIT = 100 * 100  # pixels that count as one sample: within 100 m errors are alike
_BIN = 20  # levels


@dataclasses.dataclass(frozen=True)
class UncertaintyCounts(Sums):
    """Counts that decide sets and intervals, and their coverage.

    Attributes:
        pixels: by true class and level of the probability, int64 [2, 201].
        cells: per side of `SIDES`, by level of the predicted and of the true fraction, int64 [3, 201, 201].
    """

    pixels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, LEVELS + 1), np.int64))
    cells: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((1, 1, 1), np.int64))  # adds to any

    @classmethod
    def of_pixels(cls, probability: np.ndarray, label: np.ndarray) -> "UncertaintyCounts":
        """Counts known pixels; label: 0, 1, or 255 where the pixel is not judged."""
        level = levels(probability)
        return cls(np.stack([np.bincount(level[label == k], minlength=LEVELS + 1) for k in (0, 1)]))

    @classmethod
    def of_cells(cls, probability: np.ndarray, label: np.ndarray) -> "UncertaintyCounts":
        """Counts the cells of a site from its corner, if half of their pixels are known."""
        total = np.zeros((len(SIDES), LEVELS + 1, LEVELS + 1), np.int64)
        for row in range(0, label.shape[0], _PART):
            for col in range(0, label.shape[1], _PART):
                part = np.s_[row : row + _PART, col : col + _PART]
                for k, side in enumerate(SIDES):
                    true = cells(label[part], side, IGNORE)
                    known = true != IGNORE
                    count = known.sum(-1)
                    judged = count >= KNOWN * side * side
                    guess = np.where(known, cells(probability[part], side, 0), 0).sum(-1, dtype=np.float64)
                    pair = [levels(x[judged] / count[judged]) for x in (guess, (true == 1).sum(-1))]
                    np.add.at(total[k], tuple(pair), 1)
        return cls(cells=total)

    def worth(self, record: Uncertainty, ranking: Ranking) -> Worth:
        """What the layers are worth on the counted ground.

        Args:
            record: the calibration.
            ranking: of right and wrong pixels by similarity, see `similarity`.
        """
        level = np.arange(LEVELS + 1)
        holds = np.stack([level <= record.highest_0, level >= record.lowest_1])
        size, pixels = holds.sum(0), self.pixels.sum()
        coverage = [ratio((row * held).sum(), row.sum()) for row, held in zip(self.pixels, holds, strict=True)]
        intervals = {}
        for side, joint in zip(SIDES, self.cells, strict=True):
            low, high = (x[:, None] for x in bounds(record.intervals[f"{side}m"], level))
            number = joint.sum()
            inside = (joint * ((low <= level) & (level <= high))).sum()
            wide = (joint.sum(1) * (high - low)[:, 0]).sum()
            intervals[f"{side}m"] = Covered(int(number), ratio(inside, number), ratio(wide / LEVELS, number))
        edge = LEVELS - AT_THRESHOLD
        wrong, seen = ranking.wrong, ranking.right + ranking.wrong
        return Worth(
            (coverage[0], coverage[1]),
            ratio((self.pixels * (size == 2)).sum(), pixels),
            ratio((self.pixels * (size == 0)).sum(), pixels),
            intervals,
            ratio(seen[:edge].sum(), seen.sum()),
            ratio(wrong[edge:].sum(), seen[edge:].sum()),
            ratio(wrong[:edge].sum(), seen[:edge].sum()),
            ranking.auroc(),
            int(pixels),
        )


def calibrate_sets(sites: Sequence[UncertaintyCounts], alpha: float) -> tuple[int, int]:
    """The highest level whose set holds class 0, and the lowest whose set holds class 1.

    Args:
        sites: the counts of each.
        alpha: the share that may be missed.

    Raises:
        InputError: there are too few pixels of a class on all sites.
    """
    found = []
    for k, order in enumerate((1, -1)):
        of_sites = [site.pixels[k, ::order] for site in sites]
        found.append(_widest(of_sites, 1, alpha, f"of class {k}"))
    return found[0], LEVELS - found[1]


def calibrate_intervals(sites: Sequence[UncertaintyCounts], alpha: float) -> dict[str, tuple[Interval, ...]]:
    """The intervals per side; bins of the predicted fraction are joined until each has cells enough.

    Args:
        sites: the counts of each.
        alpha: the share that may be missed.

    Raises:
        InputError: there are too few cells for one bin on all sites.
    """
    return {f"{side}m": _intervals([s.cells[k] for s in sites], side, alpha) for k, side in enumerate(SIDES)}


def similarity(level: np.ndarray) -> np.ndarray:
    """The stored dissimilarity, 0 to 200, as a score that is higher where fewer errors are expected."""
    return LEVELS - level


def _share(pixels: int, alpha: float, what: str) -> fractions.Fraction:
    """The share of the calibration that a bound must hold, so that it holds 1 - alpha of new samples like these."""
    samples = pixels // _UNIT
    found = math.ceil((samples + 1) * (1 - alpha) - 1e-9)
    if found > samples:
        raise InputError(
            f"the validation ground has {samples} ha {what}, but {_least(alpha)} are needed for this --alpha: "
            "calibrate with a larger --alpha, or prepare more validation ground"
        )
    return fractions.Fraction(found, samples)


def _least(alpha: float) -> int:
    """The fewest samples whose largest value holds 1 - alpha of new ones."""
    return math.ceil(1 / alpha - 1 - 1e-9)


def _reached(counts: np.ndarray, share: fractions.Fraction) -> int:
    """The first index up to which there is at least this share of the counts."""
    total = np.cumsum(counts)
    return int(np.searchsorted(total * share.denominator, int(total[-1]) * share.numerator))


def _widest(sites: Sequence[np.ndarray], side: int, alpha: float, what: str) -> int:
    """The first index up to which the share is reached on all sites together, and on each with samples enough.

    A site's own share has no correction for few samples: that would make nearly all sets hold both classes.

    Args:
        sites: counts by index of each, of cells of `side` metres.
        side: see `sites`.
        alpha: the share that may be missed.
        what: is counted, for the message.
    """
    total = np.sum(sites, axis=0)
    found = [_reached(total, _share(int(total.sum()) * side * side, alpha, what))]
    for own in sites:
        if int(own.sum()) * side * side >= _least(alpha) * _UNIT:
            found.append(_reached(own, 1 - fractions.Fraction(alpha).limit_denominator(10_000)))
    return max(found)


def _intervals(sites: Sequence[np.ndarray], side: int, alpha: float) -> tuple[Interval, ...]:
    pixels = np.sum(sites, axis=0).sum(1) * side * side
    least = _least(alpha / 2) * _UNIT
    starts = [0]
    for start in range(_BIN, LEVELS, _BIN):
        if min(pixels[starts[-1] : start].sum(), pixels[start:].sum()) >= least:
            starts.append(start)
    found = []
    for start, end in zip(starts, [*starts[1:], LEVELS + 1], strict=True):
        errors = [_errors(joint, start, end) for joint in sites]
        low, high = (
            _widest([e[::order] for e in errors], side, alpha / 2, f"in cells of {side} m") for order in (-1, 1)
        )
        found.append(Interval(start, LEVELS - low, high - LEVELS))
    return tuple(found)


def _errors(joint: np.ndarray, start: int, end: int) -> np.ndarray:
    """Counts by true minus predicted fraction, plus 200, of the predicted levels of a bin."""
    errors = np.zeros(2 * LEVELS + 1, np.int64)
    for level in range(start, end):
        errors[LEVELS - level : 2 * LEVELS + 1 - level] += joint[level]
    return errors
