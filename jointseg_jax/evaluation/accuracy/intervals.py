"""Confidence intervals of the estimates; docs/accuracy.md has their coverage by simulation.

bayes    the default: every stratum's cells get a Dirichlet posterior whose prior is worth one point, half of it on the
         cells where the map is right and half on those where it is wrong; the interval is the central one of the
         figure over draws
wald     R +- z SE, as published tables have it; its coverage is too low at small counts

The prior is that of Berger, Bernardo and Sun 2015 (Bayesian Analysis 10, 189-221), one point in all, but not spread
evenly: then a map of many classes would be expected to be wrong. For two classes it is Jeffreys' Beta(1/2, 1/2).
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from jointseg_jax.evaluation.accuracy.estimators import Estimates, Ratios
from jointseg_jax.evaluation.accuracy.samples import Points, Sample

DEFAULT = "bayes"
LEVEL = 0.95
DRAWS = 20_000
_SEED = 20140525  # fixed: the same sample has the same interval
_AT_ONCE = 2_000_000  # numbers drawn at a time
Limits = tuple[np.ndarray, np.ndarray]


def wald(sample: Sample, ratios: Ratios, found: Estimates, mapped: np.ndarray | None = None) -> Limits:
    """Value plus and minus the normal quantile times the standard error; not cut at 0 and 1."""
    half = stats.norm.ppf((1 + LEVEL) / 2) * found.se
    return found.value - half, found.value + half


def bayes(sample: Sample, ratios: Ratios, found: Estimates, mapped: np.ndarray | None = None) -> Limits:
    """The central credible interval; see the module. Only of one sample, without leading axes.

    The points of a block are worth fewer independent ones: for every figure a stratum's counts are divided by the
    design effect, its variance between blocks over that of independent points.
    """
    rng = np.random.default_rng(_SEED)
    counts = sample.mean * sample.units[:, None]
    weights = sample.sizes / sample.sizes.sum()
    if isinstance(sample, Points):
        return _central(rng, counts, weights, sample.possible, ratios, mapped)
    # A stratum's weight in the population of points, not of blocks.
    weights = weights * sample.mean.sum(-1)
    effect = design_effects(sample, ratios, found)
    low, high = np.empty(len(found.value)), np.empty(len(found.value))
    for i in range(len(low)):
        one = Ratios(ratios.over[i : i + 1], ratios.under[i : i + 1])
        less = counts / effect[i][:, None]
        (low[i],), (high[i],) = _central(rng, less, weights / weights.sum(), sample.possible, one, mapped)
    return low, high


def design_effects(sample: Sample, ratios: Ratios, found: Estimates) -> np.ndarray:
    """Variance between blocks over that of as many independent points, [figures, strata]; at least 1.

    Where a figure does not vary in a stratum, its effect is the mean number of points of a block: none is assumed to be
    independent.
    """
    per_block = sample.mean.sum(-1)  # points
    counts = sample.mean * sample.units[:, None]
    alike = Points(counts, sample.sizes, sample.possible, np.ones(len(sample.sizes)))
    influence = np.nan_to_num(ratios.over - found.value[:, None] * ratios.under)
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = sample.spread(influence) / per_block / alike.spread(influence)
    return np.where(np.isfinite(effect), np.clip(effect, 1, None), np.maximum(per_block, 1))


def _central(
    rng: np.random.Generator,
    counts: np.ndarray,
    weights: np.ndarray,
    possible: np.ndarray,
    ratios: Ratios,
    mapped: np.ndarray | None,
) -> Limits:
    known = possible | (counts > 0)
    shape = (counts + _prior(known))[known]
    stratum, cell = np.nonzero(known)  # sorted by stratum
    first = np.searchsorted(stratum, np.arange(len(counts)))
    values = np.empty((DRAWS, len(ratios.over)))
    step = max(1, _AT_ONCE // len(cell))
    for start in range(0, DRAWS, step):
        drawn = rng.standard_gamma(shape, (min(step, DRAWS - start), len(cell)))
        shares = drawn * (weights / np.add.reduceat(drawn, first, axis=1))[:, stratum]
        if mapped is not None:
            own = cell // len(mapped)
            rows = shares @ (own[:, None] == np.arange(len(mapped)))
            with np.errstate(invalid="ignore", divide="ignore"):
                shares = np.nan_to_num(shares * (mapped / rows)[:, own])
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (shares @ ratios.over[:, cell].T) / (shares @ ratios.under[:, cell].T)
        values[start : start + len(found)] = found
    tail = (1 - LEVEL) / 2
    low, high = np.full((2, len(ratios.over)), np.nan)
    some = ~np.isnan(values).all(0)  # not of the user's accuracy of a class that the map does not have
    low[some], high[some] = np.nanquantile(values[:, some], (tail, 1 - tail), axis=0)
    return low, high


def _prior(known: np.ndarray) -> np.ndarray:
    """The prior counts of the cells that can occur, one per stratum: half on right cells, half on wrong ones."""
    right = np.eye(math.isqrt(known.shape[1]), dtype=bool).ravel()
    parts = np.stack([known & right, known & ~right])
    halves = (parts / np.maximum(parts.sum(2, keepdims=True), 1)).sum(0)
    return np.asarray(halves / halves.sum(1, keepdims=True))


_KINDS: dict[str, Callable[..., Limits]] = {"bayes": bayes, "wald": wald}
INTERVALS = tuple(_KINDS)


def limits(kind: str, sample: Sample, ratios: Ratios, found: Estimates, mapped: np.ndarray | None = None) -> Limits:
    """Lower and upper limits [..., figures]; NaN where the value is.

    The centre of a posterior may miss an estimate of 0 or 1 (0 of 5); the interval then reaches it.
    """
    low, high = _KINDS[kind](sample, ratios, found, mapped)
    undefined = np.isnan(found.value)
    low, high = np.minimum(low, found.value), np.maximum(high, found.value)
    return np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)
