"""Checks on a landscape under construction: how much is sealed, what is taken, and what has to give way."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import shapely
from affine import Affine

from jointseg_jax.landscape import geometry
from jointseg_jax.landscape.model import Landscape
from jointseg_jax.rasters.burn import burn

REFERENCE_YEAR = 2021  # the year that targets of the sealed share refer to
TOLERANCE = 0.3  # square metres of overlap that are accepted
CLEARANCE = 0.4  # metres kept between a building and a road or a shore


class Survey:
    """Follows a landscape: each call takes in the features added since the last one."""

    def __init__(self, land: Landscape):
        self._land = land
        self._seen = 0
        self._sealed = np.zeros(land.shape, np.uint8)
        self._sealed_pixels = 0
        self._roads: list[shapely.Geometry] = []

    def _refresh(self) -> None:
        new = self._land.features[self._seen :]
        self._seen = len(self._land.features)
        self._roads += [f.area for f in new if f.kind == "road"]
        areas = [f.area for f in new if f.year_built <= REFERENCE_YEAR and not f.area.is_empty]
        if not areas:
            return
        x0, y0, x1, y1 = np.maximum(shapely.total_bounds(np.array(areas, object)), 0).astype(int).tolist()
        window = self._sealed[y0 : y1 + 1, x0 : x1 + 1]
        if window.size:
            part = burn([(area, 1) for area in areas], np.zeros_like(window), Affine.translation(x0, y0))
            self._sealed_pixels += int(np.count_nonzero(part > window))
            window |= part

    def sealed(self) -> float:
        """Return the square metres of the scene that are sealed in the reference year."""
        self._refresh()
        return float(self._sealed_pixels)

    def share(self) -> float:
        """Return the share of the scene that is sealed in the reference year."""
        return self.sealed() / self._sealed.size

    def roads(self) -> list[shapely.Geometry]:
        """Return the surfaces of all roads."""
        self._refresh()
        return list(self._roads)

    def plots(
        self, cells: Iterable[shapely.Polygon], others: list[shapely.Geometry], smallest: float = 60.0
    ) -> list[list[shapely.Polygon]]:
        """Return what is left of each cell after roads and `others` have been cut out, slivers removed."""
        areas = np.array([*self.roads(), *others], object)
        tree, plots = shapely.STRtree(areas), []
        for cell in cells:
            left = cell.difference(shapely.union_all(areas[tree.query(cell, predicate="intersects")]))
            opened = left.buffer(-1.5, quad_segs=2).buffer(1.5, quad_segs=2)
            plots.append(geometry.polygons_of(opened, smallest))
        return plots


def _overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the pairs [n, 2] of indices whose areas share more than the tolerance."""
    if not len(first) or not len(second):
        return np.zeros((0, 2), int)
    j, i = shapely.STRtree(first).query(second, predicate="intersects")
    shared = shapely.area(shapely.intersection(first[i], second[j])) > TOLERANCE
    return np.stack([i[shared], j[shared]], axis=1)


def tidy(land: Landscape) -> None:
    """Drop buildings on roads, in water or on other buildings, paved areas in water, and all that lies outside."""
    scene, water = land.frame, np.array([p.geometry for p in land.water], object)
    wet = shapely.union_all(water)
    shapely.prepare([scene, wet])
    dry = [
        replace(f, geometry=f.geometry.difference(wet)) if f.kind == "paved" and f.geometry.intersects(wet) else f
        for f in land.features
    ]
    kept = [f for f in dry if not f.geometry.is_empty and scene.intersects(f.area)]
    numbers = [i for i, f in enumerate(kept) if f.kind == "building"]
    buildings = np.array([kept[i].geometry for i in numbers], object)
    roads = [f.geometry.buffer(f.width / 2 + CLEARANCE, quad_segs=4) for f in kept if f.kind == "road"]
    others = np.array([*roads, *shapely.buffer(water, CLEARANCE)], object)
    gone = set(_overlaps(buildings, others)[:, 0].tolist())
    for first, second in sorted(_overlaps(buildings, buildings).tolist()):
        if first < second and first not in gone:
            gone.add(second)
    dropped = {numbers[i] for i in gone}
    land.features = [f for i, f in enumerate(kept) if i not in dropped]
    land.boxes = [b for b in land.boxes if b.afloat or not shapely.contains_xy(wet, *b.centre)]
