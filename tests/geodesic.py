"""Geodesic areas by pyproj, to compare the package's own with."""

import pyproj
import shapely

GEOD = pyproj.Geod(ellps="WGS84")


def rectangle_area(epsg, bounds):
    """m2 of a rectangle of a CRS, its sides followed closely."""
    x, y = shapely.get_coordinates(shapely.segmentize(shapely.box(*bounds), 50)).T
    lon, lat = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
    return GEOD.polygon_area_perimeter(lon, lat)[0]
