"""UTM zones: strips of six degrees in one hemisphere, each with its lattice; areas on the ellipsoid.

The exceptions over Norway and Svalbard are left out; each point only needs a unique zone.
"""

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyproj
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.polygons import flat, polygonal

SOUTH, NORTH = -80.0, 84.0  # limits of UTM in degrees
_STEP = 0.005  # degrees: the image of a straight edge of this length differs from a straight line by millimetres
_STEP_METRES = 500.0
_SLIVER = 1e-12  # square degrees, 0.01 square metres: smaller parts beyond 180 degrees come from rounding
_CHORD = 1000.0  # metres: longest side that is transformed by its ends; the error is centimetres
_DEGREE = 111_320.0  # metres per degree
_GEOD = pyproj.Geod(ellps="WGS84")


class Zone(NamedTuple):
    """A UTM zone: its number from 1 to 60, and its hemisphere."""

    number: int
    north: bool

    @property
    def name(self) -> str:
        """The name, such as `50N`."""
        return f"{self.number:02d}{'N' if self.north else 'S'}"

    @property
    def epsg(self) -> int:
        """The EPSG code of WGS 84 / UTM."""
        return (32600 if self.north else 32700) + self.number

    @property
    def strip(self) -> shapely.Polygon:
        """The extent of the zone in degrees."""
        west = 6.0 * self.number - 186.0
        return shapely.box(west, *((0.0, west + 6.0, NORTH) if self.north else (SOUTH, west + 6.0, 0.0)))


def zone_of_epsg(epsg: int | None) -> Zone | None:
    """The zone of an EPSG code; None if it is no UTM zone of WGS 84."""
    if epsg is None or not (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760):
        return None
    return Zone(epsg % 100, epsg < 32700)


def zones_of(ground: shapely.Geometry) -> Iterator[tuple[Zone, shapely.Geometry]]:
    """Yields the zones that polygons touch, west to east and south to north, with the part inside each zone.

    Args:
        ground: polygons in degrees.

    Raises:
        InputError: the polygons reach beyond UTM.
    """
    west, south, east, north = ground.bounds
    if west < -180 or east > 180 or south < SOUTH or north > NORTH:
        raise InputError(
            f"the area of interest reaches from {west:g}, {south:g} to {east:g}, {north:g}, but UTM covers -180, "
            f"{SOUTH:g} to 180, {NORTH:g} degrees: cut it there (and give it in longitude, latitude)"
        )
    for number in range(math.floor((west + 180) / 6) + 1, min(60, math.floor((east + 180) / 6) + 1) + 1):
        for is_north in (False, True):
            zone = Zone(number, is_north)
            part = polygonal(ground.intersection(zone.strip))
            if not part.is_empty:
                yield zone, part


def longest_side(crs: pyproj.CRS) -> float:
    """The longest side, in units of a CRS, that may be transformed by its two ends alone."""
    if crs.is_geographic:
        return _CHORD / _DEGREE
    return _CHORD / float(crs.axis_info[0].unit_conversion_factor)


def cut_at_180(ground: shapely.Geometry) -> shapely.Geometry:
    """Cuts polygons at 180 degrees; their rings may step from 180 to -180 between two vertices.

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
            f"the area of interest goes around a pole, but UTM covers {SOUTH:g} to {NORTH:g} degrees: cut it"
        )
    parts = []
    for shift in (-360, 0, 360):
        whole = polygonal(shapely.Polygon(points + np.array([shift, 0.0])))
        inside = whole.intersection(shapely.box(-180, -90, 180, 90))
        if inside.area > _SLIVER:
            parts.append(inside)
    return shapely.union_all(parts)


def to_zone(ground: shapely.Geometry, zone: Zone) -> shapely.Geometry:
    """Transforms degrees to metres of a zone; edges are straight in degrees, as in GeoJSON."""
    return _transformed(shapely.segmentize(ground, _STEP), zone.epsg, forward=True)


def to_degrees(geometry: shapely.Geometry, zone: Zone, step: float = _STEP_METRES) -> shapely.Geometry:
    """Transforms metres of a zone to degrees; edges are straight in metres and get a vertex every `step` metres."""
    return _transformed(shapely.segmentize(geometry, step), zone.epsg, forward=False)


def _transformed(geometry: shapely.Geometry, epsg: int, *, forward: bool) -> shapely.Geometry:
    transformer = _transformer(epsg)
    direction = pyproj.enums.TransformDirection.FORWARD if forward else pyproj.enums.TransformDirection.INVERSE
    return shapely.transform(geometry, lambda x, y: transformer.transform(x, y, direction=direction), interleaved=False)


@functools.lru_cache(maxsize=128)
def _transformer(epsg: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(4326, epsg, always_xy=True)


def area(ground: shapely.Geometry) -> float:
    """Square metres on the WGS 84 ellipsoid (Karney 2013) of polygons with straight edges in degrees."""
    dense = shapely.segmentize(ground, _STEP)
    return sum(abs(_GEOD.geometry_area_perimeter(shapely.orient_polygons(p))[0]) for p in flat(dense))


def area_in(geometry: shapely.Geometry, zone: Zone) -> float:
    """Square metres on the ellipsoid of polygons in metres of a zone."""
    dense = to_degrees(geometry, zone)
    return sum(abs(_GEOD.geometry_area_perimeter(shapely.orient_polygons(p))[0]) for p in flat(dense))
