"""Reads the area of interest: the polygons of a vector file, in degrees."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

import geopandas
import numpy as np
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.antimeridian import cut_at_180
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.reproject import longest_side
from jointseg_jax.geo.vectors import AREAL, VectorLayer, layers_with


def read_area(path: str | os.PathLike[str], *, say: Callable[[str], None] = print) -> shapely.Geometry:
    """Reads the union of the polygons in all layers of a file, in longitude and latitude.

    Lines and points are skipped in a file with polygons.

    Args:
        path: GeoJSON, GeoPackage, shapefile, KML, GeoParquet: see `vectors.read_layers`.
        say: receives a line if several layers are merged or features are skipped.

    Raises:
        InputError: the file is missing, unreadable, without a CRS on the Earth, or without an area.
    """
    path = pathlib.Path(path)
    layers = layers_with(path)
    _say_what_counts(path, layers, say)
    found = polygonal(shapely.union_all([_in_degrees(layer) for layer in layers]))
    if found.is_empty:
        raise InputError(f"{path} has only empty polygons: draw the area of interest as a polygon")
    return found


def read_regions(path: str | os.PathLike[str], name: str | None) -> dict[str, shapely.Geometry]:
    """Reads the polygons of a file by the value of a column, in longitude and latitude.

    Args:
        path: see `read_area`.
        name: of the column; None for one region named as the file.

    Raises:
        InputError: see `read_area`; or the file has no such column, or an empty cell in it.
    """
    path = pathlib.Path(path)
    if name is None:
        return {path.stem: read_area(path, say=lambda line: None)}
    found: dict[str, list[shapely.Geometry]] = {}
    for layer in layers_with(path):
        columns = [str(column) for column in layer.table.columns if column != layer.table.geometry.name]
        if name not in columns:
            raise InputError(f"layer {layer.name!r} of {path} has no column {name!r}; its columns are {columns}")
        if layer.table[name].isna().any():
            raise InputError(f"layer {layer.name!r} of {path} has an empty cell in column {name!r}: fill it in")
        for value, rows in layer.table.groupby(name, sort=True):
            found.setdefault(str(value), []).append(_in_degrees(dataclasses.replace(layer, table=rows)))
    regions = {value: polygonal(shapely.union_all(parts)) for value, parts in found.items()}
    empty = [value for value, ground in regions.items() if ground.is_empty]
    if empty:
        raise InputError(f"{path} has no area for {empty}: draw each region as a polygon")
    return regions


def _in_degrees(layer: VectorLayer) -> shapely.Geometry:
    # Repaired in the layer's CRS, because a polygon across 180 degrees is invalid in degrees until it is cut there.
    crs = layer.table.crs
    shapes = [polygonal(s) for s in layer.table.geometry if s is not None and not s.is_empty]
    ground = geopandas.GeoSeries(shapes, crs=crs)
    if crs.is_projected:  # only vertices are transformed, and straight sides bend in degrees
        ground = ground.segmentize(longest_side(crs))
    ground = ground.to_crs(4326)
    if not np.isfinite(shapely.get_coordinates(ground.values)).all():
        raise InputError(
            f"layer {layer.name!r} of {layer.path} lies outside the area where its CRS {crs.name!r} is defined: assign "
            "the CRS of its coordinates (ogr2ogr -a_srs EPSG:...)"
        )
    if crs.is_projected:  # polygons drawn in degrees may span the whole world
        ground = ground.map(lambda s: polygonal(cut_at_180(s)))
    return shapely.union_all(list(ground))


def _say_what_counts(path: pathlib.Path, layers: Sequence[VectorLayer], say: Callable[[str], None]) -> None:
    if len(layers) > 1:
        say(f"aoi     uses the polygons of {len(layers)} layers of {path}: {', '.join(x.name for x in layers)}")
    features = sum(len(layer.table) for layer in layers)
    without = features - sum(int(layer.table.geom_type.isin(AREAL).sum()) for layer in layers)
    if without:
        say(f"aoi     {without} of {features} features are not polygons and are ignored")
