"""Estimates yearly gain and loss, and the doubt about each date, from a sample of sequences by EM (Dempster 1977).

E-step: the forward and backward recursions of `decoding`. M-step: initial shares and doubts are means of
responsibilities; the yearly shares of a class maximise the expected log-likelihood of its changes over intervals of any
length, in two variables. Weak priors keep classes with few pixels near the mean of all classes.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit

from jointseg_jax.change.decoding import LEAST_PROBABILITY, filtered, likelihoods, smoothed
from jointseg_jax.change.transitions import LEAST, MOST, Transitions, over

_START_GAIN, _START_LOSS, _START_DOUBT = 0.01, 0.002, 0.02
_ROUNDS, _CLOSE = 60, 2e-3  # of EM, and the largest relative change of a share at which it ends
_SHARP_ROUNDS, _SHARPEST = 6, (0.25, 8.0)  # rounds of EM for each factor that is tried, and its bounds
_PRIOR_WEIGHT = 200.0  # pixels of the mean of all classes that are added to each class
_DOUBT_WEIGHT = 50.0  # pixels with the doubt that EM starts with, added to each date
_MOST_DOUBT = 0.5


@dataclasses.dataclass(frozen=True)
class Sample:
    """Sequences of probabilities, sampled from the maps.

    Attributes:
        probabilities: float32 [dates, n], NaN for nodata.
        classes: int32 [n].
        doubt: float32 [dates, n]; see `decode`.
        sharpness: of the probabilities; see `decode`.
    """

    probabilities: np.ndarray
    classes: np.ndarray
    doubt: np.ndarray
    sharpness: float = 1.0


def estimate_sharpness(sample: Sample, start: Transitions, *, irreversible: bool = False) -> float:
    """The factor of the log-odds under which the sample is most probable.

    A probability is calibrated over all its errors, but errors that all dates share look like no change. Against
    change count only those that come and go, and these may be fewer (factor above 1) or more than it says. With
    likelihoods p / m and (1 - p) / (1 - m), where m is the mean of the p of a class, every factor has the same total
    probability over the readings of one date, so their likelihoods compare.

    Args:
        sample: of all classes.
        start: years; gain and loss with which EM begins.
        irreversible: see `estimate`.
    """
    if len(start.years) < 3 or not sample.classes.size:
        return 1.0
    chain = start

    def cost(log: float) -> float:
        nonlocal chain
        own = dataclasses.replace(sample, sharpness=float(np.exp(log)))
        mean = _means(own, len(start.initial))
        chain = dataclasses.replace(chain, initial=tuple(map(float, mean)))
        chain = estimate(own, chain, mean, irreversible=irreversible, rounds=_SHARP_ROUNDS)
        return -_expected(own, chain, mean)[2]

    found = minimize_scalar(cost, bounds=tuple(np.log(_SHARPEST)), method="bounded", options={"xatol": 0.05})
    return round(float(np.exp(found.x)), 3)


def _means(sample: Sample, count: int) -> np.ndarray:
    """The mean of the sharpened probabilities of each class."""
    p = np.clip(sample.probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    p = expit(sample.sharpness * logit(p))
    known = np.isfinite(p)
    total = np.bincount(sample.classes, np.where(known, p, 0).sum(0), count)
    number = np.bincount(sample.classes, known.sum(0), count)
    return np.clip(np.where(number > 0, total / np.maximum(number, 1), 0.5), 0.001, 0.999)


def estimate(
    sample: Sample, start: Transitions, prior: np.ndarray, *, irreversible: bool = False, rounds: int = 60
) -> Transitions:
    """Estimates gain and loss of every class; the initial shares stay those of `start`.

    Args:
        sample: of all classes.
        start: years, initial shares; its gain and loss are where EM begins.
        prior: by class, see `decode`.
        irreversible: the loss is 0.
        rounds: of EM, at most.
    """
    chain = start.irreversible() if irreversible else start
    if len(chain.years) < 2 or not sample.classes.size:
        return chain
    for _ in range(rounds):
        counts, _, _ = _expected(sample, chain, prior)
        gain, loss = _shares(counts, chain, irreversible)
        old = np.array([*chain.gain, *chain.loss])
        chain = dataclasses.replace(chain, gain=tuple(map(float, gain)), loss=tuple(map(float, loss)))
        new = np.array([*chain.gain, *chain.loss])
        if (np.abs(new - old) <= _CLOSE * np.maximum(old, 1e-4)).all():
            break
    return chain


def estimate_doubt(sample: Sample, start: Transitions, prior: np.ndarray) -> np.ndarray:
    """Estimates, on a sample of one tile, the share of each date's pixels that says nothing: float64 [dates].

    Gain and loss are estimated with it, because a change is what a wrong date looks like. With fewer than three dates
    the two cannot be told apart, and the doubt is that which EM starts with: none.
    """
    dates, n = sample.probabilities.shape
    if dates < 3 or not n:
        return np.zeros(dates)
    doubt, chain = np.full(dates, _START_DOUBT), start
    for _ in range(_ROUNDS):
        sample = dataclasses.replace(sample, doubt=np.broadcast_to(doubt[:, None], (dates, n)).astype(np.float32))
        counts, (blank, known), _ = _expected(sample, chain, prior)
        gain, loss = _shares(counts, chain, False)
        chain = dataclasses.replace(chain, gain=tuple(map(float, gain)), loss=tuple(map(float, loss)))
        before = doubt
        doubt = np.minimum((blank + _START_DOUBT * _DOUBT_WEIGHT) / (known + _DOUBT_WEIGHT), _MOST_DOUBT)
        if (np.abs(doubt - before) <= _CLOSE * np.maximum(before, 1e-2)).all():
            break
    return np.round(doubt, 4)


def _expected(
    sample: Sample, chain: Transitions, prior: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], float]:
    """The E-step.

    Returns:
        Expected changes [4, dates - 1, classes] (stayed 0, gained, lost, stayed 1); pixels of each date that say
        nothing, and that are known; the mean logarithm of the likelihood of a sequence.
    """
    gain, loss = chain.steps()
    tables = (np.asarray(prior), np.asarray(chain.initial), gain, loss)
    p, kinds, doubt = sample.probabilities, sample.classes, sample.doubt
    size = 1 << max(0, p.shape[1] - 1).bit_length()  # few shapes, so few programs to compile
    missing = ((0, 0), (0, size - p.shape[1]))
    found = _posterior(
        np.pad(p, missing, constant_values=np.nan),
        np.pad(kinds, missing[1]),
        np.pad(np.asarray(doubt, np.float32), missing),
        *(table.astype(np.float32) for table in tables),
        np.float32(sample.sharpness),
        count=len(chain.initial),
    )
    counts, blank, known, evidence = (np.asarray(part, np.float64) for part in jax.device_get(found))
    return counts, (blank, known), float(evidence)


@functools.partial(jax.jit, static_argnames="count")
def _posterior(
    p: jax.Array,
    kinds: jax.Array,
    doubt: jax.Array,
    prior: jax.Array,
    initial: jax.Array,
    gain: jax.Array,
    loss: jax.Array,
    sharpness: jax.Array,
    *,
    count: int,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    known = jnp.isfinite(p)
    sure = likelihoods(p, known, prior[kinds], jnp.zeros_like(doubt), sharpness)
    likely = likelihoods(p, known, prior[kinds], doubt, sharpness)
    up, down = gain[:, kinds], loss[:, kinds]
    forward, _, evidence = filtered(likely, initial[kinds], up, down)
    ones, gained, lost = smoothed(forward, up, down)
    changes = jnp.stack([1 - ones[:-1] - gained, gained, lost, ones[:-1] - lost])
    some = known.any(0)  # padding has no data
    changes = changes * some
    by_class = jax.vmap(jax.vmap(lambda x: jax.ops.segment_sum(x, kinds, count)))(changes)
    state = jnp.stack([1 - ones, ones], 1)
    d = doubt[:, None]
    blank = (state * d / jnp.maximum(d + (1 - d) * sure, 1e-12)).sum(1)
    mean = (evidence * some).sum() / jnp.maximum(some.sum(), 1)
    return by_class, (blank * known).sum(1), known.sum(1), mean


def _shares(counts: np.ndarray, chain: Transitions, irreversible: bool) -> tuple[np.ndarray, np.ndarray]:
    """Yearly gain and loss of each class that are most probable for the expected changes."""
    mean = counts.sum(-1, keepdims=True)
    weight = _PRIOR_WEIGHT / np.maximum(mean.sum(0, keepdims=True), 1e-9)
    counts = counts + (mean * weight if mean.sum() > 0 else 0)
    found = np.array([_share(counts[..., k], chain.intervals, irreversible) for k in range(counts.shape[-1])])
    return found[:, 0], found[:, 1]


def _share(counts: np.ndarray, intervals: np.ndarray, irreversible: bool) -> tuple[float, float]:
    """The yearly gain and loss of one class; counts [4, dates - 1]."""
    stay, gained, lost, kept = counts

    def cost(x: np.ndarray) -> float:
        g, low = MOST * expit(x), np.zeros(())
        g, low = g[0], low if irreversible else g[1]
        up, down = over(intervals, g, low)
        total = stay @ np.log1p(-up) + gained @ np.log(np.maximum(up, 1e-300))
        if not irreversible:
            total += kept @ np.log1p(-down) + lost @ np.log(np.maximum(down, 1e-300))
        return float(-total / max(counts.sum(), 1e-9))

    years = float(intervals.mean())
    raw = [
        (gained.sum() / max((stay + gained).sum(), 1e-9)) / years,
        (lost.sum() / max((kept + lost).sum(), 1e-9)) / years,
    ]
    start = logit(np.clip(np.array(raw) / MOST, 1e-7, 0.99))
    ends = [(float(logit(LEAST / MOST)), 12.0)] * 2
    best = minimize(cost, np.clip(start, *ends[0]), method="L-BFGS-B", bounds=ends, options={"ftol": 1e-14}).x
    return float(MOST * expit(best[0])), 0.0 if irreversible else float(MOST * expit(best[1]))


def first_chain(years: tuple[float, ...], initial: np.ndarray) -> Transitions:
    """Where EM begins."""
    return Transitions(years, tuple(map(float, initial)), (_START_GAIN,) * len(initial), (_START_LOSS,) * len(initial))
