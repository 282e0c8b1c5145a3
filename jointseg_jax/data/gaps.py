"""Where the vectors of a label are missing."""

import dataclasses

import numpy as np

from jointseg_jax.rasters.contract import COARSE_SPACING


@dataclasses.dataclass(frozen=True)
class Gaps:
    """The square cells of a site in which its vectors are missing, so that absence in them means nothing.

    Attributes:
        cell: side of a cell, metres; the last of a row or column may be cut.
        numbers: of the cells, row by row, from 0 at the top left.
    """

    cell: int
    numbers: tuple[int, ...]

    def share(self, height: int, width: int) -> np.ndarray:
        """The share of each 10 m pixel of a site that lies in such cells, `[height, width]`."""
        rows, cols = (_overlap(pixels, self.cell) for pixels in (height, width))
        missing = np.zeros((rows.shape[1], cols.shape[1]))
        missing.flat[list(self.numbers)] = 1.0
        return np.asarray(rows @ missing @ cols.T)


def _overlap(pixels: int, cell: int) -> np.ndarray:
    """The share of each 10 m pixel along an axis that lies in each cell, `[pixels, cells]`."""
    begin = np.arange(pixels)[:, None] * COARSE_SPACING
    first = np.arange(-(-pixels * round(COARSE_SPACING) // cell)) * cell
    inside = np.minimum(begin + COARSE_SPACING, first + cell) - np.maximum(begin, first)
    return np.asarray(np.maximum(inside, 0) / COARSE_SPACING)
