"""The area of interest: polygons of a vector file, in degrees."""

import os
import pathlib

import geopandas as gpd
import numpy as np
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.zones import cut_at_180, longest_side, polygons


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
    kinds = sorted(set(frame.geom_type.dropna()))
    # Made valid in their own CRS: in degrees, what crosses 180 degrees is not whole before it is cut there.
    shapes = [polygons(s) for s in frame.geometry if s is not None and not s.is_empty]
    ground = gpd.GeoSeries(shapes, crs=frame.crs)
    if frame.crs.is_projected:  # only vertices are moved, and what is straight there bends in degrees
        ground = ground.segmentize(longest_side(frame.crs))
    ground = ground.to_crs(4326)
    if not np.isfinite(shapely.get_coordinates(ground.values)).all():
        raise InputError(f"{path} holds coordinates that are no numbers in longitude and latitude: correct its CRS")
    if frame.crs.is_projected:  # while what is drawn in degrees may well go round the world
        ground = ground.map(lambda s: polygons(cut_at_180(s)))
    found = polygons(shapely.union_all(list(ground)))
    if found.is_empty:
        raise InputError(f"{path} holds no polygon but {kinds or 'nothing'}: the area of interest must have an area")
    return found


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
