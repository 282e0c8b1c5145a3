"""Finds black borders: absent ground stored as 0 in all bands, without a nodata value or mask.

Black inside a picture is ground, because water and deep shadow clip to 0 in a stretched image. So only runs of black
from the raster's edge count, along rows and columns, as in GDAL's nearblack. They are found once over the whole raster,
so a pixel's validity does not depend on the window.
"""

import base64
import dataclasses
import functools
import zlib

import numpy as np
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import has_mask, read_window

_STRIP = 256  # rows held at a time
# Natural black also reaches the edge: in 30 stretched Sentinel-2 chips with water it covers at most 0.4 % of the raster
# and 12 % of an edge. A border of absent ground covers more of either.
_LEAST_SHARE = 0.01
_LEAST_EDGE = 0.5
_LARGEST = 10**10  # pixels; reading them takes some minutes
_EDGE_HINT = 0.02  # black share of an edge from which the whole raster is read


@dataclasses.dataclass(frozen=True)
class Collar:
    """Lengths of the black runs from each edge.

    Attributes:
        height, width: of the raster.
        share: of the raster that they cover.
        runs: lengths from left and right per row, from top and bottom per column: int32, compressed, base64. Plain
            text, because a plan stores it.
    """

    height: int
    width: int
    share: float
    runs: str

    def at(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Which pixels are absent, bool [rows, cols]; False outside the raster."""
        left, right, top, bottom = _unpacked(self.runs, self.height, self.width)
        inside = ((rows >= 0) & (rows < self.height))[:, None] & ((cols >= 0) & (cols < self.width))[None]
        r, c = np.clip(rows, 0, self.height - 1), np.clip(cols, 0, self.width - 1)
        along_rows = (c[None] < left[r][:, None]) | (c[None] >= self.width - right[r][:, None])
        along_cols = (r[:, None] < top[c][None]) | (r[:, None] >= self.height - bottom[c][None])
        return np.asarray(inside & (along_rows | along_cols))

    def over(self, window: Window) -> np.ndarray:
        """`at`, for all pixels of a window: bool [height, width]."""
        return self.at(window.row + np.arange(window.height), window.col + np.arange(window.width))

    @property
    def note(self) -> str:
        """A note for the product or the dataset."""
        return f"black border on {self.share:.1%}, taken as absent"


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


@functools.lru_cache(maxsize=64)
def _unpacked(runs: str, height: int, width: int) -> tuple[np.ndarray, ...]:
    lengths = np.frombuffer(zlib.decompress(base64.b64decode(runs)), "<i4")
    return tuple(np.split(lengths, [height, 2 * height, 2 * height + width]))
