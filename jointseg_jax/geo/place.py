"""Where something is, in words."""

from odc.geo.geobox import GeoBox

from jointseg_jax.geo.reproject import transformer
from jointseg_jax.rasters.lattice import crs_text


def in_degrees(crs: int | str, x: float, y: float) -> str:
    """A place such as "30.729 N, 117.003 E", to about 100 m.

    Args:
        crs: of the coordinates.
        x, y: of the place.
    """
    lon, lat = transformer(crs, "EPSG:4326").transform(x, y)
    return f"{abs(lat):.3f} {'N' if lat >= 0 else 'S'}, {abs(lon):.3f} {'E' if lon >= 0 else 'W'}"


def middle_of(lattice: GeoBox) -> str:
    """The middle of a raster; empty without a CRS."""
    if not lattice.crs:
        return ""
    box = lattice.boundingbox
    return in_degrees(crs_text(lattice), (box.left + box.right) / 2, (box.bottom + box.top) / 2)
