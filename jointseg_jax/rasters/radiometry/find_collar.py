"""Finds black borders: absent ground stored as 0 in all bands, without a nodata value or mask.

Black inside a picture is ground, because water and deep shadow clip to 0 in a stretched image. So only runs of black
from the raster's edge count, along rows and columns, as in GDAL's nearblack. They are found once over the whole raster,
so a pixel's validity does not depend on the window.
"""

import base64
import dataclasses
import zlib

import numpy as np
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.collar import Collar
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import has_mask, read_window

_STRIP = 256  # rows held at a time
# Natural black also reaches the edge: in 30 stretched Sentinel-2 chips with water it covers at most 0.4 % of the raster
# and 12 % of an edge. A border of absent ground covers more of either.
_LEAST_SHARE = 0.01
_LEAST_EDGE = 0.5
_LARGEST = 10**10  # pixels; reading them takes some minutes
_EDGE_HINT = 0.02  # black share of an edge from which the whole raster is read


def find_collar(raster: DatasetReader, indexes: tuple[int, ...]) -> Collar | None:
    """Finds the black border of a raster; None without one, or if nodata, mask or alpha mark absent pixels.

    Reads the whole raster by strips if at least one edge is partly black.

    Args:
        raster: open.
        indexes: one-based numbers of the bands that must all be 0.

    Raises:
        InputError: the file is damaged or too large to search.
    """
    if raster.nodata is not None or has_mask(raster, indexes):
        return None
    height, width = raster.shape
    edges = [Window(row, 0, 1, width) for row in (0, height - 1)] + [Window(0, c, height, 1) for c in (0, width - 1)]
    longest = max(float(_black(raster, edge, indexes).mean()) for edge in edges)
    if longest < _EDGE_HINT:
        return None
    if height * width > _LARGEST:
        raise InputError(
            f"{raster.name} has {width} x {height} pixels, black edges and no nodata value, and is too large to be "
            "searched for its black border: set its nodata value (gdal_edit.py -a_nodata 0)"
        )
    left, right = np.zeros(height, np.int32), np.zeros(height, np.int32)
    top, last = np.full(width, height, np.int32), np.full(width, -1, np.int32)
    for row in range(0, height, _STRIP):
        black = _black(raster, Window(row, 0, min(_STRIP, height - row), width), indexes)
        rows = slice(row, row + len(black))
        left[rows], right[rows] = _runs(black), _runs(black[:, ::-1])
        lit = ~black.all(0)
        top = np.where(lit & (top == height), row + black.argmin(0), top)
        last = np.where(lit, row + len(black) - 1 - black[::-1].argmin(0), last)
    runs = np.concatenate([left, right, top, height - 1 - last]).astype("<i4")
    text = base64.b64encode(zlib.compress(runs.tobytes())).decode()
    found = Collar(height, width, 0.0, text)
    strips = (Window(row, 0, min(_STRIP, height - row), width) for row in range(0, height, _STRIP))
    share = sum(int(found.over(strip).sum()) for strip in strips) / (height * width)
    if share < _LEAST_SHARE and longest < _LEAST_EDGE:
        return None
    return dataclasses.replace(found, share=share)


def _black(raster: DatasetReader, window: Window, indexes: tuple[int, ...]) -> np.ndarray:
    return np.asarray((read_window(raster, window, indexes)[0] == 0).all(-1))


def _runs(black: np.ndarray) -> np.ndarray:
    """Length of the black run at the start of each row."""
    return np.where(black.all(1), black.shape[1], black.argmin(1))
