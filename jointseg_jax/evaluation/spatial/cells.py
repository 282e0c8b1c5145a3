"""Cells of a raster, from its corner on."""

import numpy as np


def cells(values: np.ndarray, side: int, fill: int) -> np.ndarray:
    """The cells of `side` x `side` pixels of a raster [h, w], filled at the far edges: [rows, cols, side * side]."""
    height, width = values.shape
    full = np.pad(values, ((0, -height % side), (0, -width % side)), constant_values=fill)
    split = full.reshape(full.shape[0] // side, side, full.shape[1] // side, side)
    return split.swapaxes(1, 2).reshape(split.shape[0], split.shape[2], side * side)
