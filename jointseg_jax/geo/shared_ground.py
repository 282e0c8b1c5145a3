"""Finds overlapping sites across UTM zones; sides bend between zones, and longitude jumps at 180 degrees."""

from collections.abc import Mapping

import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.geo.reproject import CHORD, reproject
from jointseg_jax.rasters.lattice import crs_name, crs_text

TOUCHING = -0.5  # metres: sites that only share a side do not overlap


def near(lattices: Mapping[str, GeoBox], margin: float) -> list[tuple[str, str]]:
    """Pairs of sites, in the order given, of which the second overlaps the first one grown by a margin.

    Args:
        lattices: by site; any projected CRS.
        margin: metres; `TOUCHING` finds pairs that overlap.

    Raises:
        InputError: a site lies outside the area that its CRS can transform to degrees.
    """
    names = list(lattices)
    grown = np.array([_in_degrees(name, lattices[name], margin) for name in names], object)
    tree = shapely.STRtree([_in_degrees(name, lattices[name], TOUCHING) for name in names])
    found: set[tuple[int, int]] = set()
    for turn in (-360.0, 0.0, 360.0):  # beyond 180 degrees a site has another longitude
        moved = shapely.transform(grown, lambda points, by=turn: points + np.array([by, 0.0]))
        found |= {(int(i), int(j)) for i, j in tree.query(moved, "intersects").T if i < j}
    return [(names[i], names[j]) for i, j in sorted(found)]


def outline(lattice: GeoBox, crs: str) -> shapely.Polygon:
    """The outline of a lattice in a CRS."""
    return _grown(lattice, crs, 0.0)


def _in_degrees(name: str, lattice: GeoBox, margin: float) -> shapely.Polygon:
    """The outline of a site in degrees, in one piece; it may extend beyond 180 degrees."""
    lon, lat = shapely.get_coordinates(_grown(lattice, "EPSG:4326", margin)).T
    if not np.isfinite([lon, lat]).all():
        raise InputError(
            f"site {name!r} lies outside the area where {crs_name(lattice)} is defined: check the CRS and the origin "
            "of its rasters"
        )
    lon = lon[0] + (lon - lon[0] + 180) % 360 - 180
    return shapely.Polygon(np.column_stack([lon, lat]))


def _grown(lattice: GeoBox, crs: str, margin: float) -> shapely.Polygon:
    """The ground of a lattice, grown by a margin in metres, in a CRS."""
    west, south, east, north = lattice.boundingbox.bbox
    box = shapely.box(west - margin, south - margin, east + margin, north + margin)
    return reproject(box, crs_text(lattice), crs, CHORD)
