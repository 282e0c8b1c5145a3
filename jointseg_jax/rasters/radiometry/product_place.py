"""The ground of rasters and products in degrees: whether a raster can be of a product at all."""

from typing import TypeAlias

import pyproj
import shapely
from odc.geo.geobox import GeoBox

Ground: TypeAlias = tuple[tuple[float, float], ...]  # corners, longitude and latitude


def ground_of(lattice: GeoBox) -> Ground | None:
    """The corners of a raster; None if its CRS is unknown or has no place on the earth."""
    if lattice.crs is None:
        return None
    try:
        to_degrees = pyproj.Transformer.from_crs(lattice.crs.to_wkt(), "OGC:CRS84", always_xy=True)
        corners = [to_degrees.transform(x, y, errcheck=True) for x, y in lattice.extent.exterior.coords]
    except pyproj.exceptions.ProjError:
        return None
    return tuple((float(lon), float(lat)) for lon, lat in corners)


def parse_footprint(text: str) -> Ground | None:
    """Reads EXT_POS_LIST of a product's XML: latitude, longitude (and height 0) in turn; None if it is no such list."""
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        return None
    if len(values) % 3 == 0 and not any(values[2::3]):
        del values[2::3]
    latitudes, longitudes = values[::2], values[1::2]
    fits = len(latitudes) == len(longitudes) >= 4
    if not fits or any(abs(lat) > 90 for lat in latitudes) or any(abs(lon) > 360 for lon in longitudes):
        return None
    return tuple(zip(longitudes, latitudes, strict=True))


def meet(a: Ground, b: Ground) -> bool:
    """Whether two grounds share any, by their convex hulls; both may cross the antimeridian."""
    first, second = (_hull(ground, a[0][0]) for ground in (a, b))
    return shapely.intersection(first, second).area > 0


def _hull(ground: Ground, reference: float) -> shapely.Geometry:
    """The convex hull, in degrees east of a longitude."""
    return shapely.MultiPoint([((lon - reference + 180) % 360 - 180, lat) for lon, lat in ground]).convex_hull
