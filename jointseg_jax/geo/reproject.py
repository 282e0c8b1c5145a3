"""Transforms geometries between CRSs. Only vertices are transformed, so long sides get more of them first."""

import functools
import math
from typing import Any

import pyproj
import shapely

CHORD = 1000.0  # metres: longest side that is transformed by its ends; the error is centimetres
_DEGREE = 111_320.0  # metres per degree


def reproject(geometry: Any, source: int | str, target: int | str, step: float) -> Any:
    """Transforms a geometry, x (or longitude) first.

    Args:
        geometry: in the CRS `source`; one, or an array of them.
        source, target: EPSG numbers, or text that PROJ knows.
        step: longest side, in units of `source`, that is transformed by its two ends alone; infinite for no limit.

    Returns:
        The geometry or geometries; vertices that `target` cannot express are infinite.
    """
    dense = shapely.segmentize(geometry, step) if math.isfinite(step) else geometry
    if source == target:
        return dense
    return shapely.transform(dense, transformer(source, target).transform, interleaved=False)


def bounds_of(ground: shapely.Geometry, crs: str) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of polygons in degrees, in a CRS; infinite where that is not defined."""
    left, bottom, right, top = reproject(ground, 4326, crs, CHORD / _DEGREE).bounds
    return left, bottom, right, top


@functools.lru_cache(maxsize=128)
def transformer(source: int | str, target: int | str) -> pyproj.Transformer:
    """From CRS to CRS, x (or longitude) first."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def longest_side(crs: pyproj.CRS) -> float:
    """`CHORD` in units of a CRS."""
    if crs.is_geographic:
        return CHORD / _DEGREE
    return CHORD / float(crs.axis_info[0].unit_conversion_factor)
