"""Reads a whole raster at reduced size."""

import os

import numpy as np

from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import explained_read, open_raster, own_mask


def read_small(
    path: str | os.PathLike[str], bands: tuple[int, ...], longest: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a raster decimated to at most `longest` pixels on a side: stored numbers [h, w, bands], own mask [h, w]."""
    with open_raster(path) as raster:
        shrink = max(1.0, max(raster.shape) / longest)
        height, width = (max(1, round(n / shrink)) for n in raster.shape)
        window = Window(0, 0, *raster.shape)
        with explained_read(raster, window):
            values = raster.read(list(bands), out_shape=(len(bands), height, width))
        return np.moveaxis(values, 0, -1), own_mask(raster, window, (height, width))
