"""Masks of cloud: codes of a raster, by date, such as Sentinel-2's scene classification (SCL)."""

import dataclasses
import math
import os
import pathlib

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader
from scipy import ndimage

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.rasters.lattice import Window, offset_in, spacing_of
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import Handles, explained_read, open_raster, persistent, read_window

_NO_DATA = 0  # SCL; no buffer grows around it
_GLANCE = 1024  # pixels on a side of a decimated mask


@dataclasses.dataclass(frozen=True)
class ClearRule:
    """What is clear in a mask.

    Attributes:
        codes: that count as clear. Of SCL: vegetation, bare, water, unclassified (mostly bright roofs over cities).
        buffer: metres around every other code but 0 (no data) that are not clear either.
    """

    codes: tuple[int, ...] = (4, 5, 6, 7)
    buffer: float = 0.0

    @property
    def reach(self) -> int:
        """Pixels of 10 m that the buffer covers, rounded up."""
        return math.ceil(self.buffer / COARSE_SPACING)

    def clear(self, codes: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Where a mask on the 10 m lattice is clear, bool [h, w]; nothing is known, so not clear, outside it.

        Args:
            codes: [h, w]. What lies beyond cannot grow into it: give `reach` pixels more on every side.
            inside: the mask's own ground, bool [h, w].
        """
        clear = inside & np.isin(codes, self.codes)
        cloud = inside & ~np.isin(codes, (*self.codes, _NO_DATA))
        if self.buffer and cloud.any():
            distance = ndimage.distance_transform_edt(~cloud) * COARSE_SPACING
            clear &= distance > self.buffer
        return np.asarray(clear)


@dataclasses.dataclass(frozen=True)
class CloudFile:
    """A raster with a mask, and the name or one-based number of its band; the first if empty."""

    path: pathlib.Path
    band: str = ""

    def number(self, raster: DatasetReader) -> int:
        """One-based number of the band in the open raster; raises `InputError` if there is no such band."""
        if not self.band:
            return 1
        if self.band.isdigit() and 1 <= int(self.band) <= raster.count:
            return int(self.band)
        names = [(d or "").casefold() for d in raster.descriptions]
        if names.count(self.band.casefold()) == 1:
            return names.index(self.band.casefold()) + 1
        raise InputError(
            f"{self.path} has no band {self.band!r} for the cloud mask: name one of "
            f"{[d or i for i, d in enumerate(raster.descriptions, start=1)]} behind the #"
        )


def split_band(name: str) -> tuple[str, str]:
    """File and band of a name such as `s2.tif#SCL`; the band is empty without one."""
    file, _, band = name.partition("#")
    return file, band


@dataclasses.dataclass(frozen=True)
class CloudMask:
    """A mask on the lattice of a layer.

    Attributes:
        path: of its raster.
        band: one-based number.
        row, col: of the layer's corner, in 10 m pixels from the mask's corner.
        factor: 10 m pixels on the side of a pixel of the mask.
        step: 10 m pixels on the side of a pixel of the layer.
        rule: what is clear.
    """

    path: str
    band: int
    row: int
    col: int
    factor: int
    step: int
    rule: ClearRule

    def clear(self, window: Window, handles: Handles) -> np.ndarray:
        """Where a window of the layer is clear, bool [h, w]; a layer's pixel is clear if all its 10 m pixels are."""
        wide = window.scale(self.step).pad(self.rule.reach)
        rows = (self.row + wide.row + np.arange(wide.height)) // self.factor
        cols = (self.col + wide.col + np.arange(wide.width)) // self.factor
        own = Window(int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
        codes, inside = read_window(handles.get(self.path), own, (self.band,))
        at = np.ix_(rows - own.row, cols - own.col)
        clear = self.rule.clear(codes[..., 0][at], inside[at])
        edge = self.rule.reach
        core = clear[edge : clear.shape[0] - edge, edge : clear.shape[1] - edge]
        return coarsened(core, self.step)

    def at(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Where pixels of the layer are clear by a decimated mask, without its buffer; bool [rows, columns]."""
        with open_raster(self.path) as raster:
            height, width = raster.shape
            small = min(height, _GLANCE), min(width, _GLANCE)
            with explained_read(raster, Window(0, 0, height, width)):
                codes = persistent(raster, lambda opened: opened.read(self.band, out_shape=small))
        y = (self.row + rows * self.step) // self.factor
        x = (self.col + cols * self.step) // self.factor
        inside = np.logical_and.outer((y >= 0) & (y < height), (x >= 0) & (x < width))
        near = np.ix_(np.clip(y * small[0] // height, 0, small[0] - 1), np.clip(x * small[1] // width, 0, small[1] - 1))
        return np.asarray(inside & np.isin(codes[near], self.rule.codes))


def coarsened(clear: np.ndarray, step: int) -> np.ndarray:
    """A 10 m mask on a lattice `step` times coarser; true where all 10 m pixels of a pixel are true."""
    height, width = clear.shape
    return np.asarray(clear.reshape(height // step, step, width // step, step).all((1, 3)))


def open_mask(file: CloudFile, lattice: GeoBox, step: int, rule: ClearRule) -> CloudMask:
    """Opens a mask for a layer.

    Args:
        file: the mask.
        lattice: of the scene, 10 m pixels (or what `--keep-grid` takes as such).
        step: 10 m pixels on the side of a pixel of the layer, which begins at the lattice's corner.
        rule: what is clear.

    Raises:
        InputError: the mask lies in another CRS, or its pixels do not consist of the lattice's.
    """
    with open_raster(file.path) as raster:
        own, band = dataset_lattice(raster), file.number(raster)
    ratio = spacing_of(own) / spacing_of(lattice)
    factor = max(1, round(ratio))
    if abs(ratio - factor) > 1e-6 * factor:
        raise InputError(
            f"{os.fspath(file.path)} has pixels of {spacing_of(own):g}, which do not consist of pixels of "
            f"{spacing_of(lattice):g}: warp it (gdalwarp -r near)"
        )
    row, col = offset_in(lattice, own, str(file.path))
    return CloudMask(str(file.path), band, row, col, factor, step, rule)
