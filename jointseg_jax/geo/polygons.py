"""Makes polygons valid in bounded time."""

from collections.abc import Iterator

import numpy as np
import shapely

MOST_CROSSINGS = 20_000  # self-crossings of one geometry: a repair takes a second; with ten times as many, minutes
_AT_ONCE = 64  # segments compared with all others between checks of the count


def polygonal(geometry: shapely.Geometry) -> shapely.Geometry:
    """The polygonal part of a geometry, made valid; empty if it has none.

    GEOS repairs each ring separately, then cuts holes out of shells (method `structure`). This takes seconds in cases
    for which the noding of all lines takes minutes.
    """
    whole = geometry
    if not geometry.is_valid:
        whole = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    if isinstance(whole, shapely.Polygon | shapely.MultiPolygon):
        return whole
    return shapely.union_all([p for p in flat(whole) if not p.is_empty])


def flat(geometry: shapely.Geometry) -> Iterator[shapely.Polygon]:
    """Yields the single polygons of any geometry."""
    if isinstance(geometry, shapely.Polygon):
        yield geometry
    elif hasattr(geometry, "geoms"):
        for part in geometry.geoms:
            yield from flat(part)


def is_tangled(geometry: shapely.Geometry) -> bool:
    """Whether a geometry's sides cross each other more than `MOST_CROSSINGS` times; touching sides do not count."""
    sides = _sides(geometry)
    tree = shapely.STRtree(sides)
    found = 0
    for first in range(0, len(sides), _AT_ONCE):
        found += tree.query(sides[first : first + _AT_ONCE], predicate="crosses").shape[1]
        if found > 2 * MOST_CROSSINGS:  # every crossing is counted twice
            return True
    return False


def _sides(geometry: shapely.Geometry) -> np.ndarray:
    """The straight segments of a geometry's lines and rings: LineStrings [sides]."""
    parts = shapely.get_parts(shapely.get_parts(geometry))  # a collection may hold multi-geometries
    lines = np.concatenate([shapely.get_rings(parts), parts[shapely.get_type_id(parts) == 1]])
    points, owner = shapely.get_coordinates(lines, return_index=True)
    joined = owner[1:] == owner[:-1]
    return np.asarray(shapely.linestrings(np.stack([points[:-1][joined], points[1:][joined]], axis=1)))
