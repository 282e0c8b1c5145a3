"""Masked means over the whole global batch.

A loss over masked pixels is `sum(weight * x) / sum(weight)` over the global batch. The weights follow from the masks of
a batch alone, so they are normalised once, before the network runs. A loss is then a plain weighted sum: the sums over
pieces of a batch, or over devices, add up to the loss of the whole batch.
"""

from fractions import Fraction

import jax
import jax.numpy as jnp

from jointseg_jax.models.resampling import area_mean


def normalise(weight: jax.Array) -> jax.Array:
    """Scales weights >= 0 of any shape to a sum of 1 in float32; all zeros stay zero."""
    weight = weight.astype(jnp.float32)
    total = jnp.sum(weight)
    return weight / jnp.where(total > 0, total, 1)


def weighted_sum(x: jax.Array, weight: jax.Array) -> jax.Array:
    """The mean of `x` under normalised weights, float32.

    Args:
        x: of any shape.
        weight: normalised, broadcastable to `x`; an entry is shared equally by the elements it broadcasts to.
    """
    shared = x.size // weight.size
    return jnp.sum(x.astype(jnp.float32) * weight) / shared


def valid_like(valid: jax.Array, x: jax.Array) -> jax.Array:
    """The share of valid ground under each pixel of `x`.

    Args:
        valid: [b, h, w, 1], bool or 0 to 1.
        x: [b, h', w', c] on the same ground, on the same lattice or a coarser one.

    Returns:
        float32 [b, h', w', 1].

    Raises:
        ValueError: `x` is finer than `valid`, or its two axes differ in scale.
    """
    return area_mean(valid.astype(jnp.float32), _scale(valid, x))


def weight_like(weight: jax.Array, x: jax.Array) -> jax.Array:
    """Normalised weights [b, h, w, 1] on the coarser lattice of `x` [b, h', w', c]; they still sum to 1.

    Raises:
        ValueError: see `valid_like`.
    """
    scale = _scale(weight, x)
    return area_mean(weight, scale) / float(scale) ** 2


def _scale(mask: jax.Array, x: jax.Array) -> Fraction:
    scale = Fraction(x.shape[1], mask.shape[1])
    if scale > 1 or scale != Fraction(x.shape[2], mask.shape[2]):
        raise ValueError(
            f"{x.shape[1]} x {x.shape[2]} pixels are not a coarser lattice of a mask of {mask.shape[1]} x "
            f"{mask.shape[2]}: both sides must shrink by the same factor"
        )
    return scale
