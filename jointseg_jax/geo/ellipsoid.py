"""Areas on the ellipsoid: a 1 m pixel of a UTM zone covers 0.9992 to 1.002 square metres."""

import numpy as np
import pyproj
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window, crs_name

_STEPS = 8  # vertices per side of a window's outline, because its sides are not geodesics


class PixelAreas:
    """Geodesic areas of the pixels of a lattice (Karney 2013, with pyproj's Geod on the CRS's ellipsoid).

    Pixels within a window of some kilometres differ by millionths; all pixels of a window get their mean.
    """

    def __init__(self, lattice: GeoBox):
        """Raises `InputError` if the lattice has no CRS with an ellipsoid."""
        crs = None if lattice.crs is None else pyproj.CRS.from_user_input(lattice.crs.to_wkt())
        geod = None if crs is None else crs.get_geod()
        if crs is None or geod is None or crs.geodetic_crs is None:
            raise InputError(
                f"no area can be measured on a lattice in {crs_name(lattice)}: warp the raster to its UTM zone first"
            )
        self._geod, self._affine = geod, lattice.affine
        self._to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)

    def window(self, window: Window) -> float:
        """Square metres of a window of the lattice."""
        along = np.linspace(0, 1, _STEPS, endpoint=False)
        top, left = np.zeros(_STEPS), np.zeros(_STEPS)
        cols = np.concatenate([along, left + 1, 1 - along, left]) * window.width + window.col
        rows = np.concatenate([top, along, top + 1, 1 - along]) * window.height + window.row
        a, b, c, d, e, f = self._affine[:6]
        x, y = a * cols + b * rows + c, d * cols + e * rows + f
        lon, lat = self._to_degrees.transform(x, y, errcheck=True)
        return abs(float(self._geod.polygon_area_perimeter(lon, lat)[0]))

    def pixel(self, window: Window) -> float:
        """Mean area of a pixel in square metres, over a window of at least one pixel."""
        return self.window(window) / (window.height * window.width)
