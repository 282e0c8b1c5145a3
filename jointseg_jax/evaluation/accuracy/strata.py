"""Strata of a frame: the map's classes, also divided by density of the tile, by polygons, or by a buffer.

A stratum is a part of the frame (density of the tile, polygon) and a map class. Their areas come from the product's
records where these suffice; otherwise every tile is read once, in rows of blocks.
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping

import numpy as np
import shapely
from scipy import ndimage

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.frame import ROWS, Frame
from jointseg_jax.geo.ellipsoid import PixelAreas
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.utm_zones import to_zone, zone_of_epsg
from jointseg_jax.mapping.product.tile_record import TileRow
from jointseg_jax.rasters.burn import burn
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window, crop
from jointseg_jax.rasters.reader import Handles

REST = "outside"
_TILES = 64  # whose clipped polygons are kept


@dataclasses.dataclass(frozen=True)
class Strata:
    """Strata of a frame.

    Attributes:
        frame: see `Frame`.
        density: bounds between the shares of tiles; a tile's part is the number of bounds that its share reaches.
        polygons: by name, in degrees; the part of a pixel is that of the first polygon that holds its centre.
        buffer: pixels of the first class within so many metres of the second (of change: of any change) are a stratum
            of their own (0 for none): it holds most omissions (Olofsson et al. 2020). A buffer ends at the edge of a
            tile.
    """

    frame: Frame
    density: tuple[float, ...] = ()
    polygons: Mapping[str, shapely.Geometry] = dataclasses.field(default_factory=dict)
    buffer: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts; one empty name without parts."""
        if self.density:
            ends = [0.0, *self.density, 1.0]
            return tuple(f"tiles of {100 * a:g} to {100 * b:g} %" for a, b in itertools.pairwise(ends))
        return (*self.polygons, REST) if self.polygons else ("",)

    @property
    def kinds(self) -> tuple[tuple[str, int], ...]:
        """The strata within a part: name, and map class."""
        named = [(name, number) for number, name in enumerate(self.frame.classes)]
        return (*named, (f"{named[0][0]} within {self.buffer} m", 0)) if self.buffer else tuple(named)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all strata."""
        return tuple(f"{part}: {kind}" if part else kind for part in self.parts for kind, _ in self.kinds)

    @property
    def map_class(self) -> tuple[int, ...]:
        """The map class of every stratum."""
        return tuple(number for _ in self.parts for _, number in self.kinds)

    def areas(self) -> np.ndarray:
        """Square metres of every stratum in every tile [tiles, strata]."""
        tiles = self.frame.tiles
        if not self.polygons and not self.buffer and not self.frame.divided:
            found = np.zeros((len(tiles), len(self.parts), 2))
            for row, tile in zip(found, tiles, strict=True):
                row[self.part_of(tile)] = max(tile.valid_m2 - tile.impervious_m2, 0), max(tile.impervious_m2, 0)
            return found.reshape(len(tiles), -1)
        handles = Handles(limit=4)
        try:
            return np.stack([self._count(tile, handles) for tile in tiles])
        finally:
            handles.close()

    def _count(self, tile: TileRow, handles: Handles) -> np.ndarray:
        height, width = self.frame.shape(tile)
        pixel = PixelAreas(tile.lattice("impervious"))
        found = np.zeros(len(self.names))
        for top in range(0, height, ROWS):
            window = Window(top, 0, min(ROWS, height - top), width)
            counts = np.bincount(self.read(tile, window, handles).ravel(), minlength=256)[: len(found)]
            found += counts * pixel.pixel(window)
        return found

    def read(self, tile: TileRow, window: Window, handles: Handles) -> np.ndarray:
        """The stratum of every pixel of a window: uint8 [height, width], 255 where nothing was mapped."""
        around = window.pad(self.buffer)
        classes = self.frame.read(tile, around, handles)
        inner = (slice(self.buffer, self.buffer + window.height), slice(self.buffer, self.buffer + window.width))
        kind = classes[inner]
        if self.buffer and (found := np.isin(classes, self.frame.omitted)).any():
            near = ndimage.distance_transform_edt(~found)[inner] <= self.buffer
            kind = np.where((kind == 0) & near, len(self.kinds) - 1, kind)
        part = self._polygon_of(tile, window) if self.polygons else self.part_of(tile)
        known = kind != IGNORE
        return np.where(known, part * len(self.kinds) + kind, IGNORE).astype(np.uint8)

    @functools.cached_property
    def _in_zones(self) -> dict[int, tuple[list[int], shapely.STRtree]]:
        """Numbers and shapes, in metres, of the polygons near every zone; far outside it a projection is undefined."""
        found = {}
        for epsg in sorted({tile.epsg for tile in self.frame.tiles}):
            zone = zone_of_epsg(epsg)
            assert zone is not None  # as `parse_row` checked
            near = [(n, shapely.intersection(s, zone.strip.buffer(1))) for n, s in enumerate(self.polygons.values())]
            kept = [(n, to_zone(polygonal(s), zone)) for n, s in near if not s.is_empty]
            found[epsg] = [n for n, _ in kept], shapely.STRtree([s for _, s in kept])
        return found

    @functools.cached_property
    def _clipped(self) -> dict[str, list[tuple[shapely.Geometry, int]]]:
        """The polygons within the tiles that were read last; the first polygon comes last."""
        return {}

    def _within(self, tile: TileRow) -> list[tuple[shapely.Geometry, int]]:
        if tile.tile not in self._clipped:
            if len(self._clipped) >= _TILES:
                self._clipped.clear()
            numbers, tree = self._in_zones[tile.epsg]
            box = shapely.box(*tile.lattice("impervious").boundingbox)
            near = sorted(tree.query(box, predicate="intersects").tolist(), reverse=True)
            inside = [(shapely.intersection(tree.geometries[k], box), numbers[k]) for k in near]
            self._clipped[tile.tile] = [(part, n) for s, n in inside for part in shapely.get_parts(s) if part.area > 0]
        return self._clipped[tile.tile]

    def part_of(self, tile: TileRow) -> int:
        """The part of a whole tile, by its density."""
        return sum((tile.share or 0.0) >= bound for bound in self.density)

    def _polygon_of(self, tile: TileRow, window: Window) -> np.ndarray:
        """The part of every pixel of a window, int [height, width]."""
        lattice = crop(tile.lattice("impervious"), window)
        part = np.full((window.height, window.width), len(self.polygons), np.uint8)
        return burn(self._within(tile), part, lattice.affine).astype(int)


def check(strata: Strata) -> None:
    """Raises `InputError` for bounds or polygons that cannot be strata."""
    bounds = (0.0, *strata.density, 1.0)
    if any(a >= b for a, b in itertools.pairwise(bounds)):
        raise InputError(
            f"--density={','.join(map(str, strata.density))}: give shares between 0 and 1, in rising order"
        )
    if len(strata.names) >= IGNORE:
        raise InputError(
            f"{len(strata.names)} strata are too many (at most {IGNORE - 1}): merge polygons by a coarser --name column"
        )
    if sum(map(bool, (strata.density, strata.polygons))) > 1:
        raise InputError("--density and --polygons divide the map in two ways: choose one")
    if strata.buffer and strata.frame.earlier is not None:
        raise InputError("--buffer is for the map of one date, or for --change: leave it or --earlier out")
