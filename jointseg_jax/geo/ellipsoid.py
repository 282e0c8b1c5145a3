"""Areas on the ellipsoid (Karney 2013): a 1 m pixel of a UTM zone covers 0.9992 to 1.002 square metres."""

import math

import numpy as np
import pyproj
import shapely
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.geo.polygons import flat
from jointseg_jax.geo.utm_zones import STEP, Zone, to_degrees
from jointseg_jax.rasters.lattice import Window, crs_name

_CHORDS = 8  # of a window's longer side, because its sides are not geodesics
_GEOD = pyproj.Geod(ellps="WGS84")


def area(ground: shapely.Geometry, step: float = STEP) -> float:
    """Square metres on the WGS 84 ellipsoid of polygons in degrees.

    Args:
        ground: with straight edges in degrees.
        step: degrees; longer edges get vertices, because the area is that between geodesics.
    """
    dense = shapely.segmentize(ground, step) if math.isfinite(step) else ground
    return sum(abs(_GEOD.geometry_area_perimeter(shapely.orient_polygons(p))[0]) for p in flat(dense))


def area_in(geometry: shapely.Geometry, zone: Zone) -> float:
    """Square metres on the ellipsoid of polygons in metres of a zone."""
    return area(to_degrees(geometry, zone), step=math.inf)


class PixelAreas:
    """Geodesic areas of the pixels of a lattice, on the ellipsoid of its CRS.

    Pixels within a window of some kilometres differ by millionths; all pixels of a window get their mean.
    """

    def __init__(self, lattice: GeoBox):
        """Raises `InputError` if the lattice has no CRS with an ellipsoid."""
        crs = None if lattice.crs is None else pyproj.CRS.from_user_input(lattice.crs.to_wkt())
        geod = None if crs is None else crs.get_geod()
        if crs is None or geod is None or crs.geodetic_crs is None:
            raise InputError(
                f"areas cannot be measured on a lattice in {crs_name(lattice)}: warp the raster to its UTM zone first"
            )
        self._crs, self._geod, self._affine = crs, geod, lattice.affine
        self._to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)

    def window(self, window: Window) -> float:
        """Square metres of a window of the lattice."""
        row, col, height, width = window
        box = shapely.segmentize(shapely.box(col, row, col + width, row + height), max(height, width) / _CHORDS)
        lon, lat = self._degrees(*shapely.get_coordinates(box).T)
        return abs(float(self._geod.polygon_area_perimeter(lon, lat)[0]))

    def pixel(self, window: Window) -> float:
        """Mean area of a pixel in square metres, over a window of at least one pixel."""
        return self.window(window) / (window.height * window.width)

    def columns(self, window: Window) -> np.ndarray:
        """Square metres of a pixel in each column of a low window: 1 / areal scale of the projection at mid-height.

        Along a column of a UTM lattice the area hardly changes (by less than 1e-8 over 512 m).
        """
        cols = window.col + np.arange(window.width) + 0.5
        lon, lat = self._degrees(cols, np.full(window.width, window.row + window.height / 2))
        scale = pyproj.Proj(self._crs).get_factors(lon, lat).areal_scale
        return np.asarray(abs(self._affine.a * self._affine.e) / np.asarray(scale))

    def _degrees(self, cols: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b, c, d, e, f = self._affine[:6]
        lon, lat = self._to_degrees.transform(a * cols + b * rows + c, d * cols + e * rows + f, errcheck=True)
        return lon, lat
