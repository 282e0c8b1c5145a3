"""Checks that the pixels of a lattice are squares in metres of a UTM zone, and suggests the gdalwarp command if not."""

import functools
import math
import shlex

import numpy as np
import pyproj
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import TOLERANCE, crs_name, is_north_up, is_placed, spacing_of

# A pixel of 10 m may be 5 cm wrong. Within its zone UTM stays within 0.1 % of the ground, and within 0.5 % up to 700 km
# from its meridian.
MOST_DISTORTED = 0.005
_BASE = 1000.0  # metres over which a scale is measured
_UTM = {"Latitude of natural origin": 0.0, "Scale factor at natural origin": 0.9996, "False easting": 500_000.0}
# Datums on these ellipsoids (WGS 84, ETRS89, NAD83, GDA94, SIRGAS 2000, JGD2011, ...) are realisations of one frame and
# agree within some metres. Older datums (NAD27, ED50, Tokyo) lie up to hundreds of metres off.
_SEMI_MAJOR, _FLATTENINGS = 6_378_137.0, (298.257222101, 298.257223563)  # GRS 1980, WGS 84
_FINER = 0.95  # of the spacing: smaller pixels are averaged
_HIGHEST = 84.0  # degrees, where UTM ends
_DEGREE = 111_320.0  # metres of latitude
_GEOD = pyproj.Geod(ellps="WGS84")


class NotMetric(InputError):
    """The lattice is a valid grid, but its pixels are not squares of the expected size in metres."""


def check_grid(lattice: GeoBox, where: str, *, spacing: float = 10.0) -> None:
    """Raises `InputError` unless a lattice is finite and north-up, in any CRS or none.

    Args:
        lattice: of a raster.
        where: its path.
        spacing: pixel size that the message suggests, metres.
    """
    _check_transform(lattice, where)
    if not is_north_up(lattice):
        raise InputError(f"{where} is rotated or flipped: {warp_advice(lattice, where, spacing)}")


def check_metric(lattice: GeoBox, spacing: float | None, where: str, *, classes: bool = False) -> None:
    """Raises `NotMetric` unless the lattice is north-up with square pixels of `spacing` metres in a UTM zone.

    Args:
        lattice: of a raster.
        spacing: metres; None for the raster's own.
        where: path of the raster.
        classes: it holds classes, which advice must not tell to average.
    """
    if spacing is None:
        spacing = _own_spacing(lattice)
    check_grid(lattice, where, spacing=spacing)
    check_placed(lattice, where)
    assert lattice.crs is not None
    name = crs_name(lattice)
    crs = _crs(lattice.crs.to_wkt())
    advice = warp_advice(lattice, where, spacing, classes=classes)
    if lattice.crs.geographic:
        raise NotMetric(f"{where} is in {name} (degrees), but pixels of {spacing:g} m are needed: {advice}")
    units = {axis.unit_name for axis in _horizontal(crs).axis_info if axis.unit_conversion_factor != 1}
    if units:
        raise NotMetric(f"{where} is in {name}, whose unit is {', '.join(sorted(units))}, not metre: {advice}")
    a, _, _, _, e, _ = lattice.affine[:6]
    if abs(a + e) > TOLERANCE:
        raise NotMetric(f"{where} has non-square pixels ({a:g} x {-e:g}): {advice}")
    if abs(a - spacing) > TOLERANCE:
        raise NotMetric(f"{where} has pixels of {a:g} m, but {spacing:g} m are needed: {advice}")
    scales = scales_of(lattice)
    if not np.isfinite(scales).all():
        raise NotMetric(f"{where} lies outside the area where {name} is defined: correct its CRS or its corners")
    worst = scales[np.argmax(np.abs(scales - 1))]
    if abs(worst - 1) > MOST_DISTORTED:
        raise NotMetric(
            f"{where} is in {name}, where a pixel of {spacing:g} m is {spacing / worst:.4g} m on the ground: {advice}"
        )
    if not is_utm(lattice.crs.to_wkt()):
        raise NotMetric(f"{where} is in {name} ({crs.name}), but must be in a UTM zone of WGS 84 or ETRS89: {advice}")


def check_placed(lattice: GeoBox, where: str) -> None:
    """Raises `InputError` unless the raster has a place on the Earth: a finite geotransform and a CRS of the Earth."""
    _check_transform(lattice, where)
    if lattice.crs is None:
        raise NotMetric(
            f"{where} has no CRS (never assigned, or the header is damaged): assign one with gdal_edit.py -a_srs "
            "EPSG:..."
        )
    if not is_placed(lattice):
        raise NotMetric(
            f"{where} has the CRS {_crs(lattice.crs.to_wkt()).name!r}, which does not refer to the Earth: assign the "
            f"true one (gdal_edit.py -a_srs EPSG:... {shlex.quote(where)})"
        )


def _check_transform(lattice: GeoBox, where: str) -> None:
    numbers = lattice.affine[:6]
    if not all(math.isfinite(v) for v in numbers):
        raise InputError(
            f"{where} has a geotransform that is not finite ({', '.join(f'{v:g}' for v in numbers)}): set its true "
            f"corners (gdal_edit.py -a_ullr LEFT TOP RIGHT BOTTOM {shlex.quote(where)})"
        )
    if lattice.affine.is_identity:
        raise InputError(
            f"{where} has no geotransform: set its corners (gdal_edit.py -a_ullr LEFT TOP "
            f"RIGHT BOTTOM {shlex.quote(where)})"
        )


def scales_of(lattice: GeoBox) -> np.ndarray:
    """Ratio of lattice to ellipsoid length, along rows, columns and diagonals, at corners and centre.

    The lattice is in projected metres. Where the projection is undefined the result is infinite or NaN.
    """
    height, width = lattice.shape
    cols, rows = np.array([0.5, 0, 1, 0, 1]) * width, np.array([0.5, 0, 0, 1, 1]) * height
    x, y = _at(lattice, cols, rows)
    angles = np.arange(4)[:, None] * np.pi / 4
    dx, dy = _BASE / 2 * np.cos(angles), _BASE / 2 * np.sin(angles)
    from_lon, from_lat = _to_degrees(lattice, x - dx, y - dy)
    to_lon, to_lat = _to_degrees(lattice, x + dx, y + dy)
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.asarray(_GEOD.inv(from_lon, from_lat, to_lon, to_lat)[2])
        return np.ravel(_BASE / length)


def is_utm(crs: str) -> bool:
    """Whether a CRS is a UTM zone in metres on WGS 84, ETRS89 or another realisation of that frame (MGA counts).

    Args:
        crs: `EPSG:n`, WKT or other text; False if PROJ does not know it.
    """
    try:
        flat = _horizontal(_crs(crs))
    except pyproj.exceptions.CRSError:
        return False
    operation, ellipsoid = flat.coordinate_operation, flat.ellipsoid
    if operation is None or operation.method_name != "Transverse Mercator" or ellipsoid is None:
        return False
    if any(axis.unit_conversion_factor != 1 for axis in flat.axis_info):
        return False
    if abs(ellipsoid.semi_major_metre - _SEMI_MAJOR) > 0.01:
        return False
    if min(abs(ellipsoid.inverse_flattening - f) for f in _FLATTENINGS) > 1e-6:
        return False
    given = {p.name: float(p.value) for p in operation.params}
    meridian = given.get("Longitude of natural origin", math.nan)
    return (
        all(given.get(name) == value for name, value in _UTM.items())
        and given.get("False northing") in (0.0, 10_000_000.0)
        and (meridian + 183) % 6 == 0
    )


def warp_command(
    lon: float, lat: float, spacing: float, where: str, *, options: str = "", method: str = "cubic"
) -> str:
    """The gdalwarp command that warps a raster to the UTM zone of a place; empty outside UTM.

    Args:
        lon, lat: degrees.
        spacing: of pixels, metres.
        where: path of the raster.
        options: further options.
        method: of resampling.
    """
    zone = utm_zone(lon, lat)
    if zone is None:
        return ""
    size = f"{spacing:g} {spacing:g}"
    return f"gdalwarp {options}-t_srs {zone} -tr {size} -tap -r {method} {shlex.quote(where)} warped.tif"


def utm_crs(lattice: GeoBox, where: str) -> str:
    """The UTM zone of WGS 84, as `EPSG:n`, in which the centre of a lattice lies.

    Args:
        lattice: with a place on the Earth, see `check_placed`.
        where: path of the raster, for messages.

    Raises:
        InputError: it lies beyond UTM.
    """
    zone = utm_zone(*_centre(lattice))
    if zone is None:
        raise InputError(f"{where} lies outside the area that UTM covers: correct its CRS or its corners")
    return zone


def utm_zone(lon: float, lat: float) -> str | None:
    """The UTM zone of WGS 84, as `EPSG:n`, of a place in degrees; None beyond UTM, or if a coordinate is not finite."""
    if not (-180 <= lon <= 180 and abs(lat) <= _HIGHEST):
        return None
    return f"EPSG:{(32600 if lat >= 0 else 32700) + min(int((lon + 180) // 6) + 1, 60)}"


def _centre(lattice: GeoBox) -> tuple[float, float]:
    """Longitude and latitude of the centre of a lattice."""
    height, width = lattice.shape
    lon, lat = _to_degrees(lattice, *_at(lattice, np.array([width / 2]), np.array([height / 2])))
    return float(lon[0]), float(lat[0])


def without_geotransform(dataset: DatasetReader) -> str:
    """The error message, with advice, for a raster that has control points or RPCs but no geotransform."""
    points, crs = dataset.gcps
    if points and crs is not None:
        lon, lat = pyproj.Transformer.from_crs(crs.to_wkt(), 4326, always_xy=True).transform(
            [p.x for p in points], [p.y for p in points]
        )
        centre = float(np.mean(lon)), float(np.mean(lat))
        metres = (np.ptp(lat) / max(np.ptp([p.row for p in points]), 1)) * _DEGREE
        what, options = "control points", ""
    elif dataset.rpcs:
        rpcs = dataset.rpcs
        centre = rpcs.long_off, rpcs.lat_off
        metres = rpcs.lat_scale / rpcs.line_scale * _DEGREE
        what, options = "RPCs", "-rpc "
    else:
        return f"{dataset.name} has control points without a CRS: assign it (gdal_translate -gcp ... -a_srs EPSG:...)"
    spacing = min((1.0, 10.0, 20.0, 60.0), key=lambda s: abs(math.log(s / max(metres, 1e-9))))
    command = warp_command(*centre, spacing, str(dataset.name), options=options)
    return (
        f"{dataset.name} has {what} but no geotransform, so its pixels do not form a regular grid: warp it "
        f"({command or 'gdalwarp'})"
    )


def warp_advice(lattice: GeoBox, where: str, spacing: float, *, classes: bool = False) -> str:
    """Advice, with a gdalwarp command, for a lattice that is not in UTM with pixels of `spacing` metres."""
    a, b, _, d, e, _ = lattice.affine[:6]
    flipped = b == d == 0 and not is_north_up(lattice) and abs(abs(a) - spacing) + abs(abs(e) - spacing) < TOLERANCE
    if flipped and lattice.crs is not None and lattice.crs.projected:  # the same pixels in another order
        return f"make it north-up (gdalwarp -tr {spacing:g} {spacing:g} -r near {shlex.quote(where)} turned.tif)"
    command = ""
    if is_placed(lattice):
        finer = _pixel_side(lattice) < _FINER * spacing
        method = ("mode" if finer else "near") if classes else ("average" if finer else "cubic")
        command = warp_command(*_centre(lattice), spacing, where, method=method)
    return f"warp it ({command})" if command else "warp it to a north-up lattice in metres (gdalwarp)"


def _own_spacing(lattice: GeoBox) -> float:
    """Metres: the pixel size of a raster in a UTM zone, and of another about what its pixels measure on the ground."""
    if lattice.crs is not None and is_placed(lattice) and not is_utm(lattice.crs.to_wkt()):
        side = _pixel_side(lattice)
        if math.isfinite(side) and side > 0:
            return float(f"{side:.1g}")
    return spacing_of(lattice)


def _pixel_side(lattice: GeoBox) -> float:
    """Metres on the ground along a row of the middle pixel."""
    row, col = (side // 2 for side in lattice.shape)
    lon, lat = _to_degrees(lattice, *_at(lattice, np.array([col, col + 1]), np.array([row, row])))
    return float(_GEOD.inv(lon[0], lat[0], lon[1], lat[1])[2])


def _at(lattice: GeoBox, cols: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates of pixels' corners."""
    a, b, c, d, e, f = lattice.affine[:6]
    return a * cols + b * rows + c, d * cols + e * rows + f


def _to_degrees(lattice: GeoBox, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    assert lattice.crs is not None
    lon, lat = _transformer(lattice.crs.to_wkt()).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


def _horizontal(crs: pyproj.CRS) -> pyproj.CRS:
    """The horizontal part of a CRS, without heights and datum shifts."""
    if crs.is_compound:
        return _horizontal(crs.sub_crs_list[0])
    return _horizontal(crs.source_crs) if crs.is_bound and crs.source_crs is not None else crs


@functools.lru_cache(maxsize=32)
def _crs(wkt: str) -> pyproj.CRS:
    return pyproj.CRS.from_user_input(wkt)


@functools.lru_cache(maxsize=32)
def _transformer(wkt: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(_crs(wkt), 4326, always_xy=True)
