"""The eight flips and quarter turns of a square, and the mean and spread of the eight maps.

No direction is special on the ground, but a trained network is not fully equivariant. The mean over all eight
(test-time augmentation) is: flipping the scene flips the map. The spread indicates where the network errs.
"""

from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

MEMBERS = 8
Array = TypeVar("Array", np.ndarray, jax.Array)
# Batcher's odd-even merge sort of eight values, in 19 exchanges that XLA fuses (its own sort calls a comparator).
_EXCHANGES = (
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
    *((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6)),
)


def turn(x: Array, member: int, axis: int) -> Array:
    """Applies one of the eight; 0 is the identity: transposes (4), then reverses rows (1) and columns (2).

    Args:
        x: rows on `axis`, an equal number of columns on the next.
        member: 0 to 7.
        axis: of the rows.
    """
    return _reverse(x.swapaxes(axis, axis + 1) if member & 4 else x, member, axis)


def turn_back(x: Array, member: int, axis: int) -> Array:
    """The inverse of `turn`."""
    x = _reverse(x, member, axis)
    return x.swapaxes(axis, axis + 1) if member & 4 else x


def _reverse(x: Array, member: int, axis: int) -> Array:
    steps = (slice(None, None, -1 if member & 1 else 1), slice(None, None, -1 if member & 2 else 1))
    return x[(slice(None),) * axis + steps]


def in_order(values: Sequence[jax.Array]) -> list[jax.Array]:
    """Sorts eight arrays elementwise."""
    ordered = list(values)
    for low, high in _EXCHANGES:
        a, b = ordered[low], ordered[high]
        ordered[low], ordered[high] = jnp.minimum(a, b), jnp.maximum(a, b)
    return ordered


def mean_and_spread(values: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of eight arrays, bit-identical for any order of the arrays."""
    ordered = in_order(values)
    mean = sum(ordered[1:], ordered[0]) / MEMBERS
    squares = [jnp.square(x - mean) for x in ordered]
    return mean, jnp.sqrt(sum(squares[1:], squares[0]) / MEMBERS)
