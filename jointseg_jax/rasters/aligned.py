"""Reads a raster on another lattice: shifted by whole pixels, repeated, or (on request) resampled."""

import contextlib
import os
from collections.abc import Iterator

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.collar import Collar
from jointseg_jax.rasters.lattice import Window, offset_in, spacing_of
from jointseg_jax.rasters.metric import check_metric, check_placed
from jointseg_jax.rasters.radiometry.find_collar import find_collar
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import open_raster, read_mask, read_window
from jointseg_jax.rasters.warped import Recode, Warped


class Aligned:
    """Reads windows of a raster whose pixels lie on those of another lattice.

    Attributes:
        source: the raster on disk.
        collar: its border, which counts as absent; None if it has none or was not searched for one.
        note: empty: nothing is done to its numbers.
    """

    note = ""

    def __init__(
        self,
        source: DatasetReader,
        corner: tuple[int, int] = (0, 0),
        factor: int = 1,
        collar: Collar | None = None,
        recode: Recode | None = None,
    ):
        """Use `open_aligned`.

        Args:
            source: see above.
            corner: row and column of the lattice's corner, in lattice pixels from the source's corner.
            factor: lattice pixels on the side of a source pixel.
            collar: see above.
            recode: see `open_aligned`.
        """
        self.source, self.collar = source, collar
        self._corner, self._factor, self._recode = corner, factor, recode

    def read(self, window: Window, bands: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Reads stored numbers `[h, w, bands]` and where the raster has data `[h, w]` (by its nodata, alpha or mask).

        Args:
            window: of the lattice.
            bands: one-based numbers; all when None.
        """
        rows = (self._corner[0] + window.row + np.arange(window.height)) // self._factor
        cols = (self._corner[1] + window.col + np.arange(window.width)) // self._factor
        own = Window(int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
        values, _ = read_window(self.source, own, bands or tuple(self.source.indexes))
        mask = read_mask(self.source, own)
        if self.collar is not None:
            mask &= ~self.collar.over(own)
        if self._recode is not None:
            values = self._recode(values[..., 0], mask)[..., None]
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
    picture: bool = False,
    absent: float | None = None,
    recode: Recode | None = None,
) -> Iterator[Aligned | Warped]:
    """Opens a raster for reading on `lattice`.

    Args:
        path: the raster.
        lattice: the lattice of the windows.
        warp: resample it if its pixels do not lie on the lattice, see `warped`. Otherwise the raster may only be
            shifted by whole pixels.
        categorical: the raster holds classes; its pixels may be a whole number of times larger and are repeated.
        picture: the raster is a picture: search for its border, and take single bands at nodata as saturated.
        absent: number that marks absent pixels if the raster has no nodata value; resampling then excludes them.
        recode: translates classes `[h, w]`, given where they are present, before any resampling; its result is
            present everywhere in the raster.

    Raises:
        InputError: not a raster, another CRS or spacing, or shifted by a fraction of a pixel; with `warp` only if it
            has no place on the Earth.
    """
    with open_raster(path) as dataset:
        own = dataset_lattice(dataset)
        border = find_collar(dataset, tuple(dataset.indexes)) if picture else None
        spacing = spacing_of(lattice)
        factor = max(1, round(spacing_of(own) / spacing)) if categorical else 1
        corner = None
        try:
            check_metric(own, factor * spacing, str(path))
            corner = offset_in(lattice, own, str(path))
        except InputError:
            if not warp:
                raise
            check_placed(own, str(path))
        if corner is not None:
            yield Aligned(dataset, corner, factor, border, recode)
            return
        yield Warped(
            dataset,
            lattice,
            categorical=categorical,
            picture=picture,
            absent=absent,
            collar=border,
            recode=recode,
        )
