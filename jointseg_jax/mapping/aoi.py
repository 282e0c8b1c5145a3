"""The area of interest: polygons of a vector file, in degrees."""

import os
import pathlib

import geopandas as gpd
import numpy as np
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.zones import polygons


def read_area(path: str | os.PathLike[str]) -> shapely.Geometry:
    """The union of a file's polygons (GeoJSON, GeoPackage, shapefile: what GDAL reads) in longitude and latitude.

    Lines and points are passed over where there are polygons.

    Raises:
        InputError: not there, not readable, without a CRS or without a polygon.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: --aoi is a vector file with polygons, such as belt.geojson")
    try:
        frame = gpd.read_file(path)
    except Exception as error:  # pyogrio raises its own, GEOS others
        raise InputError(f"{path} cannot be read as a vector file ({_line(error)}): --aoi wants polygons") from error
    if not isinstance(frame, gpd.GeoDataFrame) or frame.crs is None:
        raise InputError(f"{path} has no geometries with a CRS: give polygons, as GeoJSON in longitude and latitude")
    shapes = frame.geometry.to_crs(4326)
    kinds = sorted(set(shapes.geom_type.dropna()))
    found = polygons(shapely.union_all([polygons(s) for s in shapes if s is not None and not s.is_empty]))
    if found.is_empty:
        raise InputError(f"{path} holds no polygon but {kinds or 'nothing'}: the area of interest must have an area")
    if not np.isfinite(shapely.get_coordinates(found)).all():
        raise InputError(f"{path} holds coordinates that are no numbers in longitude and latitude: correct its CRS")
    return found


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
