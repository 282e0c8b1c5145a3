"""Where the pixels of a map lie among the cells of another raster, and the fractions of cells that windows share."""

import dataclasses

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.spatial.fraction import KNOWN, FractionError
from jointseg_jax.geo.reproject import transformer
from jointseg_jax.rasters.lattice import Window, crs_name, crs_text

_STEP = 64  # pixels between nodes that are transformed; between them positions are interpolated, to 0.1 mm
_MERGED = 64  # parts after which shared cells are added up


@dataclasses.dataclass(frozen=True)
class Placed:
    """The place of a window of the map in another raster, to be interpolated.

    Attributes:
        rows, cols: positions of the nodes in pixels of the raster [nodes, nodes].
        v, u: rows and columns of the nodes, from the window's corner.
    """

    rows: np.ndarray
    cols: np.ndarray
    v: np.ndarray
    u: np.ndarray

    def at(self, v: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns in the raster of points of the window, [v, u] each."""
        down, right = _weights(v, self.v), _weights(u, self.u)
        return down @ self.rows @ right.T, down @ self.cols @ right.T

    def box(self, height: int, width: int) -> Window:
        """The window of the raster, of that size, in which the map's window lies; empty if it lies outside."""
        top, bottom = int(np.floor(self.rows.min())), int(np.floor(self.rows.max())) + 1
        left, right = int(np.floor(self.cols.min())), int(np.floor(self.cols.max())) + 1
        return Window(top, left, bottom - top, right - left).clip(height, width)

    @property
    def pixels_per_cell(self) -> float:
        """Pixels of the map in a cell of the raster, on the mean of the window."""
        corners = self.rows[[0, 0, -1], [0, -1, 0]], self.cols[[0, 0, -1], [0, -1, 0]]
        (r0, r1, r2), (c0, c1, c2) = corners
        cells = abs((c1 - c0) * (r2 - r0) - (r1 - r0) * (c2 - c0))
        return float((self.v[-1] - self.v[0]) * (self.u[-1] - self.u[0]) / cells)


@dataclasses.dataclass(frozen=True)
class Nodes:
    """Nodes of a window of the map in the CRS of other rasters.

    Attributes:
        x, y: coordinates [nodes, nodes].
        v, u: see `Placed`.
    """

    x: np.ndarray
    y: np.ndarray
    v: np.ndarray
    u: np.ndarray


def nodes(lattice: GeoBox, window: Window, own: GeoBox) -> Nodes:
    """Transforms the nodes of a window to the CRS of `own`.

    Raises:
        InputError: that CRS is not defined there.
    """
    v, u = _nodes(window.row, window.height), _nodes(window.col, window.width)
    x, y = through(lattice.affine, *np.meshgrid(window.col + u, window.row + v))
    if lattice.crs != own.crs:
        x, y = transformer(crs_text(lattice), crs_text(own)).transform(x, y)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError(f"a product in {crs_name(own)} is not defined on the ground of the map: check its CRS")
    if own.crs is not None and own.crs.geographic:
        x = x[0, 0] + np.mod(x - x[0, 0] + 180, 360) - 180  # a window across the antimeridian stays whole
    return Nodes(x, y, v, u)


def places(at: Nodes, own: GeoBox) -> list[Placed]:
    """Finds the place of a window in a raster with the lattice `own`.

    In degrees the window is also looked for one turn around the Earth to the east and to the west: a raster may begin
    at the antimeridian in the window's middle.
    """
    turns = (0.0, -360.0, 360.0) if own.crs is not None and own.crs.geographic else (0.0,)
    found = []
    for turn in turns:
        cols, rows = through(~own.affine, at.x + turn, at.y)
        found.append(Placed(rows, cols, at.v, at.u))
    return found


def _nodes(start: int, size: int) -> np.ndarray:
    """Multiples of the step around some pixels, from the first of them on; the same in every window of a lattice."""
    first = start // _STEP
    return (np.arange(first, -(-(start + size) // _STEP) + 1) * _STEP - start).astype(float)


def through(affine: Affine, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points through an affine transform."""
    a, b, c, d, e, f = affine[:6]
    return a * x + b * y + c, d * x + e * y + f


def _weights(points: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Matrix [points, nodes] of linear interpolation."""
    step = nodes[1] - nodes[0]
    low = np.clip(((points - nodes[0]) / step).astype(int), 0, len(nodes) - 2)
    share = (points - nodes[low]) / step
    found = np.zeros((len(points), len(nodes)))
    at = np.arange(len(points))
    found[at, low], found[at, low + 1] = 1 - share, share
    return found


@dataclasses.dataclass(frozen=True)
class Parts:
    """Parts of cells that lie in a window: one row per cell.

    Attributes:
        key: of the cell.
        count: known sub-pixels of the map in it.
        built: those that the map has as built.
        full: sub-pixels of a whole cell.
        theirs: built fraction that the other product states.
        shared: whether other windows may hold more of the cell.
    """

    key: np.ndarray
    count: np.ndarray
    built: np.ndarray
    full: np.ndarray
    theirs: np.ndarray
    shared: np.ndarray

    def take(self, chosen: np.ndarray) -> "Parts":
        """Some of the rows."""
        return Parts(*(getattr(self, f.name)[chosen] for f in dataclasses.fields(self)))


class CellError:
    """Error of the map's fraction in the cells of another product; parts of a cell from several windows are added up.

    Cells within one window are judged at once; only those at the edges of windows are kept.
    """

    def __init__(self) -> None:
        self._error = FractionError()
        self._waiting: list[Parts] = []

    def add(self, parts: Parts) -> None:
        """Adds what a window holds."""
        self._judge(parts.take(~parts.shared))
        self._waiting.append(parts.take(parts.shared))
        if len(self._waiting) >= _MERGED:
            self._waiting = [_merged(self._waiting)]

    def total(self) -> FractionError:
        """The error, once all windows were added; map minus product."""
        if self._waiting:
            self._judge(_merged(self._waiting))
            self._waiting = []
        return self._error

    def _judge(self, parts: Parts) -> None:
        parts = parts.take(parts.count >= KNOWN * parts.full)
        self._error += FractionError.between(parts.built / np.maximum(parts.count, 1), parts.theirs)


def _merged(parts: list[Parts]) -> Parts:
    together = Parts(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(Parts)))
    key, first, place = np.unique(together.key, return_index=True, return_inverse=True)
    count, built = (np.bincount(place, x, len(key)) for x in (together.count, together.built))
    return Parts(key, count, built, together.full[first], together.theirs[first], together.shared[first])
