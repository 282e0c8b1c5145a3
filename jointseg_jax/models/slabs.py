"""Operators across slab boundaries, for images with rows on several devices.

Networks do not know devices. While they are traced, `row_slabs` sets into how many equal slabs the rows of every
lattice are divided; the result does not depend on it. With one slab per device, the only data exchanged is the halo:
the rows next to a slab, which XLA sends to the neighbour as a collective permute. Otherwise XLA would gather the whole
array in the backward pass of an edge-padded stencil, and shard a padded axis unevenly.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Literal

import jax
import jax.numpy as jnp

Fill = Literal["edge", "zero"]
_count: contextvars.ContextVar[int] = contextvars.ContextVar("row_slabs", default=1)


@contextlib.contextmanager
def row_slabs(count: int) -> Iterator[None]:
    """Makes networks traced in the block treat the rows of their images as `count` equal slabs."""
    token = _count.set(count)
    try:
        yield
    finally:
        _count.reset(token)


def pad(x: jax.Array, before: int, after: int, axis: int, fill: Fill) -> jax.Array:
    """Adds `before` and `after` pixels along one axis: repeated edge pixels, or zeros.

    `jnp.pad(mode="edge")` also slices and joins along axes that it does not pad, which costs a collective along a
    sharded one in the backward pass.
    """
    if fill == "zero":
        width = [(0, 0, 0)] * x.ndim
        width[axis] = (before, after, 0)
        return jax.lax.pad(x, jnp.zeros((), x.dtype), width)
    parts = [x]
    if before:
        parts.insert(0, _repeat(jax.lax.slice_in_dim(x, 0, 1, axis=axis), before, axis))
    if after:
        parts.append(_repeat(jax.lax.slice_in_dim(x, x.shape[axis] - 1, x.shape[axis], axis=axis), after, axis))
    return jnp.concatenate(parts, axis) if len(parts) > 1 else x


def _repeat(pixel: jax.Array, count: int, axis: int) -> jax.Array:
    return jnp.broadcast_to(pixel, (*pixel.shape[:axis], count, *pixel.shape[axis + 1 :]))


def on_rows(
    x: jax.Array, before: int, after: int, fill: Fill, operate: Callable[[jax.Array, int], jax.Array]
) -> jax.Array:
    """Applies an operator along the rows of an image.

    Args:
        x: [b, h, w, c].
        before: rows the operator needs above the first.
        after: rows it needs below the last.
        fill: beyond the image: repeated edge rows, or zeros.
        operate: `(array, axis) -> array`, along `axis`, after `before` and `after` rows have been added.

    Returns:
        [b, h', w, c]; the operator determines h'.
    """
    count = _count.get()
    if count == 1:
        return operate(pad(x, before, after, 1, fill), 1)
    y = operate(_extend(x, count, before, after, fill), 2)
    return y.reshape(y.shape[0], y.shape[1] * y.shape[2], *y.shape[3:])


def on_slabs(x: jax.Array, before: int, after: int, operate: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Applies an image operator to each slab, extended by its neighbours' rows, and by zeros at the image's edges.

    Args:
        x: [b, h, w, c].
        before: rows the operator needs above the first.
        after: rows it needs below the last.
        operate: [b', h' + before + after, w, c] -> [b', h'', w'', f].
    """
    count = _count.get()
    if count == 1:
        return operate(pad(x, before, after, 1, "zero"))
    # Slabs come before samples in the flat axis; the reverse would give each device a strided set, and XLA gathers.
    extended = jnp.swapaxes(_extend(x, count, before, after, "zero"), 0, 1)
    y = operate(extended.reshape(-1, *extended.shape[2:]))
    y = jnp.swapaxes(y.reshape(count, x.shape[0], *y.shape[1:]), 0, 1)
    return y.reshape(x.shape[0], count * y.shape[2], *y.shape[3:])


def _extend(x: jax.Array, count: int, before: int, after: int, fill: Fill) -> jax.Array:
    """[b, h, w, c] -> [b, count, before + h / count + after, w, c]: every slab with the rows of its neighbours."""
    b, h, w, c = x.shape
    rows = h // count
    if h % count or rows < max(before, after):
        raise ValueError(f"{h} rows cannot be split into {count} equal slabs of at least {max(before, after)} rows")
    x = x.reshape(b, count, rows, w, c)
    parts = [x]
    if before:
        parts.insert(0, _from_neighbour(x[:, :, rows - before :], x[:, :, :1], 1, fill))
    if after:
        parts.append(_from_neighbour(x[:, :, :after], x[:, :, rows - 1 :], -1, fill))
    return jnp.concatenate(parts, axis=2) if len(parts) > 1 else x


def _from_neighbour(rows: jax.Array, edge: jax.Array, step: int, fill: Fill) -> jax.Array:
    """Passes `rows` [b, count, k, w, c] of each slab to the slab `step` further; the edge slab gets the fill."""
    shift = [(0, 0, 0)] * rows.ndim
    shift[1] = (step, -step, 0)
    moved = jax.lax.pad(rows, jnp.zeros((), rows.dtype), shift)
    if fill == "zero":
        return moved
    number = jax.lax.broadcasted_iota(jnp.int32, rows.shape, 1)
    at_edge = number == (0 if step > 0 else rows.shape[1] - 1)
    return jnp.where(at_edge, jnp.broadcast_to(edge, rows.shape), moved)
