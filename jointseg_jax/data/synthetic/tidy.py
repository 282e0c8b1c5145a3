"""Putting a landscape right: nothing is built on roads, in water or on top of something else."""

import numpy as np
import shapely

from jointseg_jax.data.synthetic.model import Feature, Landscape

TOLERANCE = 0.3  # square metres of overlap that are let pass
CLEARANCE = 0.4  # metres kept between a building and a road or a shore


def _overlapping(buildings: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the indices of buildings that overlap any of the other areas."""
    if not len(buildings) or not len(others):
        return np.zeros(0, int)
    tree = shapely.STRtree(buildings)
    other, building = tree.query(others, predicate="intersects")
    shared = shapely.area(shapely.intersection(buildings[building], others[other]))
    return np.unique(building[shared > TOLERANCE])


def _stacked(buildings: np.ndarray) -> np.ndarray:
    """Return the indices of buildings that overlap an earlier one that stays."""
    if not len(buildings):
        return np.zeros(0, int)
    first, second = shapely.STRtree(buildings).query(buildings, predicate="intersects")
    pairs = first < second
    first, second = first[pairs], second[pairs]
    shared = shapely.area(shapely.intersection(buildings[first], buildings[second]))
    gone: set[int] = set()
    order = np.lexsort((second, first))
    for i in order[shared[order] > TOLERANCE]:
        if int(first[i]) not in gone:
            gone.add(int(second[i]))
    return np.array(sorted(gone), int)


def tidy(land: Landscape) -> None:
    """Remove buildings that are in the way, cut paved areas out of the water, drop what lies outside of the scene."""
    scene = shapely.box(0, 0, land.shape[1], land.shape[0])
    shapely.prepare(scene)
    water = [p.geometry for p in land.water]
    wet = shapely.union_all(water) if water else shapely.Polygon()
    kept: list[Feature] = []
    for feature in land.features:
        geometry = feature.geometry
        if feature.kind == "paved" and not wet.is_empty and geometry.intersects(wet):
            geometry = geometry.difference(wet)
            feature = Feature(geometry, feature.kind, 0.0, feature.year_built, 0.0, feature.name)
        reach = feature.width / 2
        if geometry.is_empty or not shapely.intersects(scene, geometry.buffer(reach) if reach else geometry):
            continue
        kept.append(feature)
    numbers = np.array([i for i, f in enumerate(kept) if f.kind == "building"], int)
    buildings = np.array([kept[i].geometry for i in numbers], object)
    roads = np.array(
        [f.geometry.buffer(f.width / 2 + CLEARANCE, quad_segs=4) for f in kept if f.kind == "road"], object
    )
    ponds = np.array([p.buffer(CLEARANCE) for p in water], object)
    gone = set(_overlapping(buildings, roads).tolist()) | set(_overlapping(buildings, ponds).tolist())
    alive = np.array([i for i in range(len(numbers)) if i not in gone], int)
    gone |= set(alive[_stacked(buildings[alive])].tolist()) if len(alive) else set()
    dropped = {int(numbers[i]) for i in gone}
    land.features = [f for i, f in enumerate(kept) if i not in dropped]
    shapely.prepare(wet)
    land.boxes = [b for b in land.boxes if b.afloat or not shapely.contains_xy(wet, b.x, b.y)]
