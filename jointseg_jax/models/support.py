"""How much of the 1 m image is measured and how much is prior, per pixel.

Detail is the departure from the local mean. The base is the sensor's inverse of the input: its detail is measured.
What the stages add to it was learned. Support is the base's share of the power of both, summed over a window. A stage
that only amplifies the base counts as prior, too.
"""

import jax
import jax.numpy as jnp

from jointseg_jax.models.layers import window_mean

_LEVELS = 3  # windows of 3**3 = 27 pixels of 1 m
REACH = 3**_LEVELS - 1  # pixels within which the image decides a pixel's support: two windows, one after the other
_FLOOR = 1e-6  # power of detail that counts as none: a thousandth of a standard deviation, squared


def support(image: jax.Array, base: jax.Array) -> jax.Array:
    """The share of the local power of detail that the base carries, of base plus what was added to it.

    Args:
        image: [b, h, w, bands] at 1 m, in standard deviations.
        base: to which the stages added, likewise.

    Returns:
        [b, h, w, 1] float32 in 0..1: 1 where nothing was added, towards 0 where all detail was. Pixels beyond the edges
        count in no window.
    """
    measured, added = _power(base), _power(image - base)
    return (measured + _FLOOR) / (measured + added + _FLOOR)


def _power(x: jax.Array) -> jax.Array:
    """Mean square over a window of the departure from the local mean, summed over bands: [b, h, w, 1]."""
    inside = jnp.ones((*x.shape[:-1], 1), jnp.float32)
    detail = x - window_mean(x, inside, _LEVELS)
    return window_mean(jnp.square(detail).sum(-1, keepdims=True), inside, _LEVELS)
