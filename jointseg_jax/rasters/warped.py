"""Resamples a raster onto another lattice, from any CRS and spacing; for preparation alone.

A finer raster is averaged over the pixels of the lattice (GDAL's `average`, weighted by area); classes take the most
frequent one (`mode`). A raster as coarse as the lattice or coarser is interpolated (`cubic`); classes take the nearest.
Absent pixels take no part. The transformation is exact, so a value does not depend on the window it is read through.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import rasterio.warp
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.collar import Collar
from jointseg_jax.rasters.contract import BEYOND
from jointseg_jax.rasters.lattice import Window, crop, crs_name, crs_text, spacing_of
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import dtype_of, read_mask, read_window

_FINER = 1.05  # source pixels per pixel of the lattice from which it is averaged
_SIDE = 2048  # source pixels on a side of a piece, about: bounds memory
_PARTLY = 0.5  # least share of a pixel that the raster covers
_POINTS = 9  # on a side of a piece, transformed to find its ground in the source
_FAR = 100  # pixels over which the source's spacing is measured

Recode = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Warped:
    """Reads windows of a raster resampled onto a lattice; `aligned.open_aligned` opens one.

    Attributes:
        source: the raster on disk.
        collar: its border, which counts as absent; None if it has none or was not searched for one.
        spacing: of its pixels at the site, metres.
        note: what is done to it, for the record of the site.
    """

    def __init__(
        self,
        source: DatasetReader,
        lattice: GeoBox,
        *,
        categorical: bool = False,
        picture: bool = False,
        absent: float | None = None,
        collar: Collar | None = None,
        recode: Recode | None = None,
    ):
        """See `open_aligned`.

        Raises:
            InputError: the lattice lies where the source's CRS is not defined.
        """
        self.source, self.collar = source, collar
        self._lattice, self._own = lattice, dataset_lattice(source)
        self._categorical, self._picture, self._absent, self._recode = categorical, picture, absent, recode
        per_x, per_y = self._source_pixels()
        finer = math.sqrt(per_x * per_y) > _FINER
        if categorical:
            self._method = Resampling.mode if finer else Resampling.nearest
        else:
            self._method = Resampling.average if finer else Resampling.cubic
        self._scale = {"XSCALE": f"{1 / per_x:.6g}", "YSCALE": f"{1 / per_y:.6g}"}
        self._margin = math.ceil(3 * max(1.0, per_x, per_y)) + 2
        self._side = max(16, min(1024, int(_SIDE / max(per_x, per_y, 1e-6))))
        self.spacing = spacing_of(lattice) / math.sqrt(per_x * per_y)
        self.note = (
            f"warped from {crs_name(self._own)}, {self.spacing:.3g} m, to {crs_name(lattice)}, "
            f"{spacing_of(lattice):g} m ({self._method.name})"
        )

    def read(self, window: Window, bands: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Reads numbers `[h, w, bands]` in the raster's dtype, and where it has data `[h, w]`.

        Args:
            window: of the lattice.
            bands: one-based numbers; all when None.
        """
        indexes = bands or tuple(self.source.indexes)
        dtype = np.dtype(np.uint8 if self._recode is not None else dtype_of(self.source, indexes))
        values = np.zeros((window.height, window.width, len(indexes)), dtype)
        valid = np.zeros((window.height, window.width), bool)
        for part in _pieces(window, self._side):
            own = self._own_window(part)
            if own.height and own.width:
                at = Window(part.row - window.row, part.col - window.col, part.height, part.width).slices()
                values[at], valid[at] = self._read_piece(part, own, indexes, dtype)
        return values, valid

    def _read_piece(
        self, part: Window, own: Window, indexes: tuple[int, ...], dtype: np.dtype
    ) -> tuple[np.ndarray, np.ndarray]:
        stored, mask = self._read_own(own, indexes)
        covered = self._resample(mask[..., None].astype(np.float32), part, own)[..., 0] >= _PARTLY
        if self._categorical:
            codes = stored if dtype.kind in "iuf" and dtype.itemsize <= 4 else stored.astype(np.float64)
            return self._resample(codes, part, own).astype(dtype), covered
        floats = np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64
        found = self._resample(np.where(mask[..., None], stored, np.nan).astype(floats), part, own, np.nan)
        covered &= np.isfinite(found).all(-1)
        found = np.where(covered[..., None], found, 0)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            found = np.clip(np.rint(found), limits.min, limits.max)
        return found.astype(dtype), covered

    def _read_own(self, own: Window, indexes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Stored (or recoded) numbers of a window of the source, and which are present."""
        stored, _ = read_window(self.source, own, indexes)
        mask = read_mask(self.source, own)
        if self.collar is not None:
            mask &= ~self.collar.over(own)
        if self._recode is not None:
            return self._recode(stored[..., 0], mask)[..., None], np.ones_like(mask)
        if not self._categorical and not self._picture:  # a saturated picture is at its nodata in single bands
            marks = [self.source.nodatavals[i - 1] for i in indexes]
            if self._absent is not None:
                marks = [self._absent if m is None else m for m in marks]
            for band, mark in enumerate(marks):
                if mark is not None:
                    mask &= stored[..., band] != mark
        if stored.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                mask &= (np.abs(stored) < BEYOND).all(-1)  # False for NaN
        return stored, mask

    def _resample(self, values: np.ndarray, part: Window, own: Window, gap: float | None = None) -> np.ndarray:
        """Values `[h, w, bands]` of a window of the source on a window of the lattice; `gap` marks absent ones."""
        found = np.full((values.shape[-1], part.height, part.width), 0 if gap is None else gap, values.dtype)
        rasterio.warp.reproject(
            np.ascontiguousarray(np.moveaxis(values, -1, 0)),
            found,
            src_transform=crop(self._own, own).affine,
            src_crs=self.source.crs,
            src_nodata=gap,
            dst_transform=crop(self._lattice, part).affine,
            dst_crs=crs_text(self._lattice),
            dst_nodata=gap,
            init_dest_nodata=gap is not None,
            resampling=self._method,
            tolerance=0,
            **self._scale,
        )
        return np.moveaxis(found, 0, -1)

    def _own_window(self, part: Window) -> Window:
        """The window of the source that a window of the lattice sees; empty outside the source."""
        along = np.linspace(0, 1, _POINTS)
        cols = part.col + part.width * np.concatenate([along, along, 0 * along, 0 * along + 1])
        rows = part.row + part.height * np.concatenate([0 * along, 0 * along + 1, along, along])
        own_cols, own_rows = self._to_own(cols, rows)
        known = np.isfinite(own_cols) & np.isfinite(own_rows)
        if not known.any():
            return Window(0, 0, 0, 0)
        (left, right), (top, bottom) = (
            (math.floor(v[known].min()) - self._margin, math.ceil(v[known].max()) + self._margin)
            for v in (own_cols, own_rows)
        )
        return Window(top, left, bottom - top, right - left).clip(*self._own.shape)

    def _to_own(self, cols: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions on the lattice as positions in the source, both in pixels."""
        x, y = _through(self._lattice.affine, cols, rows)
        there = rasterio.warp.transform(crs_text(self._lattice), self.source.crs, x, y)
        return _through(~self._own.affine, np.asarray(there[0]), np.asarray(there[1]))

    def _source_pixels(self) -> tuple[float, float]:
        """Source pixels per pixel of the lattice, along its rows and columns at its centre."""
        height, width = self._lattice.shape
        cols, rows = np.array([0, _FAR, 0]) + width / 2, np.array([0, 0, _FAR]) + height / 2
        own_cols, own_rows = self._to_own(cols, rows)
        per = [math.hypot(own_cols[i] - own_cols[0], own_rows[i] - own_rows[0]) / _FAR for i in (1, 2)]
        if not all(math.isfinite(p) and p > 0 for p in per):
            raise InputError(
                f"{self.source.name} is in {crs_name(self._own)}, which is not defined at the site: check its CRS"
            )
        return per[0], per[1]


def _pieces(window: Window, side: int) -> Iterator[Window]:
    """Windows of at most `side` pixels on a side that cover a window."""
    for row in range(window.row, window.row + window.height, side):
        for col in range(window.col, window.col + window.width, side):
            yield Window(
                row, col, min(side, window.row + window.height - row), min(side, window.col + window.width - col)
            )


def bounds_in(own: GeoBox, crs: str) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of the ground of a raster in another CRS; infinite where that is not defined.

    Args:
        own: lattice of the raster, with a CRS.
        crs: `EPSG:n` or WKT.
    """
    height, width = own.shape
    x, y = _through(own.affine, np.array([0, width, 0, width]), np.array([0, 0, height, height]))
    box = float(min(x)), float(min(y)), float(max(x)), float(max(y))
    if own.crs == crs:
        return box
    left, bottom, right, top = rasterio.warp.transform_bounds(crs_text(own), crs, *box)
    return left, bottom, right, top


def _through(affine: Affine, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points through an affine transform."""
    a, b, c, d, e, f = affine[:6]
    return a * x + b * y + c, d * x + e * y + f
