"""Reading a raster on a lattice that is not its own: shifted by whole pixels, or (asked for explicitly) warped."""

import contextlib
import os
from collections.abc import Iterator

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from jointseg_jax.rasters.lattice import Window, check_metric, crs_text, offset_in, spacing_of
from jointseg_jax.rasters.reader import dataset_lattice, open_raster, read_mask, read_window


class Aligned:
    """Windows of a raster, counted on another lattice of the same spacing.

    Attributes:
        dataset: the raster, perhaps as a warped view of it.
        tags: its metadata, which a warped view would have lost.
    """

    def __init__(self, dataset: DatasetReader, row: int, col: int, tags: dict[str, str]):
        self.dataset, self.tags = dataset, tags
        self._row, self._col = row, col

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Stored numbers `[h, w, bands]` and where the raster has data `[h, w]` (its own nodata, alpha or mask)."""
        own = Window(window.row + self._row, window.col + self._col, window.height, window.width)
        return read_window(self.dataset, own)[0], read_mask(self.dataset, own)


@contextlib.contextmanager
def open_aligned(
    path: str | os.PathLike[str], lattice: GeoBox, *, warp: bool = False, categorical: bool = False
) -> Iterator[Aligned]:
    """Opens a raster to be read on `lattice`.

    Args:
        path: the raster.
        lattice: whose pixels windows are counted in.
        warp: resample it onto the lattice, cubic for quantities and nearest for classes; otherwise it must already
            lie on it, shifted by whole pixels at most.
        categorical: the raster holds classes.

    Raises:
        InputError: not a raster, another CRS or spacing, or shifted by a fraction of a pixel.
    """
    with open_raster(path) as dataset:
        own = dataset_lattice(dataset)
        if warp:
            height, width = lattice.shape
            resampling = Resampling.nearest if categorical else Resampling.cubic
            with WarpedVRT(
                dataset,
                crs=crs_text(lattice),
                transform=lattice.affine,
                height=height,
                width=width,
                resampling=resampling,
            ) as warped:
                yield Aligned(warped, 0, 0, dataset.tags())
            return
        check_metric(own, spacing_of(lattice), str(path))
        row, col = offset_in(lattice, own, str(path))
        yield Aligned(dataset, row, col, dataset.tags())
