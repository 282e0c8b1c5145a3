"""Resampling by local stencils.

`jax.image.resize` is a dense product over the whole axis: it gathers arrays with rows on several devices, and every
pixel depends (numerically) on all others. With stencils, an output pixel depends on a few neighbours, so a tiled map
equals an untiled one.
"""

import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.models.slabs import on_rows, pad


def upsample_nearest(x: jax.Array, factor: int) -> jax.Array:
    """Repeats every pixel: [b, h, w, c] -> [b, factor * h, factor * w, c]."""
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, factor, w, factor, c))
    return x.reshape(b, h * factor, w * factor, c)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' cubic with a = -1/2, the kernel of `jax.image.resize(method="bicubic")`."""
    d = np.abs(distance)
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _linear(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(distance), 0.0)


_KERNELS = {"bilinear": (_linear, 1.0), "bicubic": (_cubic, 2.0)}


@functools.cache
def stencil(scale: Fraction, method: str) -> tuple[tuple[tuple[int, float], ...], ...]:
    """Taps of each output phase of a resize by `scale` = p / q along one axis.

    Output pixel `k * p + j` (half-pixel centres) is the sum of `weight * input[k * q + offset]` over the taps of
    phase j. When the resize shrinks, the kernel is widened by q / p (antialiasing), as `jax.image.resize` does.

    Returns:
        p lists of (offset, weight); the weights of each sum to one.
    """
    kernel, radius = _KERNELS[method]
    p, q = scale.numerator, scale.denominator
    widen = max(1.0, q / p)
    phases = []
    for j in range(p):
        centre = (j + 0.5) * q / p - 0.5
        offsets = np.arange(math.floor(centre - radius * widen), math.ceil(centre + radius * widen) + 1)
        weights = kernel((offsets - centre) / widen)
        weights = weights / weights.sum()
        phases.append(tuple((int(o), float(w)) for o, w in zip(offsets, weights, strict=True) if abs(w) > 1e-9))
    return tuple(phases)


@functools.cache
def box_stencil(scale: Fraction) -> "Stencil":
    """Taps of an area mean by `scale` = p / q <= 1: each output pixel is the mean of the area it covers."""
    p, q = scale.numerator, scale.denominator
    phases = []
    for j in range(p):
        left, right = j * q / p, (j + 1) * q / p
        cells = range(math.floor(left), math.ceil(right))
        phases.append(tuple((c, (min(right, c + 1.0) - max(left, float(c))) * p / q) for c in cells))
    return tuple(phases)


# Per output phase: (offset, weight) of each tap. A weight is a number, or one number per band.
Stencil = tuple[tuple[tuple[int, float | tuple[float, ...]], ...], ...]


def _transpose(phases: Stencil, period: int) -> Stencil:
    """The stencil of the transposed linear map: from len(phases) outputs per block back to `period` inputs."""
    taps: list[list[tuple[int, float | tuple[float, ...]]]] = [[] for _ in range(period)]
    for phase, entries in enumerate(phases):
        for offset, weight in entries:
            block, inner = divmod(offset, period)
            taps[inner].append((phase - block * len(phases), weight))
    return tuple(tuple(sorted(t, key=lambda tap: tap[0])) for t in taps)


def _reach(phases: Stencil, period: int) -> tuple[int, int]:
    """Numbers of input blocks before and after its own on which an output block depends."""
    offsets = [offset for taps in phases for offset, _ in taps]
    return max(0, -(min(offsets) // period)), max(0, max(offsets) // period)


def _stencil_valid(x: jax.Array, phases: Stencil, period: int, axis: int, reach: tuple[int, int]) -> jax.Array:
    """Applies a stencil where the neighbourhood of `reach` blocks lies inside `x`."""
    before, after = reach
    blocks = x.shape[axis] // period - before - after
    view = x.reshape(*x.shape[:axis], -1, period, *x.shape[axis + 1 :])
    outputs = []
    for taps in phases:
        total = jnp.zeros((), x.dtype)
        for offset, weight in taps:
            block, inner = divmod(offset, period)
            part = jax.lax.slice_in_dim(view, before + block, before + block + blocks, axis=axis)
            part = jax.lax.index_in_dim(part, inner, axis=axis + 1, keepdims=False)
            total = total + (part if weight == 1.0 else part * jnp.asarray(weight, x.dtype))
        outputs.append(total)
    return jnp.stack(outputs, axis=axis + 1).reshape(*x.shape[:axis], blocks * len(phases), *x.shape[axis + 1 :])


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _stencil_op(x: jax.Array, phases: Stencil, period: int, axis: int, reach: tuple[int, int]) -> jax.Array:
    return _stencil_valid(x, phases, period, axis, reach)


def _stencil_forward(
    x: jax.Array, phases: Stencil, period: int, axis: int, reach: tuple[int, int]
) -> tuple[jax.Array, None]:
    return _stencil_valid(x, phases, period, axis, reach), None


def _stencil_backward(
    phases: Stencil, period: int, axis: int, reach: tuple[int, int], _: None, g: jax.Array
) -> tuple[jax.Array]:
    # The transposed stencil gathers slices; the default transpose would scatter pads, several times slower.
    back = _transpose(phases, period)
    before, after = _reach(back, len(phases))
    g = pad(g, (reach[0] + before) * len(phases), (reach[1] + after) * len(phases), axis, "zero")
    return (_stencil_valid(g, back, len(phases), axis, (before, after)),)


_stencil_op.defvjp(_stencil_forward, _stencil_backward)


def apply_stencil(x: jax.Array, phases: Stencil, period: int, axis: int) -> jax.Array:
    """Applies a stencil along one spatial axis (1 or 2) of [b, h, w, c]; edge pixels continue beyond the edge.

    The axis is viewed as blocks of `period` pixels: devices that share it exchange only neighbouring rows.
    Raises `ValueError` when the axis is not a whole number of blocks.
    """
    if x.shape[axis] % period:
        raise ValueError(
            f"an axis of {x.shape[axis]} pixels cannot be resampled by {len(phases)}/{period}: the result is not a "
            "whole number of pixels"
        )
    reach = _reach(phases, period)
    before, after = reach[0] * period, reach[1] * period
    if axis == 1:
        return on_rows(x, before, after, "edge", lambda rows, at: _stencil_op(rows, phases, period, at, reach))
    return _stencil_op(pad(x, before, after, axis, "edge"), phases, period, axis, reach)


def resample(x: jax.Array, scale: Fraction | int, method: str = "bilinear") -> jax.Array:
    """Resizes by a rational factor with half-pixel centres.

    Equal to `jax.image.resize` in the interior; at the edges the edge pixels continue (PyTorch's convention).
    Accumulates in the dtype of `x`.

    Args:
        x: [b, h, w, c]; sides divisible by the denominator of `scale`.
        scale: output pixels per input pixel.
        method: "nearest" (whole factors only), "bilinear" or "bicubic".
    """
    scale = Fraction(scale)
    if scale == 1:
        return x
    if method == "nearest":
        if scale.denominator != 1:
            raise ValueError(f"nearest resampling by {scale} is not supported: use a whole factor")
        return upsample_nearest(x, scale.numerator)
    phases = stencil(scale, method)
    # Columns first when enlarging: the pass over the larger array then writes whole rows.
    first, second = (2, 1) if scale > 1 else (1, 2)
    return apply_stencil(apply_stencil(x, phases, scale.denominator, first), phases, scale.denominator, second)


def area_mean(x: jax.Array, scale: Fraction) -> jax.Array:
    """Mean over the area of each coarser pixel, with partly covered pixels weighted by their share.

    x: [b, h, w, c]; scale <= 1.
    """
    scale = Fraction(scale)
    if scale > 1:
        raise ValueError(f"an area mean cannot refine by {scale}: use resample")
    if scale.numerator == 1:
        b, h, w, c = x.shape
        n = scale.denominator
        if h % n or w % n:
            raise ValueError(
                f"{h} x {w} pixels cannot be averaged over blocks of {n} x {n}: the sides must be multiples of {n}"
            )
        return x.reshape(b, h // n, n, w // n, n, c).mean((2, 4))
    phases = box_stencil(scale)
    return apply_stencil(apply_stencil(x, phases, scale.denominator, 1), phases, scale.denominator, 2)


def masked_area_mean(x: jax.Array, valid: jax.Array, scale: Fraction) -> tuple[jax.Array, jax.Array]:
    """Area mean over valid pixels.

    Args:
        x: [b, h, w, c].
        valid: [b, h, w, 1], 0 or 1.
        scale: at most 1.

    Returns:
        The mean [b, h', w', c] and its validity [b, h', w', 1]: 1 where at least half of the area is valid.
    """
    share = area_mean(valid, scale)
    total = area_mean(x * valid, scale)
    return total / jnp.maximum(share, 1e-6), (share >= 0.5).astype(x.dtype)
