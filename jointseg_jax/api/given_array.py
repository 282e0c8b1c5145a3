"""A scene given as an array: written into a file, so that it is checked and read as every other scene."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  # adds the accessor `rio`
import xarray as xr

from jointseg_jax.api.array_file import write_array
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality


def write_given(
    folder: pathlib.Path,
    scene: Any,
    modality: Modality,
    *,
    transform: Any,
    crs: Any,
    bands: Sequence[Any] | None,
    nodata: float | None,
    scale: float | None,
    offset: float | None,
) -> pathlib.Path:
    """Writes an array as a raster; what the arguments leave open a `DataArray` states itself.

    Returns:
        The path of the raster, in `folder`.

    Raises:
        InputError: an argument cannot be used.
    """
    tags: dict[str, Any] = {}
    if isinstance(scene, xr.Dataset):
        raise InputError("the scene is an xarray.Dataset: give one array of its bands (dataset.to_array('band'))")
    if not hasattr(scene, "__array__"):
        raise InputError(f"the scene is a {type(scene).__name__}: give a path, a NumPy array or an xarray.DataArray")
    if isinstance(scene, xr.DataArray):
        known = _stated(scene)
        transform, crs = (known["transform"], known["crs"]) if transform is None and crs is None else (transform, crs)
        bands = known["bands"] if bands is None else bands
        nodata, scale = (known["nodata"] if nodata is None else nodata), (known["scale"] if scale is None else scale)
        offset, tags = (known["offset"] if offset is None else offset), known["tags"]
        scene = scene.values
    stack = np.asarray(scene)
    names = modality.bands if bands is None else tuple(map(str, bands))
    path = folder / "array.tif"
    write_array(
        path, stack, names, transform=transform, crs=crs, nodata=nodata, scale=scale, offset=offset, tags=tags
    )  # fmt: skip
    return path


def _stated(scene: xr.DataArray) -> dict[str, Any]:
    """What a `DataArray` says of itself, in the terms of `write_array`."""
    others = [dim for dim in scene.dims if dim not in (scene.rio.x_dim, scene.rio.y_dim)]
    if len(others) > 1 or scene.dims[-2:] != (scene.rio.y_dim, scene.rio.x_dim):
        raise InputError(
            f"the array has the dimensions {scene.dims}, but (band, y, x) are expected: select one date, and transpose"
        )
    crs = scene.rio.crs
    tags = {k: v for k, v in scene.attrs.items() if k.isupper() and isinstance(v, str | int | float)}
    return {
        "crs": None if crs is None else crs.to_wkt(),
        "transform": None if crs is None else scene.rio.transform(),
        "bands": _names(scene, others[0] if others else None),
        "nodata": scene.rio.nodata,
        "scale": scene.attrs.get("scale_factor"),
        "offset": scene.attrs.get("add_offset"),
        "tags": tags,
    }


def _names(scene: xr.DataArray, axis: Any) -> tuple[str, ...] | None:
    """Names of the bands: rioxarray's `long_name`, or texts along the axis; None if there are none."""
    given = scene.attrs.get("long_name")
    if isinstance(given, tuple | list) and all(given):
        return tuple(map(str, given))
    if axis is not None and axis in scene.coords and scene.coords[axis].dtype.kind in "UOT":
        return tuple(map(str, scene.coords[axis].values))
    return (given,) if isinstance(given, str) and axis is not None and scene.sizes[axis] == 1 else None
