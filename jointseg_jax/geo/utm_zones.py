"""UTM zones: strips of six degrees in one hemisphere, each with its lattice.

The exceptions over Norway and Svalbard are left out; each point only needs a unique zone.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.reproject import reproject

SOUTH, NORTH = -80.0, 84.0  # limits of UTM in degrees
STEP = 0.005  # degrees: the image of a straight edge of this length differs from a straight line by millimetres
_STEP_METRES = 500.0


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
            f"the area of interest extends from {west:g}, {south:g} to {east:g}, {north:g}, but UTM covers only -180, "
            f"{SOUTH:g} to 180, {NORTH:g} degrees: cut it there, or correct its coordinates (longitude, latitude)"
        )
    for number in range(math.floor((west + 180) / 6) + 1, min(60, math.floor((east + 180) / 6) + 1) + 1):
        for is_north in (False, True):
            zone = Zone(number, is_north)
            part = polygonal(ground.intersection(zone.strip))
            if not part.is_empty:
                yield zone, part


def to_zone(ground: shapely.Geometry, zone: Zone) -> shapely.Geometry:
    """Transforms degrees to metres of a zone; edges are straight in degrees, as in GeoJSON."""
    return reproject(ground, 4326, zone.epsg, STEP)


def to_degrees(geometry: shapely.Geometry, zone: Zone, step: float = _STEP_METRES) -> shapely.Geometry:
    """Transforms metres of a zone to degrees; edges are straight in metres and get a vertex every `step` metres."""
    return reproject(geometry, zone.epsg, 4326, step)
