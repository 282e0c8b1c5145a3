"""Maps as `xarray.Dataset`: from arrays in memory, and from the files that `jointseg predict` writes."""

import os
import pathlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import rioxarray
import xarray as xr
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.values import decoded, is_class
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import crs_text
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.raster_files import dataset_lattice

if TYPE_CHECKING:
    from jointseg_jax.mapping.in_memory import Mapped

_CHUNK = {"x": 2048, "y": 2048}  # pixels of lazily read rasters
_FINE = ("impervious", "probability", "image", "confidence", "support", "set")
_COARSE = ("fraction", "dissimilarity")
_OWN_TAGS = ("AREA_OR_POINT", "OVR_RESAMPLING_ALG")  # GDAL's, not the map's


def read_map(folder: str | os.PathLike[str], *, epsg: int | None = None, spacing: int = 1) -> xr.Dataset:
    """Reads a map that `jointseg predict` or `Network.predict(..., output=...)` wrote.

    The values are read when they are used (Dask arrays), so a map may be larger than memory. They equal those of
    `Network.predict` to the bit.

    Args:
        folder: the map of a scene, or the product of an area.
        epsg: UTM zone of the product of an area, such as 32650; needed if it has several.
        spacing: 1 for the layers at 1 m; 10 for those at 10 m, which `uncertainty=True` writes.

    Returns:
        See `Network.predict`. At 10 m `fraction` (`part`: fraction, low, high) and `dissimilarity`, float32, NaN
        where nothing is known.

    Raises:
        InputError: there is no such map, it has several zones, or a file is damaged.
    """
    if spacing not in (1, FINE_FACTOR):
        raise InputError(
            f"spacing={spacing} must be 1 or {FINE_FACTOR}: the layers of a map have one of these in metres"
        )
    files = _files(pathlib.Path(folder), epsg)
    wanted = [name for name in (_FINE if spacing == 1 else _COARSE) if name in files]
    if not wanted:
        raise InputError(
            f"{folder} has no layers at {spacing} m: it has {', '.join(files)}; jointseg predict writes others"
        )
    layers: dict[str, xr.DataArray] = {}
    shared: dict[str, str] = {}
    lattice = None
    known = _stored(files["impervious"])[0][..., 0] != IGNORE
    for name in wanted:
        stored, lattice, tags, bands, scale, offset, nodata = _stored(files[name])
        if name == "impervious" or not shared:
            shared = tags
        if is_class(name):
            values = stored[..., 0]
        else:
            seen = known[..., None] if spacing == 1 else stored != nodata
            values = decoded(stored, seen, scale, offset)
            values = values[..., 0] if len(bands) == 1 else values
        layers[name] = _array(name, values, bands, _rest(tags, shared))
    assert lattice is not None
    return _dataset(layers, lattice, shared)


def in_memory(layers: Mapping[str, "Mapped"]) -> xr.Dataset:
    """The Dataset of a map in memory."""
    tags = {name: {k: str(v) for k, v in layer.raster.layout.tags.items()} for name, layer in layers.items()}
    shared = tags["impervious"]
    arrays = {
        name: _array(name, layer.values, layer.raster.layout.bands, _rest(tags[name], shared))
        for name, layer in layers.items()
    }
    return _dataset(arrays, layers["impervious"].raster.layout.lattice, shared)


def read_raster(path: str | os.PathLike[str]) -> xr.DataArray:
    """A raster of ours with its stored numbers, read when they are used: dims band, y, x, or y, x of one band."""
    stored, lattice, tags, bands, *_ = _stored(pathlib.Path(path))
    name = pathlib.Path(path).stem
    values = stored[..., 0] if len(bands) == 1 else stored
    return _dataset({name: _array(name, values, bands, tags)}, lattice, {})[name]


def placed(values: Any, dims: tuple[str, ...], lattice: GeoBox, coords: Mapping[str, Any], name: str) -> xr.DataArray:
    """An array of a lattice, with coordinates and CRS."""
    array = xr.DataArray(values, dims=dims, coords=dict(coords), name=name)
    return _located(array, lattice)


def _files(folder: pathlib.Path, epsg: int | None) -> dict[str, pathlib.Path]:
    """The rasters of a map by name."""
    found = {name: folder / f"{name}.tif" for name in (*_FINE, *_COARSE)}
    found = {name: path for name, path in found.items() if path.is_file()}
    if "impervious" in found:
        return found
    names = (re.fullmatch(r"(\w+)_(\d+)\.vrt", p.name) for p in sorted((folder / "mosaics").glob("*.vrt")))
    mosaics = [(match[1], int(match[2]), folder / "mosaics" / match[0]) for match in names if match]
    zones = sorted({zone for _, zone, _ in mosaics})
    if not zones:
        has = "is not a folder" if not folder.is_dir() else "has no impervious.tif and no mosaics"
        raise InputError(f"{folder} {has}: give the --output of jointseg predict (an area must be mapped to its end)")
    if (epsg is None and len(zones) > 1) or (epsg is not None and epsg not in zones):
        raise InputError(f"{folder} lies in the zones {', '.join(map(str, zones))}: choose one by epsg={zones[0]}")
    return {name: path for name, zone, path in mosaics if zone == (epsg or zones[0])}


def _stored(path: pathlib.Path) -> tuple[Any, GeoBox, dict[str, str], tuple[str, ...], float, float, float | None]:
    """Stored numbers [h, w, bands] (Dask), lattice, tags, band names, scale, offset and nodata of a raster."""
    with open_raster(path) as raster:  # as every raster: the content decides the driver
        lattice, tags = dataset_lattice(raster), {k: v for k, v in raster.tags().items() if k not in _OWN_TAGS}
        bands = tuple(name or str(number) for number, name in enumerate(raster.descriptions, start=1))
        scale, offset, nodata = raster.scales[0], raster.offsets[0], raster.nodata
    lazily = rioxarray.open_rasterio(path, chunks=_CHUNK, masked=False, mask_and_scale=False)
    assert isinstance(lazily, xr.DataArray)
    return lazily.transpose("y", "x", "band").data, lattice, tags, bands, scale, offset, nodata


def _array(name: str, values: Any, bands: tuple[str, ...], tags: Mapping[str, str]) -> xr.DataArray:
    attributes = {"long_name": bands[0] if len(bands) == 1 else name, **tags}
    if len(values.shape) == 2:
        array = xr.DataArray(values, dims=("y", "x"), name=name, attrs=attributes)
        return array.assign_attrs(_FillValue=np.uint8(IGNORE)) if is_class(name) else array
    axis = "part" if name == "fraction" else "band"
    moved = np.moveaxis(values, -1, 0)
    return xr.DataArray(moved, dims=(axis, "y", "x"), coords={axis: list(bands)}, name=name, attrs=attributes)


def _rest(tags: Mapping[str, str], shared: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if shared.get(key) != value}


def _dataset(layers: Mapping[str, xr.DataArray], lattice: GeoBox, attributes: Mapping[str, str]) -> xr.Dataset:
    return _located(xr.Dataset(dict(layers), attrs=dict(attributes)), lattice)


def _located(data: Any, lattice: GeoBox) -> Any:
    """Adds the centres of the pixels as `x` and `y`, the CRS and the transform."""
    height, width = lattice.shape
    a, _, left, _, e, top = lattice.affine[:6]
    data = data.assign_coords(x=left + a * (np.arange(width) + 0.5), y=top + e * (np.arange(height) + 0.5))
    if lattice.crs is not None:
        data = data.rio.write_crs(crs_text(lattice))
    return data.rio.write_transform(lattice.affine)
