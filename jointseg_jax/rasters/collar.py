"""The black or white border of a raster, which counts as absent; `radiometry.find_collar` finds it."""

import base64
import dataclasses
import functools
import zlib

import numpy as np

from jointseg_jax.rasters.lattice import Window


@dataclasses.dataclass(frozen=True)
class Collar:
    """Lengths of the runs of one colour from each edge.

    Attributes:
        height, width: of the raster.
        share: of the raster that they cover.
        runs: lengths from left and right per row, from top and bottom per column: int32, compressed, base64. Plain
            text, because a plan stores it.
        colour: black or white.
    """

    height: int
    width: int
    share: float
    runs: str
    colour: str = "black"

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
        return f"{self.colour} border on {self.share:.1%}, taken as absent"


@functools.lru_cache(maxsize=64)
def _unpacked(runs: str, height: int, width: int) -> tuple[np.ndarray, ...]:
    lengths = np.frombuffer(zlib.decompress(base64.b64decode(runs)), "<i4")
    return tuple(np.split(lengths, [height, 2 * height, 2 * height + width]))
