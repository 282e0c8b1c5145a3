"""Classes of ground, which have transitions of their own: by region, and by the density of built-up ground around.

Density is the mean probability of all dates over squares. Their sides divide the tiles', so no square crosses a tile's
border and a class does not depend on the tile that it is read through.
"""

import dataclasses
import itertools

import numpy as np
import shapely

from jointseg_jax.change.near import Bounds
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.utm_zones import to_zone, zone_of_epsg
from jointseg_jax.mapping.area.partition import SNAP
from jointseg_jax.rasters.burn import burn
from jointseg_jax.rasters.lattice import Window, crop, make_lattice

EDGES = (0.02, 0.1, 0.3)  # of mean probability, between the classes of density
_SQUARE = 160  # metres, or the next smaller divisor of a tile's side


@dataclasses.dataclass(frozen=True)
class Ground:
    """The classes: every region, and the ground outside them, times every class of density.

    Attributes:
        regions: names.
    """

    regions: tuple[str, ...] = ()

    @property
    def densities(self) -> tuple[tuple[float, float], ...]:
        """Lowest and highest mean probability of each class of density."""
        ends = (0.0, *EDGES, 1.0)
        return tuple(itertools.pairwise(ends))

    @property
    def count(self) -> int:
        """Number of classes."""
        return (len(self.regions) + 1) * len(self.densities)

    def classes(self, region: np.ndarray, density: np.ndarray) -> np.ndarray:
        """The index of each pixel's class, int32, from its region (0 for none) and class of density."""
        return region.astype(np.int32) * len(self.densities) + density

    def described(self, index: int) -> tuple[str, tuple[float, float]]:
        """Region (empty outside all) and density of a class."""
        region, density = divmod(index, len(self.densities))
        return ("", *self.regions)[region], self.densities[density]


def square_of(grid: int) -> int:
    """The side of a square of density, metres: the largest divisor of a tile's side up to 160 m."""
    return max(s for s in range(SNAP, min(_SQUARE, grid) + 1, SNAP) if grid % s == 0)


class Squares:
    """Accumulates the probabilities of the squares of a tile, by region."""

    def __init__(self, bounds: Bounds, square: int, regions: int = 0):
        """Empty.

        Args:
            bounds: of the tile in whole metres of its zone.
            square: side in metres.
            regions: number of regions.
        """
        west, south, east, north = (round(b) for b in bounds)
        self._left, self._top, self._square = west // square, -(-north // square), square
        self._west, self._north = west, north
        self._shape = (self._top - south // square, -(-east // square) - self._left)
        self._sum, self._count = np.zeros((2, regions + 1, *self._shape))

    def add(self, window: Window, probabilities: np.ndarray, region: np.ndarray) -> None:
        """Adds a window of the tile: probabilities [dates, rows, cols], NaN for nodata; region uint8 [rows, cols]."""
        known = np.isfinite(probabilities)
        at = np.ravel_multi_index((region, *self._cells(window)), self._sum.shape).ravel()
        self._sum += self._binned(at, np.where(known, probabilities, 0).sum(0, dtype=np.float64))
        self._count += self._binned(at, known.sum(0))

    def _binned(self, at: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.bincount(at, values.ravel(), self._sum.size).reshape(self._sum.shape)

    def density(self) -> np.ndarray:
        """The class of density of every square, uint8; of one without data the lowest."""
        mean = self._sum.sum(0) / np.maximum(self._count.sum(0), 1)
        return np.digitize(mean, EDGES).astype(np.uint8)

    def of_classes(self, ground: Ground) -> tuple[np.ndarray, np.ndarray]:
        """Number of probabilities and their sum, by class of ground."""
        region = np.arange(len(self._sum), dtype=np.uint8)[:, None, None]
        kind = ground.classes(region, self.density()[None]).ravel()
        count, total = (np.bincount(kind, x.ravel(), ground.count) for x in (self._count, self._sum))
        return count, total

    def of_pixels(self, density: np.ndarray, window: Window) -> np.ndarray:
        """The class of density of every pixel of a window of the tile, uint8."""
        return np.asarray(density[self._cells(window)])

    def _cells(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        rows = self._top - 1 - (self._north - 1 - window.row - np.arange(window.height)) // self._square
        cols = (self._west + window.col + np.arange(window.width)) // self._square - self._left
        down, right = np.broadcast_arrays(rows[:, None], cols[None])
        return down, right


class RegionsInTile:
    """The regions near one tile, in metres of its zone."""

    def __init__(self, regions: dict[str, shapely.Geometry], epsg: int, bounds: Bounds):
        """Transforms them.

        Args:
            regions: polygons in degrees by name.
            epsg: of the tile's zone.
            bounds: of the tile.
        """
        west, south, east, north = bounds
        zone = zone_of_epsg(epsg)
        assert zone is not None, epsg
        strip = zone.strip.buffer(1.0)  # degrees: far from its zone a projection has no limit
        local = [polygonal(to_zone(polygonal(shape.intersection(strip)), zone)) for shape in regions.values()]
        self._parts = [polygonal(shape.intersection(shapely.box(*bounds))) for shape in local]
        self._lattice = make_lattice(f"EPSG:{epsg}", west, north, 1, round(north - south), round(east - west))

    def of_pixels(self, window: Window) -> np.ndarray:
        """The region of every pixel of a window of the tile, uint8: 0 for none, the last of several."""
        numbers = np.zeros((window.height, window.width), np.uint8)
        shapes = [(part, number) for number, part in enumerate(self._parts, start=1) if not part.is_empty]
        return burn(shapes, numbers, crop(self._lattice, window).affine)
