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

ASSUMED_GAIN, ASSUMED_LOSS = 0.01, 0.002  # yearly shares with which EM begins, and which hold where it fails
_START_DOUBT = 0.02
LEAST_DATES = 3  # that tell change from error
FASTEST = 0.05  # yearly share of a class of ground; more has been seen only where seasons looked like growth
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


def estimate_sharpness(
    sample: Sample, start: Transitions, *, gain: float | None = None, loss: float | None = None
) -> float:
    """The factor of the log-odds under which the sample is most probable.

    A probability is calibrated over all its errors, but errors that all dates share look like no change. Against
    change count only those that come and go, and these may be fewer (factor above 1) or more than it says. With
    likelihoods p / m and (1 - p) / (1 - m), where m is the mean of the p of a class, every factor has the same total
    probability over the readings of one date, so their likelihoods compare.

    Args:
        sample: of all classes.
        start: years; gain and loss with which EM begins.
        gain, loss: see `estimate`.
    """
    if len(start.years) < LEAST_DATES or not sample.classes.size:
        return 1.0
    chain = start

    def cost(log: float) -> float:
        nonlocal chain
        own = dataclasses.replace(sample, sharpness=float(np.exp(log)))
        mean = class_means(own, len(start.initial))
        chain = dataclasses.replace(chain, initial=tuple(map(float, mean)))
        chain = estimate(own, chain, mean, gain=gain, loss=loss, rounds=_SHARP_ROUNDS)
        return -_expected(own, chain, mean)[2]

    found = minimize_scalar(cost, bounds=tuple(np.log(_SHARPEST)), method="bounded", options={"xatol": 0.05})
    return round(float(np.exp(found.x)), 3)


def class_means(sample: Sample, count: int) -> np.ndarray:
    """The mean, by class, of the probabilities as `decode` uses them: no 0 or 1, and sharpened.

    Divided by it, the likelihoods of a class add up to 1 over its readings. By another number they do not, and what is
    missing or too much would be estimated as change. A class without a sample has the mean of all.
    """
    p = np.clip(sample.probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    p = expit(sample.sharpness * logit(p))
    known = np.isfinite(p)
    total = np.bincount(sample.classes, np.where(known, p, 0).sum(0), count)
    number = np.bincount(sample.classes, known.sum(0), count)
    overall = total.sum() / number.sum() if number.any() else 0.5
    return np.clip(np.where(number > 0, total / np.maximum(number, 1), overall), 0.001, 0.999)


def estimate(
    sample: Sample,
    start: Transitions,
    prior: np.ndarray,
    *,
    gain: float | None = None,
    loss: float | None = None,
    initial: bool = False,
    rounds: int = _ROUNDS,
) -> Transitions:
    """Estimates gain and loss of every class.

    With fewer than three dates a change looks like an error of one date (another season, say), and the errors would
    become the rates: those with which EM begins hold.

    Args:
        sample: of all classes.
        start: years, and where EM begins.
        prior: by class, see `decode`.
        gain, loss: the yearly shares of all classes, if they are known; a loss of 0 for irreversible growth.
        initial: whether the initial shares are estimated, too; else they stay those of `start`.
        rounds: of EM, at most.
    """
    count = len(start.initial)
    if len(start.years) < LEAST_DATES:
        gain, loss = (ASSUMED_GAIN if gain is None else gain), (ASSUMED_LOSS if loss is None else loss)
    chain = dataclasses.replace(
        start,
        gain=start.gain if gain is None else (gain,) * count,
        loss=start.loss if loss is None else (loss,) * count,
    )
    known = None not in (gain, loss) and not initial
    if known or len(chain.years) < 2 or not sample.classes.size:
        return chain
    for _ in range(rounds):
        counts, _, _ = _expected(sample, chain, prior)
        before = chain
        chain = _shares(counts, chain, gain, loss)
        if initial:
            chain = dataclasses.replace(chain, initial=_initial(counts))
        old, new = (np.array([*c.gain, *c.loss, *c.initial]) for c in (before, chain))
        if (np.abs(new - old) <= _CLOSE * np.maximum(old, 1e-4)).all():
            break
    return chain


def believable(
    chain: Transitions, *, gain: float | None = None, loss: float | None = None
) -> tuple[Transitions, tuple[tuple[str, ...], ...]]:
    """The chain, with the shares assumed that were estimated above `FASTEST` a year.

    Errors that several dates share (bare soil of two dry summers) look like growth to EM, and its rates would then turn
    more of them into growth.

    Args:
        chain: as estimated.
        gain, loss: as given to `estimate`; what is given stays.

    Returns:
        The chain, and for every class which of "gain" and "loss" are assumed.
    """
    too_fast = {
        "gain": [gain is None and share > FASTEST for share in chain.gain],
        "loss": [loss is None and share > FASTEST for share in chain.loss],
    }
    gains = tuple(ASSUMED_GAIN if fast else g for fast, g in zip(too_fast["gain"], chain.gain, strict=True))
    losses = tuple(ASSUMED_LOSS if fast else s for fast, s in zip(too_fast["loss"], chain.loss, strict=True))
    assumed = tuple(
        tuple(name for name, fast in zip(too_fast, both, strict=True) if fast)
        for both in zip(*too_fast.values(), strict=True)
    )
    return dataclasses.replace(chain, gain=gains, loss=losses), assumed


def estimate_doubt(sample: Sample, start: Transitions, prior: np.ndarray) -> np.ndarray:
    """Estimates, on a sample of one tile, the share of each date's pixels that says nothing: float64 [dates].

    Gain and loss are estimated with it, because a change is what a wrong date looks like. With fewer than three dates
    the two cannot be told apart, and the doubt is that which EM starts with: none.
    """
    dates, n = sample.probabilities.shape
    if dates < LEAST_DATES or not n:
        return np.zeros(dates)
    doubt, chain = np.full(dates, _START_DOUBT), start
    for _ in range(_ROUNDS):
        sample = dataclasses.replace(sample, doubt=np.broadcast_to(doubt[:, None], (dates, n)).astype(np.float32))
        counts, (blank, known), _ = _expected(sample, chain, prior)
        chain = _shares(counts, chain)
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


def _shares(
    counts: np.ndarray, chain: Transitions, gain: float | None = None, loss: float | None = None
) -> Transitions:
    """The chain with the yearly gain and loss that are most probable for the expected changes, or those given."""
    counts = _weighted(counts)
    found = [_share(counts[..., k], chain.intervals, gain, loss) for k in range(counts.shape[-1])]
    gains, losses = zip(*found, strict=True)
    return dataclasses.replace(chain, gain=gains, loss=losses)


def _initial(counts: np.ndarray) -> tuple[float, ...]:
    """The expected share of impervious at the first date, by class."""
    stay, gained, lost, kept = _weighted(counts)[:, 0]
    share = (lost + kept) / np.maximum(stay + gained + lost + kept, 1e-9)
    return tuple(float(s) for s in np.clip(share, 1e-4, 1 - 1e-4))


def _weighted(counts: np.ndarray) -> np.ndarray:
    """Expected changes [4, dates - 1, classes], to each class some pixels of the mean of all added."""
    mean = counts.sum(-1, keepdims=True)
    return counts + mean * (_PRIOR_WEIGHT / np.maximum(mean.sum(0, keepdims=True), 1e-9))


def _share(counts: np.ndarray, intervals: np.ndarray, gain: float | None, loss: float | None) -> tuple[float, float]:
    """The yearly gain and loss of one class, where they are not given; counts [4, dates - 1]."""
    stay, gained, lost, kept = counts

    def cost(x: np.ndarray) -> float:
        up, down = over(intervals, *(MOST * expit(x)))
        total = stay @ np.log1p(-up) + gained @ np.log(up) + kept @ np.log1p(-down) + lost @ np.log(down)
        return float(-total / max(counts.sum(), 1e-9))

    years = float(intervals.mean())
    raw = [
        (gained.sum() / max((stay + gained).sum(), 1e-9)) / years,
        (lost.sum() / max((kept + lost).sum(), 1e-9)) / years,
    ]
    bounds = []
    for known in (gain, loss):  # a given share has equal bounds
        least, most = (LEAST, MOST) if known is None else (max(known, LEAST),) * 2
        bounds.append((_place(least), _place(most)))
    start = np.clip([_place(r) for r in raw], *np.transpose(bounds))
    best = MOST * expit(minimize(cost, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14}).x)
    return float(best[0] if gain is None else gain), float(best[1] if loss is None else loss)


def _place(share: float) -> float:
    """Where a yearly share lies on the line that is searched."""
    return min(float(logit(np.clip(share / MOST, LEAST / MOST, 1))), 12.0)


def first_chain(years: tuple[float, ...], initial: np.ndarray) -> Transitions:
    """Where EM begins."""
    return Transitions(
        years, tuple(map(float, initial)), (ASSUMED_GAIN,) * len(initial), (ASSUMED_LOSS,) * len(initial)
    )
