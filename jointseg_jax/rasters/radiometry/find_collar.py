"""Finds black or white borders: absent ground, stored as 0 or the largest number in all bands, without nodata or mask.

Inside a picture such pixels are ground, because shadow and bright roofs are clipped in a stretched image. So only runs
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
from jointseg_jax.rasters.reader import dtype_of, has_mask, read_window

_STRIP = 256  # rows held at a time
# Such ground also reaches the edge: in 30 stretched Sentinel-2 chips with water, black covers at most 0.4 % of the
# raster and 15 % of an edge, white at most 7 % of an edge there and 8 % in seven 1 m scenes of a city. A border of
# absent ground covers more of either.
_LEAST_SHARE = 0.01
_LEAST_EDGE = 0.5
_LARGEST = 10**10  # pixels; reading them takes some minutes
_EDGE_HINT = 0.02  # share of an edge from which the whole raster is read


def find_collar(raster: DatasetReader, indexes: tuple[int, ...]) -> Collar | None:
    """Finds the border of a raster; None without one, or if nodata, mask or alpha mark absent pixels.

    Reads the whole raster by strips if at least one edge is partly black or white.

    Args:
        raster: open.
        indexes: one-based numbers of the bands that must all have the border's number.

    Raises:
        InputError: the file is damaged or too large to search.
    """
    if raster.nodata is not None or has_mask(raster, indexes):
        return None
    dtype = np.dtype(dtype_of(raster, indexes))
    fills = {"black": 0, "white": np.iinfo(dtype).max} if dtype.kind in "iu" else {"black": 0}
    found = [_find(raster, indexes, colour, fill) for colour, fill in fills.items()]
    return max((c for c in found if c is not None), key=lambda c: c.share, default=None)


def _find(raster: DatasetReader, indexes: tuple[int, ...], colour: str, fill: int) -> Collar | None:
    """The border of one colour."""
    height, width = raster.shape
    edges = [Window(row, 0, 1, width) for row in (0, height - 1)] + [Window(0, c, height, 1) for c in (0, width - 1)]
    longest = max(float(_filled(raster, edge, indexes, fill).mean()) for edge in edges)
    if longest < _EDGE_HINT:
        return None
    if height * width > _LARGEST:
        raise InputError(
            f"{raster.name} has {width} x {height} pixels, {colour} edges and no nodata value, and is too large to be "
            f"searched for its border: set its nodata value (gdal_edit.py -a_nodata {fill})"
        )
    left, right = np.zeros(height, np.int32), np.zeros(height, np.int32)
    top, last = np.full(width, height, np.int32), np.full(width, -1, np.int32)
    for row in range(0, height, _STRIP):
        filled = _filled(raster, Window(row, 0, min(_STRIP, height - row), width), indexes, fill)
        rows = slice(row, row + len(filled))
        left[rows], right[rows] = _runs(filled), _runs(filled[:, ::-1])
        lit = ~filled.all(0)
        top = np.where(lit & (top == height), row + filled.argmin(0), top)
        last = np.where(lit, row + len(filled) - 1 - filled[::-1].argmin(0), last)
    runs = np.concatenate([left, right, top, height - 1 - last]).astype("<i4")
    text = base64.b64encode(zlib.compress(runs.tobytes())).decode()
    found = Collar(height, width, 0.0, text, colour)
    strips = (Window(row, 0, min(_STRIP, height - row), width) for row in range(0, height, _STRIP))
    share = sum(int(found.over(strip).sum()) for strip in strips) / (height * width)
    if share < _LEAST_SHARE and longest < _LEAST_EDGE:
        return None
    return dataclasses.replace(found, share=share)


def _filled(raster: DatasetReader, window: Window, indexes: tuple[int, ...], fill: int) -> np.ndarray:
    return np.asarray((read_window(raster, window, indexes)[0] == fill).all(-1))


def _runs(filled: np.ndarray) -> np.ndarray:
    """Length of the run at the start of each row."""
    return np.where(filled.all(1), filled.shape[1], filled.argmin(1))
