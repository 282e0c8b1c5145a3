"""How the parts of an objective are weighted: ramps over steps, learned uncertainty."""

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
        ValueError: for a negative length.
    """
    if length < 0:
        raise ValueError(f"a ramp cannot last {length} steps: take 0 or more")
    # Differences of integers: beyond 2 ** 24 steps float32 would skip some.
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

    The factors: an L1 is the negative log-likelihood of a Laplace distribution, |x| / b + log(2 b), which is this
    formula with s = log b. For a squared error Kendall et al. have half of it with s = log of the variance
    (x ** 2 / (2 v) + log(v) / 2), and for a cross-entropy exp(-s) * part + s / 2 with s = log of the squared
    temperature. We take one form for all: a constant factor on the whole or on `s` only moves the balance by that
    constant. At the optimum s = log(part), so that every part weighs 1 / part of itself.

    A part that tends to zero gets an unbounded weight, and one whose pixels are all masked in a batch (zero) pulls its
    `s` down by one gradient step: leave such parts at a fixed weight.

    Args:
        parts: scalars by name, at least 0.
        log_variances: scalars s by the same names, parameters of the optimiser (`params["loss"]`); start at 0.
        share: of a batch that the parts are of: `s` counts for so much, so that pieces add up to the whole.

    Returns:
        The total, which may be negative.

    Raises:
        ValueError: where the names differ.
    """
    _same_names(parts, log_variances, "log variances")
    return sum(
        (jnp.exp(-log_variances[name]) * parts[name] + share * log_variances[name] for name in sorted(parts)),
        jnp.zeros((), jnp.float32),
    )
