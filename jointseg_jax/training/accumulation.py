"""Gradient accumulation: only the activations of one piece of a batch are in memory at a time."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jointseg_jax.errors import InputError

T = TypeVar("T")


def check(batch: int, devices: int, pieces: int) -> None:
    """Checks that a batch divides into this number of pieces.

    Args:
        batch: samples in all.
        devices: over which samples are sharded; each holds equally many of every piece.
        pieces: of the batch.

    Raises:
        InputError: it does not.
    """
    if pieces < 1 or batch % (devices * pieces):
        raise InputError(
            f"data.batch is {batch}, but must be a multiple of optimizer.accumulate ({pieces}) times the {devices} "
            "device(s) of mesh.data: change one of them"
        )


def add_up(function: Callable[[Any], T], batch: Any, pieces: int) -> T:
    """The sum of `function(piece)` over the pieces of a batch.

    Samples are dealt to the pieces in turn, so a device with neighbouring samples already holds its share of every
    piece. Pieces run in a loop, because XLA would hold the activations of several at once if it were unrolled.

    Args:
        function: from a piece to a tree of arrays.
        batch: a tree of arrays [b, ...].
        pieces: divides b.
    """
    if pieces == 1:
        return function(batch)
    dealt = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(x.shape[0] // pieces, pieces, *x.shape[1:]), 1, 0), batch)
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], dealt))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def add(total: T, piece: Any) -> tuple[T, None]:
        return jax.tree.map(jnp.add, total, function(piece)), None

    return jax.lax.scan(add, zeros, dealt)[0]
