"""Brings bands of other spacings onto a lattice: coarser ones by interpolation, finer ones by means.

Interpolation weights follow from the pixel's position in the whole raster, so a value does not depend on the window.
"""

from collections.abc import Callable

import numpy as np

from jointseg_jax.rasters.lattice import Window


def interpolate(
    read: Callable[[Window], tuple[np.ndarray, np.ndarray]], window: Window, factor: int, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolates a raster, bilinearly, onto a lattice `factor` times finer.

    Only valid neighbours contribute, with renormalised weights. A pixel is valid if its coarse pixel is valid. Beyond
    the raster's edge the edge values continue for interpolation, but pixels are invalid.

    Args:
        read: coarse window -> float32 values `[h, w, bands]` and valid `[h, w]`, False outside the raster.
        window: on the fine lattice, whose origin is the coarse raster's.
        factor: whole number of fine pixels on the side of a coarse pixel.
        shape: height and width of the coarse raster.

    Returns:
        Values `[height, width, bands]` float32 and valid `[height, width]`.
    """
    rows, cols = _positions(window.row, window.height, factor), _positions(window.col, window.width, factor)
    coarse = Window(rows[0][0], cols[0][0], rows[0][-1] - rows[0][0] + 2, cols[0][-1] - cols[0][0] + 2)
    values, valid = read(coarse)
    weights = valid.astype(np.float32)
    total = np.zeros((window.height, window.width, values.shape[-1]), np.float32)
    mass = np.zeros((window.height, window.width, 1), np.float32)
    for row, row_weight in _neighbours(rows):
        for col, col_weight in _neighbours(cols):
            at = np.ix_(row - coarse.row, col - coarse.col)
            weight = (weights[at] * row_weight[:, None] * col_weight[None, :])[..., None]
            total += weight * values[at]
            mass += weight
    nearest_row = (np.arange(window.row, window.row + window.height)) // factor
    nearest_col = (np.arange(window.col, window.col + window.width)) // factor
    inside = ((nearest_row >= 0) & (nearest_row < shape[0]))[:, None] & ((nearest_col >= 0) & (nearest_col < shape[1]))[
        None, :
    ]
    here = valid[np.ix_(nearest_row - coarse.row, nearest_col - coarse.col)] & inside
    return np.where(here[..., None], total / np.maximum(mass, np.finfo(np.float32).tiny), 0.0).astype(np.float32), here


def block_means(values: np.ndarray, valid: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over blocks of `side` x `side` pixels, of the valid ones; a block is valid if any pixel is.

    Args:
        values: float32 `[h side, w side, bands]`, zero where invalid.
        valid: `[h side, w side]`.
        side: of a block.

    Returns:
        Values `[h, w, bands]` float32, zero where invalid, and valid `[h, w]`.
    """
    height, width = valid.shape[0] // side, valid.shape[1] // side
    count = valid.reshape(height, side, width, side).sum((1, 3))
    total = values.reshape(height, side, width, side, -1).sum((1, 3), dtype=np.float32)
    return total / np.maximum(count, 1)[..., None].astype(np.float32), count > 0


def _positions(start: int, count: int, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """The lower neighbour of each fine pixel centre and the distance from it, in coarse pixels."""
    centre = (np.arange(start, start + count, dtype=np.float64) + 0.5) / factor - 0.5
    lower = np.floor(centre)
    return lower.astype(int), (centre - lower).astype(np.float32)


def _neighbours(axis: tuple[np.ndarray, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    lower, distance = axis
    return [(lower, 1 - distance), (lower + 1, distance)]
