"""Draws points or blocks at random within strata; reads only the blocks of the rasters that it must.

A point is drawn in two steps: a tile with probability proportional to the area of the stratum in it, then a pixel of
the stratum, all alike. Every point is drawn independently of the others (with replacement), so a stratum's points are
a simple random sample of its area, whatever the size of the map.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.frame import ROWS, Frame
from jointseg_jax.evaluation.accuracy.strata import Strata
from jointseg_jax.mapping.product.tile_record import TileRow
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles

_TRIES = 400  # single pixels of a tile that are looked at before the tile is read as a whole


@dataclasses.dataclass(frozen=True)
class Place:
    """A drawn pixel.

    Attributes:
        stratum: its number.
        unit: number of the block that it belongs to, or its own.
        tile: its row.
        row, col: in the tile's raster.
    """

    stratum: int
    unit: int
    tile: TileRow
    row: int
    col: int


def draw_points(strata: Strata, areas: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> list[Place]:
    """Draws points.

    Args:
        strata: see `Strata`.
        areas: square metres of every stratum in every tile [tiles, strata].
        sizes: points per stratum.
        rng: random numbers.

    Raises:
        InputError: a tile's raster has no pixel of a stratum that its record says it has.
    """
    per_tile = np.stack(
        [rng.multinomial(n, column / column.sum()) if n else np.zeros(len(areas), int)
         for n, column in zip(sizes, areas.T, strict=True)], 1
    )  # fmt: skip
    handles = Handles(limit=8)
    found: list[Place] = []
    try:
        for tile, wanted in zip(strata.frame.tiles, per_tile, strict=True):
            if wanted.any():
                for stratum, row, col in _pixels(strata, tile, wanted, rng, handles):
                    found.append(Place(stratum, len(found), tile, row, col))
    finally:
        handles.close()
    return found


def _pixels(
    strata: Strata, tile: TileRow, wanted: np.ndarray, rng: np.random.Generator, handles: Handles
) -> Iterator[tuple[int, int, int]]:
    """Pixels of a tile, so many of each stratum, all pixels of a stratum alike."""
    height, width = strata.frame.shape(tile)
    left = wanted.copy()
    for row, col in zip(rng.integers(height, size=_TRIES), rng.integers(width, size=_TRIES), strict=True):
        if not left.any():
            return
        stratum = int(strata.read(tile, Window(int(row), int(col), 1, 1), handles)[0, 0])
        if stratum < len(left) and left[stratum]:
            left[stratum] -= 1
            yield stratum, int(row), int(col)
    # Rare strata: count them, then look up ranks.
    if not left.any():
        return
    strips = [Window(top, 0, min(ROWS, height - top), width) for top in range(0, height, ROWS)]
    counts = np.stack(
        [np.bincount(strata.read(tile, s, handles).ravel(), minlength=IGNORE + 1)[: len(left)] for s in strips]
    )
    for rare in np.flatnonzero(left).tolist():
        total = int(counts[:, rare].sum())
        if not total:
            raise InputError(
                f"tile {tile.tile!r} has no pixel of stratum {strata.names[rare]!r}, but its record says it has: "
                "run jointseg predict again with --check, which maps the tile again"
            )
        ends = np.cumsum(counts[:, rare])
        for rank in rng.integers(total, size=left[rare]):
            strip = int(np.searchsorted(ends, rank, side="right"))
            inside = strata.read(tile, strips[strip], handles) == rare
            at = np.flatnonzero(inside)[rank - (ends[strip - 1] if strip else 0)]
            yield rare, strips[strip].row + int(at) // width, int(at) % width


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Blocks of a frame: squares, counted from the upper left corner of every tile.

    Attributes:
        strata: of the frame; of these the parts alone divide blocks, by the density of their tile.
        side: metres.
        points: on a side of a block; they lie in the middle of its equal parts.
    """

    strata: Strata
    side: int
    points: int

    def counts(self) -> np.ndarray:
        """Blocks of every stratum in every tile [tiles, strata]."""
        found = np.zeros((len(self.strata.frame.tiles), len(self.strata.parts)), int)
        for row, tile in zip(found, self.strata.frame.tiles, strict=True):
            height, width = self.strata.frame.shape(tile)
            row[self.strata.part_of(tile)] = math.ceil(height / self.side) * math.ceil(width / self.side)
        return found

    def draw(self, sizes: np.ndarray, rng: np.random.Generator) -> list[Place]:
        """Draws different blocks; returns their points on mapped ground. A block without any keeps its number."""
        handles, found, first = Handles(limit=8), [], 0
        try:
            for stratum, (n, counts) in enumerate(zip(sizes, self.counts().T, strict=True)):
                ends = np.cumsum(counts)
                for unit, rank in enumerate(np.sort(rng.choice(int(ends[-1]), n, replace=False)), first):
                    number = int(np.searchsorted(ends, rank, side="right"))
                    within = int(rank - (ends[number - 1] if number else 0))
                    found += self._points(stratum, unit, self.strata.frame.tiles[number], within, handles)
                first += int(n)
        finally:
            handles.close()
        return found

    def _points(self, stratum: int, unit: int, tile: TileRow, within: int, handles: Handles) -> list[Place]:
        frame = self.strata.frame
        across = math.ceil(frame.shape(tile)[1] / self.side)
        top, left = within // across * self.side, within % across * self.side
        classes = frame.read(tile, Window(top, left, self.side, self.side), handles)
        at = ((np.arange(self.points) + 0.5) * self.side / self.points).astype(int)
        known = [(int(r), int(c)) for r in at for c in at if classes[r, c] != IGNORE]
        return [Place(stratum, unit, tile, top + r, left + c) for r, c in known]


def map_classes(frame: Frame, places: list[Place], tolerance: int) -> list[tuple[int, tuple[int, ...]]]:
    """The map class of every place, and the classes within a tolerance in metres, its own included."""
    handles, found = Handles(limit=8), []
    offset = np.hypot(*np.mgrid[-tolerance : tolerance + 1, -tolerance : tolerance + 1]) <= tolerance
    try:
        for place in places:
            around = frame.read(place.tile, Window(place.row, place.col, 1, 1).pad(tolerance), handles)
            near = sorted({int(c) for c in around[offset] if c != IGNORE})
            found.append((int(around[tolerance, tolerance]), tuple(near)))
    finally:
        handles.close()
    return found
