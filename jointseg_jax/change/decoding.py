"""Decodes the probabilities of several dates as one sequence per pixel: a hidden Markov chain of two states.

The maps give P(impervious | image). Divided by the prior that these probabilities contain, this is the likelihood of
the image up to a factor that does not depend on the state. With the chain's initial shares and transitions, the forward
and backward recursions (Rabiner 1989) give the probability of each state and of each change given all images; the
algorithm of Viterbi (1967) gives the most probable sequence. A date without data has likelihood 1: it is skipped.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.change.transitions import Transitions
from jointseg_jax.rasters.contract import IGNORE

MOST_DATES = IGNORE - 1  # their indexes are stored beside 0 for never and 255 for nodata
# Half a step of the stored probability: a stored 0 or 1 is rounded, no certainty.
LEAST_PROBABILITY = 0.0025
_CHUNK = 1 << 18  # pixels decoded at once: what bounds the memory


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What the sequence of maps says. Arrays of pixels without data on any date hold 255 or NaN.

    Attributes:
        states: uint8 [dates, rows, cols]: the most probable sequence: 0 pervious, 1 impervious, 255 nodata. A date
            without data has the state that the other dates and the transitions imply.
        marginals: float32 [dates, rows, cols]: probability of impervious on each date, given all dates.
        year_index: uint8 [rows, cols]: index of the first date whose state differs from that of the date before; 0 if
            none does, 255 nodata.
        confidence: float32 [rows, cols]: probability, given all dates, that there was a change if `year_index` says so,
            and that there was none if it says never.
        expected_count: float32 [rows, cols]: expected number of changes, given all dates.
    """

    states: np.ndarray
    marginals: np.ndarray
    year_index: np.ndarray
    confidence: np.ndarray
    expected_count: np.ndarray


def decode(
    probabilities: np.ndarray,
    prior: float | np.ndarray,
    transitions: Transitions,
    irreversible: bool = False,
    *,
    classes: np.ndarray | None = None,
    doubt: np.ndarray | None = None,
    sharpness: float = 1.0,
) -> Decoded:
    """Decodes the maps of several dates, of any size with constant memory besides the arrays given and returned.

    Args:
        probabilities: float32 [dates, rows, cols]: calibrated probability of impervious; NaN for nodata.
        prior: the share of impervious that the probabilities assume: one number, or one per class of ground.
        transitions: the chain, with the years of the dates.
        irreversible: whether what is built stays: the loss of `transitions` counts as 0.
        classes: integers [rows, cols]: the class of ground of each pixel, index into `transitions`; None for class 0.
        doubt: per date, the share of pixels whose probability says nothing (haze, a wrong scene), from 0 to 1: the
            likelihood becomes (1 - doubt) * likelihood + doubt. None for no doubt.
        sharpness: factor of the log-odds of the probabilities, see `estimation.estimate_sharpness`.

    Raises:
        ValueError: shapes do not fit, or a prior is not between 0 and 1.
    """
    dates, rows, cols = probabilities.shape
    chain = transitions.irreversible() if irreversible else transitions
    count = len(chain.initial)
    tables = _tables(chain, prior, doubt, sharpness)
    if dates != len(chain.years) or not dates <= MOST_DATES:
        raise ValueError(f"{dates} dates were given for the {len(chain.years)} years of the transitions")
    flat = np.asarray(probabilities, np.float32).reshape(dates, -1)
    kind = np.zeros(rows * cols, np.int32) if classes is None else np.asarray(classes, np.int32).reshape(-1)
    if kind.size != flat.shape[1] or (kind.size and not 0 <= kind.min() <= kind.max() < count):
        raise ValueError(f"classes must be [{rows}, {cols}] from 0 to {count - 1}")
    out = Decoded(
        np.empty((dates, kind.size), np.uint8),
        np.empty((dates, kind.size), np.float32),
        np.empty(kind.size, np.uint8),
        np.empty(kind.size, np.float32),
        np.empty(kind.size, np.float32),
    )
    size = min(_CHUNK, 1 << max(0, kind.size - 1).bit_length())  # few shapes, so few programs to compile
    for start in range(0, kind.size, size):
        part = slice(start, min(start + size, kind.size))
        missing = size - (part.stop - part.start)
        given = np.pad(flat[:, part], ((0, 0), (0, missing)), constant_values=np.nan)
        found = _decode(given, np.pad(kind[part], (0, missing)), tables)
        for name, values in zip(_FIELDS, jax.device_get(found), strict=True):
            getattr(out, name)[..., part] = values[..., : part.stop - part.start]
    return Decoded(*(getattr(out, n).reshape(*getattr(out, n).shape[:-1], rows, cols) for n in _FIELDS))


_FIELDS = tuple(field.name for field in dataclasses.fields(Decoded))


def _tables(
    chain: Transitions, prior: float | np.ndarray, doubt: np.ndarray | None, sharpness: float
) -> dict[str, np.ndarray]:
    """The chain as float32 arrays by class, for the compiled program."""
    priors = np.broadcast_to(np.asarray(prior, np.float64), len(chain.initial))
    if not ((priors > 0) & (priors < 1)).all():
        raise ValueError(f"the prior {prior} is not between 0 and 1")
    doubts = np.zeros(len(chain.years)) if doubt is None else np.asarray(doubt, np.float64)
    if doubts.shape != (len(chain.years),) or not ((doubts >= 0) & (doubts <= 1)).all():
        raise ValueError(f"the doubts {doubt} are not one share per date")
    gain, loss = chain.steps()
    tables = {
        "prior": priors,
        "initial": np.asarray(chain.initial),
        "gain": gain,
        "loss": loss,
        "doubt": doubts,
        "sharpness": np.asarray(sharpness),
    }
    return {name: table.astype(np.float32) for name, table in tables.items()}


@jax.jit
def _decode(p: jax.Array, kind: jax.Array, tables: dict[str, jax.Array]) -> tuple[jax.Array, ...]:
    """`decode` of [dates, pixels] that fit into memory; the fields of `Decoded`."""
    known = jnp.isfinite(p)
    some = known.any(0)
    likely = likelihoods(p, known, tables["prior"][kind], tables["doubt"][:, None], tables["sharpness"])
    first = tables["initial"][kind]
    gain, loss = tables["gain"][:, kind], tables["loss"][:, kind]
    forward, constant, _ = filtered(likely, first, gain, loss)
    marginals, gained, lost = smoothed(forward, gain, loss)
    changes = gained.sum(0) + lost.sum(0)
    states = _viterbi(likely, first, gain, loss)
    differs = states[1:] != states[:-1]
    index = jnp.where(differs.any(0), 1 + jnp.argmax(differs, 0), 0) if len(states) > 1 else jnp.zeros_like(kind)
    confidence = jnp.clip(jnp.where(index > 0, 1 - constant, constant), 0, 1)
    nan = jnp.float32(jnp.nan)
    return (
        jnp.where(some, states, IGNORE).astype(jnp.uint8),
        jnp.where(some, marginals, nan),
        jnp.where(some, index, IGNORE).astype(jnp.uint8),
        jnp.where(some, confidence, nan),
        jnp.where(some, changes, nan),
    )


def likelihoods(p: jax.Array, known: jax.Array, prior: jax.Array, doubt: jax.Array, sharpness: jax.Array) -> jax.Array:
    """Likelihood of pervious and of impervious, [dates, 2, pixels]; 1 without data. doubt: [dates, 1 or pixels]."""
    sure = jnp.clip(jnp.where(known, p, 0.5), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    odds = sharpness * (jnp.log(sure) - jnp.log1p(-sure))
    either = jnp.stack([jax.nn.sigmoid(-odds) / (1 - prior), jax.nn.sigmoid(odds) / prior], 1)
    either = (1 - doubt[:, None]) * either + doubt[:, None]
    return jnp.where(known[:, None], either, 1.0)


def filtered(
    likely: jax.Array, first: jax.Array, gain: jax.Array, loss: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The forward recursion.

    Returns:
        Filtered probabilities [dates, 2, pixels]; the probability that no date differs from the first [pixels]; the
        logarithm of the likelihood of all images [pixels].
    """

    def step(
        carry: tuple[jax.Array, jax.Array], at: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        before, constant = carry
        seen, up, down = at
        now = _predicted(before, up, down) * seen
        total = now.sum(0)
        constant = constant * jnp.stack([1 - up, 1 - down]) * seen / total
        return (now / total, constant), (now / total, total)

    start = jnp.stack([1 - first, first]) * likely[0]
    total = start.sum(0)
    start = start / total
    (_, constant), (rest, totals) = jax.lax.scan(step, (start, start), (likely[1:], gain, loss))
    evidence = jnp.log(total) + jnp.log(totals).sum(0)
    return jnp.concatenate([start[None], rest]), constant.sum(0), evidence


def _predicted(state: jax.Array, up: jax.Array, down: jax.Array) -> jax.Array:
    """Probabilities [2, pixels] one date later, before its image is seen."""
    return jnp.stack([state[0] * (1 - up) + state[1] * down, state[0] * up + state[1] * (1 - down)])


def smoothed(forward: jax.Array, gain: jax.Array, loss: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Given all dates: the probability of impervious [dates, pixels], and of gain and of loss [dates - 1, pixels]."""

    def step(after: jax.Array, at: tuple[jax.Array, ...]) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        before, up, down = at
        reached = _predicted(before, up, down)
        ratio = after / jnp.where(reached > 0, reached, 1)  # a state that cannot be reached has no probability either
        gained, lost = before[0] * up * ratio[1], before[1] * down * ratio[0]
        now = jnp.stack([before[0] * (1 - up) * ratio[0] + gained, before[1] * (1 - down) * ratio[1] + lost])
        return now, (now[1], gained, lost)

    _, (rest, gained, lost) = jax.lax.scan(step, forward[-1], (forward[:-1], gain, loss), reverse=True)
    return jnp.concatenate([rest, forward[-1:, 1]]), gained, lost


def _viterbi(likely: jax.Array, first: jax.Array, gain: jax.Array, loss: jax.Array) -> jax.Array:
    """The most probable sequence, [dates, pixels]."""
    log = jnp.log(likely)

    def step(score: jax.Array, at: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        seen, up, down = at
        stay = score + jnp.stack([jnp.log1p(-up), jnp.log1p(-down)])
        come = score[::-1] + jnp.stack([jnp.log(down), jnp.log(up)])  # -inf where it cannot
        return jnp.maximum(stay, come) + seen, come > stay

    start = jnp.stack([jnp.log1p(-first), jnp.log(first)]) + log[0]
    score, came = jax.lax.scan(step, start, (log[1:], gain, loss))

    def back(state: jax.Array, changed: jax.Array) -> tuple[jax.Array, jax.Array]:
        before = jnp.where(jnp.where(state == 1, changed[1], changed[0]), 1 - state, state)
        return before, before

    last = (score[1] > score[0]).astype(jnp.int32)
    _, rest = jax.lax.scan(back, last, came, reverse=True)
    return jnp.concatenate([rest, last[None]])
