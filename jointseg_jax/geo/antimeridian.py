"""Polygons and boxes in degrees across the antimeridian: cut there, or with west > east (RFC 7946, 3.1.9 and 5.2)."""

from collections.abc import Sequence

import numpy as np
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.polygons import flat, polygonal

_SLIVER = 1e-12  # square degrees, 0.01 square metres: smaller parts beyond 180 degrees come from rounding


def cut_at_180(ground: shapely.Geometry) -> shapely.Geometry:
    """Cuts polygons at 180 degrees; their rings may step from 180 to -180 between two vertices.

    Exact, where `wrapdateline` of odc-geo moves what lies within 11 m of the antimeridian onto it.

    Args:
        ground: polygons transformed to degrees, without true sides longer than 180 degrees.

    Raises:
        InputError: a polygon goes around a pole.
    """
    if not any(_steps_over(ring) for p in flat(ground) for ring in (p.exterior, *p.interiors)):
        return ground
    found = []
    for polygon in flat(ground):
        holes = shapely.union_all([_cut(hole) for hole in polygon.interiors])
        found.append(_cut(polygon.exterior).difference(holes))
    return polygonal(shapely.union_all(found))


def _steps_over(ring: shapely.LinearRing) -> bool:
    return bool((np.abs(np.diff(shapely.get_coordinates(ring)[:, 0])) > 180).any())


def _cut(ring: shapely.LinearRing) -> shapely.Geometry:
    """The polygons enclosed by a ring, between -180 and 180 degrees."""
    points = shapely.get_coordinates(ring)
    points[:, 0] = np.unwrap(points[:, 0], period=360)  # in one piece; may extend beyond 180 degrees
    if abs(points[-1, 0] - points[0, 0]) > 180:
        raise InputError(
            "the area of interest contains a pole, but UTM covers latitudes from -80 to 84 degrees only: cut it there"
        )
    parts = []
    for shift in (-360, 0, 360):
        whole = polygonal(shapely.Polygon(points + np.array([shift, 0.0])))
        inside = whole.intersection(shapely.box(-180, -90, 180, 90))
        if inside.area > _SLIVER:
            parts.append(inside)
    return shapely.union_all(parts)


def bbox(geometry: shapely.Geometry) -> list[float]:
    """West, south, east, north of a footprint; west > east if it crosses the antimeridian."""
    west, south, east, north = (float(v) for v in geometry.bounds)
    if geometry.geom_type == "MultiPolygon" and east - west > 180:
        boxes = [part.bounds for part in geometry.geoms]
        west = min(float(b[0]) for b in boxes if b[0] > 0)
        east = max(float(b[2]) for b in boxes if b[2] < 0)
    return [west, south, east, north]


def union_bbox(boxes: Sequence[Sequence[float]]) -> list[float]:
    """The smallest box around several boxes; it crosses the antimeridian if one of them does."""
    south, north = min(b[1] for b in boxes), max(b[3] for b in boxes)
    if all(b[0] <= b[2] for b in boxes):
        return [min(b[0] for b in boxes), south, max(b[2] for b in boxes), north]
    west, east = min(b[0] % 360 for b in boxes), max(b[2] % 360 for b in boxes)
    return [(west + 180) % 360 - 180, south, (east + 180) % 360 - 180, north]
