"""Gradient accumulation: a batch in pieces, so that only one piece's activations are in memory."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jointseg_jax.errors import InputError

T = TypeVar("T")


def check(batch: int, devices: int, pieces: int) -> None:
    """Refuses a number of pieces that a batch cannot be cut into.

    Args:
        batch: samples in all.
        devices: over which samples are spread; each holds as many of every piece.
        pieces: of the batch.

    Raises:
        InputError: they do not divide.
    """
    if pieces < 1 or batch % (devices * pieces):
        raise InputError(
            f"optimizer.accumulate is {pieces}: data.batch ({batch}) must divide into so many pieces over {devices} "
            "device(s) of mesh.data"
        )


def add_up(function: Callable[[Any], T], batch: Any, pieces: int) -> T:
    """The sum of `function(piece)` over the pieces of a batch.

    Samples are dealt out like cards, so that a device that holds neighbouring samples holds its share of every piece:
    nothing moves. Pieces run in a loop; unrolled, XLA would hold the activations of several at once.

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
