"""Footprints of tiles in degrees, with curved sides, cut in two at 180 degrees."""

import functools

import numpy as np
import pyproj
import shapely

from jointseg_jax.geo.utm_zones import cut_at_180

_POINTS = 16  # per side: chords of a 10 km side stay within centimetres of the arc
_DIGITS = 7  # decimal places of a degree: a centimetre


@functools.cache
def _to_degrees(epsg: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)


def ring(bounds: tuple[float, float, float, float], points: int) -> tuple[np.ndarray, np.ndarray]:
    """The x and y along the sides of a rectangle, counter-clockwise from its lower left corner: [4 * points] each."""
    west, south, east, north = bounds
    along = np.linspace(0, 1, points + 1)[:-1]
    x = [west + along * (east - west), np.full(points, east), east - along * (east - west), np.full(points, west)]
    y = [np.full(points, south), south + along * (north - south), np.full(points, north)]
    return np.concatenate(x), np.concatenate([*y, north - along * (north - south)])


def footprint(epsg: int, bounds: tuple[float, float, float, float]) -> shapely.Geometry:
    """Transforms a rectangle of a CRS to degrees: a polygon, or two parts if it crosses the antimeridian."""
    lon, lat = _to_degrees(epsg).transform(*ring(bounds, _POINTS))
    return shapely.orient_polygons(cut_at_180(shapely.Polygon(np.round(np.column_stack([lon, lat]), _DIGITS))))


def bbox(geometry: shapely.Geometry) -> list[float]:
    """West, south, east, north of a footprint; west > east if it crosses the antimeridian (RFC 7946, 5.2)."""
    west, south, east, north = (float(v) for v in geometry.bounds)
    if geometry.geom_type == "MultiPolygon" and east - west > 180:
        boxes = [part.bounds for part in geometry.geoms]
        west = min(float(b[0]) for b in boxes if b[0] > 0)
        east = max(float(b[2]) for b in boxes if b[2] < 0)
    return [west, south, east, north]
