"""Cuts an area of interest into tiles and ranks the scenes of each tile.

Every UTM zone has a grid of square tiles, counted from the zone's origin. A tile belongs to one zone and owns the
intersection of its square, the zone's strip and the area of interest: every square metre has one owner.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from jointseg_jax.geo.ellipsoid import area, area_in
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.utm_zones import Zone, to_degrees, to_zone, zone_of_epsg, zones_of
from jointseg_jax.mapping.scenes.catalogue import CatalogueScene
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.rasters.lattice import make_lattice

GRID = 10240  # metres: 1024 input pixels, 20 blocks of 512 pixels of the map
SNAP = 20  # metres: sides of squares and corners of mapped rectangles are multiples
_LEAST = 1.0  # m2: smaller fragments, below a pixel of the map, are dropped
_PROBES = 48  # points along a tile's side at which shares are sampled


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A scene that may serve a tile, and the share of the tile's owned ground where it has data (0 to 1)."""

    scene: str
    share: float


@dataclasses.dataclass(frozen=True)
class PlannedTile:
    """One tile.

    Attributes:
        name: zone, column and row, such as `50N_0051_0340`.
        zone: the zone of its lattice.
        col, row: of its square, eastwards and northwards from the zone's origin.
        left, bottom, right, top: metres; the mapped rectangle: the square cut to the owned ground, snapped outwards.
        owned: the ground it owns, in metres of the zone.
        owned_m2: area of `owned` on the ellipsoid.
        whole: whether the owned ground fills the mapped rectangle.
        candidates: scenes in order of preference; empty if no scene reaches it.
    """

    name: str
    zone: Zone
    col: int
    row: int
    left: float
    bottom: float
    right: float
    top: float
    owned: shapely.Geometry
    owned_m2: float
    whole: bool
    candidates: tuple[Candidate, ...] = ()

    @property
    def lattice(self) -> GeoBox:
        """The tile's 10 m lattice."""
        height, width = (round(d / COARSE_SPACING) for d in (self.top - self.bottom, self.right - self.left))
        return make_lattice(f"EPSG:{self.zone.epsg}", self.left, self.top, COARSE_SPACING, height, width)


def partition(ground: shapely.Geometry, grid: int = GRID) -> Iterator[PlannedTile]:
    """Yields the tiles of an area of interest, without scenes.

    Args:
        ground: polygons in degrees.
        grid: side of a square in metres, a multiple of `SNAP`.
    """
    for zone, part in zones_of(ground):
        local = polygonal(to_zone(part, zone))
        west, _, east, _ = local.bounds
        for col in range(math.floor(west / grid), math.floor(east / grid) + 1):
            column = polygonal(local.intersection(_strip(local, col * grid, (col + 1) * grid)))
            if column.is_empty:
                continue
            _, south, _, north = column.bounds
            for row in range(math.floor(south / grid), math.floor(north / grid) + 1):
                square = shapely.box(col * grid, row * grid, (col + 1) * grid, (row + 1) * grid)
                owned = square if column.contains(square) else polygonal(column.intersection(square))
                if not owned.is_empty and (tile := _tile(zone, col, row, owned)).owned_m2 >= _LEAST:
                    yield tile


def _strip(local: shapely.Geometry, left: float, right: float) -> shapely.Polygon:
    _, south, _, north = local.bounds
    return shapely.box(left, south - 1, right, north + 1)


def _tile(zone: Zone, col: int, row: int, owned: shapely.Geometry) -> PlannedTile:
    west, south, east, north = owned.bounds
    # A vertex converted from degrees is off by nanometres, which must not add a row.
    left, bottom = (SNAP * math.floor((v + 1e-6) / SNAP) for v in (west, south))
    right, top = (SNAP * math.ceil((v - 1e-6) / SNAP) for v in (east, north))
    right, top = max(right, left + SNAP), max(top, bottom + SNAP)
    # The mask tests the centres of 1 m pixels.
    whole = bool(owned.buffer(1e-3).contains(shapely.box(left, bottom, right, top)))
    name = f"{zone.name}_{col:04d}_{row:04d}"
    return PlannedTile(name, zone, col, row, left, bottom, right, top, owned, area_in(owned, zone), whole)


def with_scenes(tiles: Sequence[PlannedTile], scenes: Sequence[CatalogueScene], reach: float) -> list[PlannedTile]:
    """Adds to each tile its candidates in order of preference: the best-scene rule.

    The order: the largest share of the tile's owned ground where the scene has data, in whole per cent; the least
    cloud (unknown counts as most); the latest date (unknown counts as earliest); the identifier. Only scenes on the
    lattice of the tile's zone count: nothing is warped.

    Args:
        tiles: of any zones.
        scenes: of any zones.
        reach: metres around a tile that are read with it; scenes that lie only there come last.
    """
    index = {}
    for zone in {t.zone for t in tiles}:
        own = [s for s in scenes if zone_of_epsg(s.epsg) == zone]
        index[zone] = own, shapely.STRtree([shapely.box(*s.bounds) for s in own])
    found = []
    for tile in tiles:
        own, tree = index[tile.zone]
        around = shapely.box(tile.left - reach, tile.bottom - reach, tile.right + reach, tile.top + reach)
        near = [own[i] for i in sorted(tree.query(around, predicate="intersects"))]
        probes = _probes(tile) if near else np.zeros((0, 2))
        rated = [(s, float(_has_data(s, probes).mean())) for s in near]
        rated = _ordered(rated)
        if not any(_touches(s, tile) for s in near):
            rated = []  # scenes in the halo alone map nothing
        found.append(dataclasses.replace(tile, candidates=tuple(Candidate(s.id, share) for s, share in rated)))
    return found


def _ordered(rated: list[tuple[CatalogueScene, float]]) -> list[tuple[CatalogueScene, float]]:
    """Sorts by the best-scene rule; sorting is stable, so the least important key comes first."""
    rated = sorted(rated, key=lambda pair: pair[0].id)
    rated.sort(key=lambda pair: pair[0].date, reverse=True)
    rated.sort(key=lambda pair: math.inf if pair[0].cloud is None else pair[0].cloud)
    rated.sort(key=lambda pair: round(100 * pair[1]), reverse=True)
    return rated


def _touches(scene: CatalogueScene, tile: PlannedTile) -> bool:
    west, south, east, north = scene.bounds
    return west < tile.right and east > tile.left and south < tile.top and north > tile.bottom


def _probes(tile: PlannedTile) -> np.ndarray:
    """Points [n, 2], in metres, spread over the tile's owned ground; at least one."""
    xs = tile.left + (np.arange(_PROBES) + 0.5) * (tile.right - tile.left) / _PROBES
    ys = tile.bottom + (np.arange(_PROBES) + 0.5) * (tile.top - tile.bottom) / _PROBES
    grid = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
    if tile.whole:
        return grid
    shapely.prepare(tile.owned)
    inside = grid[shapely.contains_xy(tile.owned, grid[:, 0], grid[:, 1])]
    return inside if len(inside) else np.asarray(tile.owned.representative_point().coords)


def _has_data(scene: CatalogueScene, points: np.ndarray) -> np.ndarray:
    """Whether a scene has data at points in metres, read from its decimated validity."""
    west, south, east, north = scene.bounds
    height, width = scene.valid.shape
    to_pixels = ~(Affine.translation(west, north) * Affine.scale((east - west) / width, (south - north) / height))
    cols, rows = (np.floor(v).astype(int) for v in to_pixels * (points[:, 0], points[:, 1]))
    inside = (cols >= 0) & (cols < width) & (rows >= 0) & (rows < height)
    found = np.zeros(len(points), bool)
    found[inside] = scene.valid[rows[inside], cols[inside]]
    return found


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Square metres of the area of interest, of its tiles' ground, and of ground that no scene of its zone reaches."""

    aoi_m2: float
    owned_m2: float
    without_scene_m2: float


def coverage(ground: shapely.Geometry, tiles: Sequence[PlannedTile], scenes: Sequence[CatalogueScene]) -> Coverage:
    """Measures the area of interest, and its part outside the scenes' rectangles.

    Args:
        ground: polygons in degrees.
        tiles: with candidates.
        scenes: those that the tiles were planned with.
    """
    boxes = {s.id: shapely.box(*s.bounds) for s in scenes}
    missing = 0.0
    for tile in tiles:
        reached = shapely.union_all([boxes[c.scene] for c in tile.candidates])
        left = polygonal(tile.owned.difference(reached))
        missing += area_in(left, tile.zone) if not left.is_empty else 0.0
    return Coverage(area(ground), sum(t.owned_m2 for t in tiles), missing)


def outline(tile: PlannedTile) -> shapely.Geometry:
    """The tile's owned ground in degrees, for the plan file: corners only if it is a whole rectangle."""
    if tile.whole:
        return to_degrees(shapely.box(tile.left, tile.bottom, tile.right, tile.top), tile.zone, step=math.inf)
    return to_degrees(tile.owned, tile.zone)
