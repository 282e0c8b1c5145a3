"""Footprints of tiles in degrees, with curved sides, cut in two at 180 degrees."""

import numpy as np
import shapely

from jointseg_jax.geo.antimeridian import cut_at_180
from jointseg_jax.geo.reproject import reproject

_CHORDS = 16  # of the longer side: chords of a 10 km side stay within centimetres of the arc
_DIGITS = 7  # decimal places of a degree: a centimetre


def footprint(epsg: int, bounds: tuple[float, float, float, float]) -> shapely.Geometry:
    """Transforms a rectangle of a CRS to degrees: a polygon, or two parts if it crosses the antimeridian."""
    west, south, east, north = bounds
    found = reproject(shapely.box(*bounds), epsg, 4326, max(east - west, north - south) / _CHORDS)
    return shapely.orient_polygons(cut_at_180(shapely.transform(found, lambda points: np.round(points, _DIGITS))))
