"""Reads a product beside a map: its value at every pixel of the map, and the map's content in every cell of it."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.products.catalogue import CELL_AREA
from jointseg_jax.evaluation.products.cells import Nodes, Parts, Placed, nodes, places, through
from jointseg_jax.evaluation.products.given import Given
from jointseg_jax.geo.ellipsoid import PixelAreas
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window, crs_text, spacing_of
from jointseg_jax.rasters.metric import check_grid, check_placed
from jointseg_jax.rasters.raster_files import lattice_of
from jointseg_jax.rasters.reader import Handles, read_mask, read_window

_STRIP = 128  # rows of pixels that are placed at a time; bounds memory
_FINE, _FINE_PARTS = 20.0, 3  # below so many pixels on a cell's side, each pixel is split in 3 x 3 parts
_ALIGNED = 1e-3  # pixels


@dataclasses.dataclass(frozen=True)
class _File:
    number: int
    path: pathlib.Path
    lattice: GeoBox
    crs: str
    band: int


@dataclasses.dataclass
class Look:
    """What a product shows in a window of a map.

    Attributes:
        fraction: built fraction at every pixel, that of the cell which holds its centre; the mean over the pixel if
            cells are smaller. float32 [h, w], NaN where unknown.
        parts: per array of classes that was given, the map's content of the cells; empty if cells are smaller than
            pixels.
    """

    fraction: np.ndarray
    parts: list[list[Parts]]


class Layer:
    """A product's rasters, open for reading beside a map."""

    def __init__(self, given: Given, handles: Handles):
        """Raises `InputError` if a raster has no place on the Earth, or not the product's band."""
        self.given, self._handles = given, handles
        self._files = [self._file(number, path) for number, path in enumerate(given.files)]

    def _file(self, number: int, path: pathlib.Path) -> _File:
        lattice = lattice_of(path)
        check_placed(lattice, str(path))
        check_grid(lattice, str(path))
        dataset = self._handles.get(str(path))
        return _File(number, path, lattice, crs_text(lattice), _band(list(dataset.descriptions), self.given, path))

    @property
    def cell(self) -> str:
        """Size of its cells, in words."""
        lattice = self._files[0].lattice
        size = spacing_of(lattice)
        return f"{size * 3600:.4g} arc seconds" if _in_degrees(lattice) else f"{size:g} m"

    def look(self, lattice: GeoBox, window: Window, classes: Sequence[np.ndarray] = ()) -> Look:
        """Reads the ground of a window.

        Args:
            lattice: of the map, in metres.
            window: of it.
            classes: of the map, 0, 1 or 255, [h, w] each; what each has in the product's cells is counted. Within
                pixels whose cell is unknown nothing is.
        """
        fraction = np.full((window.height, window.width), np.nan, np.float32)
        found: list[list[Parts]] = [[] for _ in classes]
        by_crs: dict[str, Nodes] = {}
        for file in self._files:
            if file.crs not in by_crs:
                by_crs[file.crs] = nodes(lattice, window, file.lattice)
            for at in places(by_crs[file.crs], file.lattice):
                box = at.box(*file.lattice.shape)
                if box.height and box.width and np.isnan(fraction).any():
                    self._add(file, at, box, lattice, classes, fraction, found)
        return Look(fraction, found)

    def _add(
        self,
        file: _File,
        at: Placed,
        box: Window,
        lattice: GeoBox,
        classes: Sequence[np.ndarray],
        fraction: np.ndarray,
        found: list[list[Parts]],
    ) -> None:
        """Adds what one file shows, where nothing is known yet, in place."""
        cells = self._cells(file, box)
        if at.pixels_per_cell < 1:
            _fill(fraction, _mean(at, cells, box, fraction.shape))
            return
        parts = _parts(lattice, file.lattice, at)
        counts = _Counts(box, classes, ~np.isnan(fraction))
        height, width = fraction.shape
        for top in range(0, height, _STRIP):
            rows = slice(top, min(top + _STRIP, height))
            index = _index(at, rows, width, parts, box)
            centres = index[parts // 2 :: parts, parts // 2 :: parts]
            _fill(fraction[rows], np.where(centres >= 0, cells.ravel()[centres], np.nan))
            counts.add(index, rows, parts)
        for group, new in zip(found, counts.parts(file, at, cells, parts), strict=True):
            group.append(new)

    def _cells(self, file: _File, box: Window) -> np.ndarray:
        """Built fractions of a window of a file."""
        dataset = self._handles.get(str(file.path))
        values = read_window(dataset, box, (file.band,))[0][..., 0]
        mask = read_mask(dataset, box, (file.band,))
        area = _cell_area(file.lattice, box) if self.given.product.full == CELL_AREA else 0.0
        return self.given.product.fraction(values, mask, self.given.year, area)


class _Counts:
    """Counts the sub-pixels of a window's pixels by cell, for several arrays of classes."""

    def __init__(self, box: Window, classes: Sequence[np.ndarray], before: np.ndarray):
        size = box.height * box.width
        self._box, self._classes, self._before = box, classes, before
        self._count = [np.zeros(size) for _ in classes]
        self._built = [np.zeros(size) for _ in classes]
        self._edge = np.zeros(size, bool)

    def add(self, index: np.ndarray, rows: slice, parts: int) -> None:
        height = self._before.shape[0]
        sides = [index[:, 0], index[:, -1]]
        sides += [index[0]] if rows.start == 0 else []
        sides += [index[-1]] if rows.stop == height else []
        for side in sides:
            self._edge[side[side >= 0]] = True
        size = len(self._edge)
        for n, classes in enumerate(self._classes):
            known = (classes[rows] != IGNORE) & ~self._before[rows]
            known = _repeat(known, parts) & (index >= 0)
            built = known & _repeat(classes[rows] == 1, parts)
            self._count[n] += np.bincount(index[known], minlength=size)
            self._built[n] += np.bincount(index[built], minlength=size)

    def parts(self, file: _File, at: Placed, cells: np.ndarray, parts: int) -> list[Parts]:
        """The cells in which something was counted and the product is known."""
        row, col = np.indices(cells.shape).reshape(2, -1)
        key = (file.number << 44) + (row + self._box.row) * file.lattice.shape[1] + col + self._box.col
        full = np.full(len(key), parts**2 * at.pixels_per_cell)
        theirs = cells.ravel().astype(np.float64)
        found = []
        for count, built in zip(self._count, self._built, strict=True):
            chosen = (count > 0) & np.isfinite(theirs)
            found.append(Parts(key, count, built, full, theirs, self._edge).take(chosen))
        return found


def _fill(fraction: np.ndarray, values: np.ndarray) -> None:
    """Fills what is unknown, in place."""
    unknown = np.isnan(fraction)
    fraction[unknown] = values[unknown]


def _repeat(values: np.ndarray, parts: int) -> np.ndarray:
    return values if parts == 1 else values.repeat(parts, 0).repeat(parts, 1)


def _index(at: Placed, rows: slice, width: int, parts: int, box: Window) -> np.ndarray:
    """Place in a box of the raster of the cell that holds each part of each pixel; -1 outside."""
    v = rows.start + (np.arange((rows.stop - rows.start) * parts) + 0.5) / parts
    u = (np.arange(width * parts) + 0.5) / parts
    r, c = at.at(v, u)
    row, col = np.floor(r).astype(np.int64) - box.row, np.floor(c).astype(np.int64) - box.col
    inside = (row >= 0) & (row < box.height) & (col >= 0) & (col < box.width)
    return np.where(inside, row * box.width + col, -1)


def _mean(at: Placed, cells: np.ndarray, box: Window, shape: tuple[int, ...]) -> np.ndarray:
    """Mean over the known cells in every pixel of a window [height, width], for cells smaller than pixels."""
    parts = math.ceil(2 / math.sqrt(at.pixels_per_cell))
    height, width = shape
    found = np.full((height, width), np.nan, np.float32)
    for top in range(0, height, _STRIP):
        rows = slice(top, min(top + _STRIP, height))
        index = _index(at, rows, width, parts, box)
        values = np.where(index >= 0, cells.ravel()[index], np.nan)
        known = np.isfinite(values)
        split = (rows.stop - rows.start, parts, width, parts)
        total, count = (x.reshape(split).sum((1, 3)) for x in (np.where(known, values, 0), known))
        found[rows] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found


def _parts(lattice: GeoBox, own: GeoBox, at: Placed) -> int:
    """Parts on a pixel's side: one where cells consist of whole pixels or of very many."""
    if math.sqrt(at.pixels_per_cell) >= _FINE:
        return 1
    if lattice.crs == own.crs:
        corner = through(~lattice.affine, np.array(own.affine.c), np.array(own.affine.f))
        size = spacing_of(own) / spacing_of(lattice)
        height = abs(own.affine.e / lattice.affine.e)
        if all(abs(x - np.rint(x)) < _ALIGNED for x in (*corner, size, height)):
            return 1
    return _FINE_PARTS


def _in_degrees(own: GeoBox) -> bool:
    return own.crs is not None and bool(own.crs.geographic)


def _cell_area(own: GeoBox, box: Window) -> float:
    """Square metres of a cell: nominal in metres, on the ellipsoid in degrees."""
    if _in_degrees(own):
        return PixelAreas(own).pixel(box)
    return abs(float(own.affine.a * own.affine.e))


def _band(names: Sequence[str | None], given: Given, path: pathlib.Path) -> int:
    """One-based number of the band to read, of bands with these names."""
    count = len(names)
    if given.band is not None:
        if given.band > count:
            raise InputError(
                f"{path} has {count} bands, not the band={given.band} of --product={given.name}: correct it"
            )
        return given.band
    if given.product.band in names:
        return names.index(given.product.band) + 1
    if count > 1:
        wanted = f" and none is named {given.product.band!r}" if given.product.band else ""
        raise InputError(
            f"{path} has {count} bands{wanted}: say which one shows built ground, as in {given.name}:FILE,band=1"
        )
    return 1
