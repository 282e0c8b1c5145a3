"""Weights of the parts of an objective: ramps over steps, learned uncertainty."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np


def ramp(step: jax.Array | int, start: int, length: int) -> jax.Array:
    """A factor that rises from 0 at step `start` to 1 at step `start + length`; length 0 jumps to 1 at `start`.

    It rises by half a period of a cosine, as in OpenSR-SRGAN.

    Args:
        step: traced or not, an integer.
        start: the last step of factor 0 (for a length of 1 or more).
        length: in steps, at least 0.

    Returns:
        float32, a scalar.

    Raises:
        ValueError: the length is negative.
    """
    if length < 0:
        raise ValueError(f"a ramp cannot last {length} steps: use 0 or more")
    # Subtract integers, because float32 skips steps beyond 2 ** 24.
    passed = jnp.asarray(step) - start
    if length == 0:
        return (passed >= 0).astype(jnp.float32)
    share = jnp.clip(passed, 0, length).astype(jnp.float32) / length
    return 0.5 * (1 - jnp.cos(np.float32(np.pi) * share))


def _same_names(parts: Mapping[str, jax.Array], others: Mapping[str, object], what: str) -> None:
    if set(parts) != set(others):
        raise ValueError(f"parts {sorted(parts)} of the loss do not match their {what} {sorted(others)}")


def uncertainty_weighted(
    parts: Mapping[str, jax.Array], log_variances: Mapping[str, jax.Array], share: float = 1.0
) -> jax.Array:
    """Parts weighted by learned uncertainties (Kendall, Gal and Cipolla 2018): sum of exp(-s) * part + s.

    An L1 is the negative log-likelihood of a Laplace distribution, |x| / b + log(2 b): this formula with s = log b.
    Kendall et al. use half of it for a squared error, with s = log of the variance (x ** 2 / (2 v) + log(v) / 2), and
    exp(-s) * part + s / 2 for a cross-entropy, with s = log of the squared temperature. We use one form for all,
    because a constant factor on the whole or on `s` only shifts the balance by that constant. At the optimum
    s = log(part), and the weight of every part is 1 / part.

    A part that tends to zero gets an unbounded weight. A part with all pixels masked in a batch is zero and lowers its
    `s` by one gradient step. Give such parts a fixed weight.

    Args:
        parts: scalars by name, at least 0.
        log_variances: scalars s by the same names, parameters of the optimiser (`params["loss"]`); start at 0.
        share: share of the batch in the parts; scales `s`, and pieces then add up to the whole.

    Returns:
        The total, which may be negative.

    Raises:
        ValueError: the names differ.
    """
    _same_names(parts, log_variances, "log variances")
    return sum(
        (jnp.exp(-log_variances[name]) * parts[name] + share * log_variances[name] for name in sorted(parts)),
        jnp.zeros((), jnp.float32),
    )
