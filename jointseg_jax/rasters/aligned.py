"""Reads a raster on another lattice: shifted by whole pixels, repeated, or (on request) warped."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from jointseg_jax.rasters.collar import Collar
from jointseg_jax.rasters.lattice import Window, crs_text, offset_in, spacing_of
from jointseg_jax.rasters.metric import check_metric
from jointseg_jax.rasters.radiometry.find_collar import find_collar
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import alpha_band, open_raster, read_mask, read_window


class Aligned:
    """Reads windows of a raster on another lattice.

    Attributes:
        source: the raster on disk, for its metadata (a warped view loses them).
        collar: its black border, which counts as absent; None if it has none or was not searched for one.
    """

    def __init__(
        self,
        source: DatasetReader,
        view: DatasetReader | WarpedVRT,
        corner: tuple[int, int] = (0, 0),
        factor: int = 1,
        alpha: int | None = None,
        collar: Collar | None = None,
    ):
        """Use `open_aligned`.

        Args:
            source: see above.
            view: the dataset to read, `source` or a warped view of it.
            corner: row and column of the lattice's corner, in lattice pixels from the view's corner.
            factor: lattice pixels on the side of a view pixel.
            alpha: one-based number of the view's band that is zero without data; None if the view marks absence
                otherwise.
            collar: see above.
        """
        self.source, self.collar = source, collar
        self._view, self._corner, self._factor, self._alpha = view, corner, factor, alpha

    def read(self, window: Window, bands: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Reads stored numbers `[h, w, bands]` and where the raster has data `[h, w]` (by its nodata, alpha or mask).

        Args:
            window: of the lattice.
            bands: one-based numbers; all when None.
        """
        rows = (self._corner[0] + window.row + np.arange(window.height)) // self._factor
        cols = (self._corner[1] + window.col + np.arange(window.width)) // self._factor
        own = Window(int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
        values, _ = read_window(self._view, own, bands or tuple(self.source.indexes))
        if self._alpha is None:
            mask = read_mask(self._view, own)
        else:
            mask = read_window(self._view, own, (self._alpha,))[0][..., 0] > 0
        if self.collar is not None and self._view is self.source:
            mask &= ~self.collar.over(own)
        if self._factor == 1:
            return values, mask
        at = np.ix_(rows - own.row, cols - own.col)
        return values[at], mask[at]


@contextlib.contextmanager
def open_aligned(
    path: str | os.PathLike[str],
    lattice: GeoBox,
    *,
    warp: bool = False,
    categorical: bool = False,
    absent: float | None = None,
    collar: bool = False,
) -> Iterator[Aligned]:
    """Opens a raster for reading on `lattice`.

    Args:
        path: the raster.
        lattice: the lattice of the windows.
        warp: resample onto the lattice, cubic for quantities and nearest for classes. Without it the raster may only
            be shifted by whole pixels.
        categorical: the raster holds classes; its pixels may be a whole number of times larger and are repeated.
        absent: number that marks absent pixels if the raster has no nodata value; warping then excludes them.
        collar: search for a black border.

    Raises:
        InputError: not a raster, another CRS or spacing, or shifted by a fraction of a pixel.
    """
    with open_raster(path) as dataset:
        own = dataset_lattice(dataset)
        border = find_collar(dataset, tuple(dataset.indexes)) if collar else None
        if warp:
            with _warped(dataset, lattice, categorical, 0.0 if border is not None else absent) as (warped, alpha):
                yield Aligned(dataset, warped, alpha=alpha, collar=border)
            return
        spacing = spacing_of(lattice)
        factor = max(1, round(spacing_of(own) / spacing)) if categorical else 1
        check_metric(own, factor * spacing, str(path))
        yield Aligned(dataset, dataset, offset_in(lattice, own, str(path)), factor, collar=border)


@contextlib.contextmanager
def _warped(
    dataset: DatasetReader, lattice: GeoBox, categorical: bool, absent: float | None
) -> Iterator[tuple[WarpedVRT, int | None]]:
    """A view of a raster on a lattice, and the number of its alpha band; None if it has a nodata value.

    A view holds zeros beyond the raster. Only a nodata value or an alpha band marks them as gaps. GDAL does not treat
    a floating-point band as alpha, so the band is read by number.
    """
    height, width = lattice.shape
    alpha: int | None = None
    options: dict[str, Any] = {}
    if dataset.nodata is None:
        alpha = alpha_band(dataset)
        if alpha is None:
            alpha = dataset.count + 1
            options["add_alpha"] = True
            if absent is not None:
                options |= {"src_nodata": absent, "UNIFIED_SRC_NODATA": "YES"}
    with WarpedVRT(
        dataset,
        crs=crs_text(lattice),
        transform=lattice.affine,
        height=height,
        width=width,
        resampling=Resampling.nearest if categorical else Resampling.cubic,
        **options,
    ) as warped:
        yield warped, alpha
