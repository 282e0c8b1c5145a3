"""Writes a user's array into a raster file, so that it is read and checked as every other raster."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj.exceptions import CRSError

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.rasters.writer import Layout, write_raster

_DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def write_array(
    path: str | os.PathLike[str],
    array: np.ndarray,
    bands: Sequence[str],
    *,
    transform: Any = None,
    crs: Any = None,
    nodata: float | None = None,
    scale: float | None = None,
    offset: float | None = None,
    tags: Mapping[str, Any] | None = None,
) -> None:
    """Writes an array with its place on the ground.

    Args:
        path: of the file.
        array: `[bands, height, width]`, or `[height, width]` of one band.
        bands: their names.
        transform: from column and row to x and y: an `affine.Affine`, or its six numbers a, b, c, d, e, f. None for
            pixels of 10 m from the corner 0, 0, if there is no CRS either.
        crs: "EPSG:32650", its number, or any object of pyproj, rasterio or odc-geo.
        nodata: number that marks absence.
        scale, offset: value = number * scale + offset, as in the header of a GeoTIFF.
        tags: metadata of the file.

    Raises:
        InputError: an argument cannot be used.
    """
    stack = np.asarray(array)
    stack = stack[None] if stack.ndim == 2 else stack
    if stack.ndim != 3 or not stack.size or len(stack) != len(bands):
        raise InputError(
            f"the array has the shape {np.shape(array)}, but [bands, height, width] with {len(bands)} bands "
            f"({', '.join(bands)}) is expected: reorder its axes (numpy.moveaxis), or name its bands (bands=...)"
        )
    if stack.dtype.name not in _DTYPES:
        raise InputError(
            f"the array holds {stack.dtype.name}, but a raster holds {', '.join(_DTYPES)}: convert it, such as by "
            "array.astype('float32')"
        )
    lattice = GeoBox(stack.shape[1:], _transform(transform, crs), _crs(crs))
    layout = Layout(lattice, stack.dtype.name, tuple(bands), nodata, tags or {}, scale, offset)
    write_raster(path, np.moveaxis(stack, 0, -1), layout)


def _transform(given: Any, crs: Any) -> Affine:
    if given is None:
        if crs is not None:
            raise InputError("the array has a CRS but no transform: give both, or neither for a map without a place")
        return Affine(COARSE_SPACING, 0, 0, 0, -COARSE_SPACING, 0)
    try:
        numbers = [float(v) for v in tuple(given)[:6]]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"transform={given!r} is no affine transform: give an affine.Affine, such as rasterio's dataset.transform"
        )
    return Affine(*numbers)


def _crs(given: Any) -> CRS | None:
    if given is None:
        return None
    try:
        return CRS(given)
    except (CRSError, TypeError, ValueError, AttributeError) as error:  # pyproj's, or the object's own
        raise InputError(f"crs={given!r} is no coordinate reference system: give one such as 'EPSG:32650'") from error
