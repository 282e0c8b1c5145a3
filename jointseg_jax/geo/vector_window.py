"""Reads the part of a vector file that lies on a site, by the file's spatial index."""

import dataclasses
import errno
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pyogrio
import pyproj
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.vectors import VectorLayer, check_file, flat, is_osm, reading
from jointseg_jax.storage.files import atomic_path
from jointseg_jax.storage.locks import exclusive

_SMALL = 20 << 20  # bytes: such files are read in a second or two, and need no index
# Relations that are no areas (routes, restrictions); their ways are in the other layers.
_NO_GROUND = ("multilinestrings", "other_relations")
_EDGE_POINTS = 21  # per side of a box that is transformed


@dataclasses.dataclass(frozen=True)
class VectorWindow:
    """What a vector file has on some ground.

    Attributes:
        layers: the layers that may hold lines or areas, with the features whose box meets the ground.
        covered: the box that an OpenStreetMap extract declares to cover, in degrees; None if it declares none.
        only_points: the file has no other layers than points.
    """

    layers: tuple[VectorLayer, ...]
    covered: shapely.Polygon | None = None
    only_points: bool = False


@dataclasses.dataclass(frozen=True)
class _Listed:
    """A layer as its file lists it; `extent` is left, bottom, right, top, None if the layer is empty or unknown."""

    name: str
    crs: pyproj.CRS | None
    extent: tuple[float, ...] | None


def read_window(
    path: pathlib.Path, bounds: tuple[float, float, float, float], crs: str, scratch: pathlib.Path | None = None
) -> VectorWindow:
    """Reads the features of a vector file near a box. Layers of points are left out.

    Args:
        path: see `vectors.read_layers`; OpenStreetMap's `.osm` and `.osm.pbf` too.
        bounds: left, bottom, right, top in `crs`.
        crs: of `bounds`, projected, in metres.
        scratch: folder for the indexed copy of a large file whose format has no spatial index, which is made once;
            None reads such a file whole.

    Raises:
        InputError: see `vectors.read_layers` and `VectorLayer.check_crs`; or the file has features, but none of its
            layers reaches the box.
    """
    check_file(path)
    source = path if scratch is None else _indexed(path, scratch)
    with reading(path):
        listed = _list(source)
        covered = _declared(path)
        tables = [(entry, *_read(source, entry, bounds, crs)) for entry in listed]
    layers = []
    for entry, table, _ in tables:
        layer = VectorLayer(path, entry.name, table)
        layer.check_crs(_corners(entry.extent))
        layers.append(layer)
    extents = [reaches for _, _, reaches in tables if reaches is not None]
    if extents and not any(extents):
        raise InputError(
            f"{path} has nothing on the site ({bounds[0]:.0f} to {bounds[2]:.0f} east, {bounds[1]:.0f} to "
            f"{bounds[3]:.0f} north in {crs}): give vectors of that ground, or correct their CRS"
        )
    return VectorWindow(tuple(layers), covered, only_points=not listed)


def window_box(bounds: tuple[float, float, float, float], crs: str, target: pyproj.CRS) -> tuple[float, ...]:
    """The box in another CRS around a box `bounds` (left, bottom, right, top); across the date line all longitudes."""
    to_layer = pyproj.Transformer.from_crs(crs, target, always_xy=True)
    left, bottom, right, top = to_layer.transform_bounds(*bounds, densify_pts=_EDGE_POINTS)
    return (left, bottom, right, top) if left <= right else (-180.0, bottom, 180.0, top)


def _list(source: pathlib.Path) -> list[_Listed]:
    """The layers with geometries other than points."""
    if source.suffix.lower() == ".parquet":
        return [_Listed(source.stem, *_parquet_extent(source))]
    found = pyogrio.list_layers(source)
    kinds = {str(name): kind for name, kind in found if kind is not None}
    if not kinds:
        raise InputError(
            f"{source} has no layer with geometries (its layers: {[str(n) for n, _ in found]}): give another file"
        )
    listed = []
    for name, kind in kinds.items():
        info = pyogrio.read_info(source, layer=name, force_total_bounds=not is_osm(source))
        if "Point" in kind or (is_osm(source) and name in _NO_GROUND):
            continue
        extent = info["total_bounds"]
        known = extent is not None and np.isfinite(extent).all() and info["features"] != 0
        listed.append(_Listed(name, info["crs"] and pyproj.CRS(info["crs"]), tuple(extent) if known else None))
    return listed


def _read(
    source: pathlib.Path, entry: _Listed, bounds: tuple[float, float, float, float], crs: str
) -> tuple[geopandas.GeoDataFrame, bool | None]:
    """The features of a layer near a box, and whether the layer's extent reaches it; None if that is unknown."""
    if entry.crs is None or not (entry.crs.is_geographic or entry.crs.is_projected):
        return geopandas.GeoDataFrame(geometry=[], crs=entry.crs), None  # `check_crs` refuses it
    try:
        box = window_box(bounds, crs, entry.crs)
    except pyproj.exceptions.ProjError:
        return geopandas.GeoDataFrame(geometry=[], crs=entry.crs), None
    reaches = None if entry.extent is None else bool(shapely.box(*box).intersects(shapely.box(*entry.extent)))
    if source.suffix.lower() == ".parquet":
        table = geopandas.read_parquet(source)
        near = shapely.intersects(shapely.box(*table.geometry.bounds.to_numpy().T), shapely.box(*box))
        table = table[near | table.geometry.isna()]
    else:
        table = geopandas.read_file(source, layer=entry.name, bbox=box, on_invalid="fix")
    return flat(table.set_crs(entry.crs, allow_override=True)), reaches


def _corners(extent: tuple[float, ...] | None) -> np.ndarray:
    return np.zeros((0, 2)) if extent is None else np.array(extent).reshape(2, 2)


def _declared(path: pathlib.Path) -> shapely.Polygon | None:
    """The box in the header of an OpenStreetMap extract."""
    if not is_osm(path):
        return None
    extent = pyogrio.read_info(path, layer="lines")["total_bounds"]
    return shapely.box(*extent) if extent is not None and np.isfinite(extent).all() else None


def _parquet_extent(path: pathlib.Path) -> tuple[pyproj.CRS | None, tuple[float, ...] | None]:
    about = json.loads((pa.parquet.read_schema(path).metadata or {}).get(b"geo", b"{}"))
    column = about.get("columns", {}).get(about.get("primary_column", ""), {})
    crs = column.get("crs", "OGC:CRS84")  # the default of the format
    extent = column.get("bbox")
    return crs and pyproj.CRS(crs), tuple(extent[:2] + extent[len(extent) // 2 :][:2]) if extent else None


def _indexed(path: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    """The file itself, or its copy as GeoPackage if it is large and its format has no spatial index."""
    if path.is_dir() or path.stat().st_size < _SMALL:
        return path
    with reading(path):
        parquet = path.suffix.lower() == ".parquet"
        names = [] if parquet else [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if names and pyogrio.read_info(path, layer=names[0])["capabilities"]["fast_spatial_filter"]:
            return path
    status = path.stat()
    mark = hashlib.sha256(f"{path.absolute()} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
    copy = scratch / f"{path.name.split('.')[0]}-{mark}.gpkg"
    if copy.exists():
        return copy
    with exclusive(scratch, "preparation", wait=True):
        if not copy.exists():  # another process may have made it meanwhile
            with atomic_path(copy) as target:
                _copy(path, [n for n in names if not (is_osm(path) and n in _NO_GROUND)], target)
    return copy


def _copy(path: pathlib.Path, names: list[str], target: pathlib.Path) -> None:
    """Copies layers into a GeoPackage, a batch of features at a time; raises `OSError` if not all arrive."""
    if not names:
        with reading(path):
            table = geopandas.read_parquet(path)
            pyogrio.write_dataframe(table, target, layer=path.stem, driver="GPKG")
        _check_copied(target, path.stem, len(table))
    for number, name in enumerate(names):
        rows = 0

        def counted(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for batch in reader:
                rows += batch.num_rows
                yield batch

        with reading(path), pyogrio.open_arrow(path, layer=name, use_pyarrow=True) as (about, reader):
            pyogrio.write_arrow(
                pa.RecordBatchReader.from_batches(reader.schema, counted(reader)),
                target,
                layer=name,
                driver="GPKG",
                geometry_name=about["geometry_name"] or "wkb_geometry",
                geometry_type=about["geometry_type"],
                crs=about["crs"],
                append=number > 0,
            )
        _check_copied(target, name, rows)


def _check_copied(target: pathlib.Path, layer: str, rows: int) -> None:
    """GDAL's driver is silent on a full disk."""
    if pyogrio.read_info(target, layer=layer)["features"] != rows:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
