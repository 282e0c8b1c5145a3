"""Shares of the mapped class by polygon.

TABLE.gpkg, TABLE.geojson and TABLE.parquet hold the polygons, too.

A pixel belongs to a polygon that holds its centre, and counts with its geodesic area. Every tile is read once, in rows
of blocks, whatever the number of polygons; polygons may overlap.
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Sequence

import geopandas
import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.geo.ellipsoid import PixelAreas
from jointseg_jax.geo.ellipsoid import area as geodesic_area
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.reproject import longest_side, reproject, transformer
from jointseg_jax.geo.vectors import AREAL, layers_with
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.tile_record import TileRow
from jointseg_jax.rasters.burn import burn
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window, crop
from jointseg_jax.rasters.reader import Handles, read_window

_ROWS = 512  # read at once: a row of the product's blocks
_MARGIN = 2000.0  # metres around a tile within which polygons are kept
_BOX = ("west", "south", "east", "north")
_DEFAULT = Label.of_record({})


@dataclasses.dataclass
class _Sums:
    """Sums per polygon: m2 mapped, m2 impervious, pixels mapped."""

    mapped: np.ndarray
    impervious: np.ndarray
    pixels: np.ndarray


def columns(label: Label) -> tuple[str, ...]:
    """The columns that `zonal` adds."""
    return ("area_km2", "mapped_km2", label.column, "share", "coverage", "pixels", *_BOX)


def read_polygons(path: str | os.PathLike[str], name: str | None, label: Label = _DEFAULT) -> geopandas.GeoDataFrame:
    """Reads the polygons of all layers of a file, with names, made valid, in the CRS of the first such layer.

    Args:
        path: see `vectors.read_layers`.
        name: the column that names them; by default all columns but the geometry are kept, and with several layers of
            polygons the column `layer` names the layer.
        label: of the product: no column may have the name of one that `zonal` adds.

    Raises:
        InputError: the file is unreadable, or holds other geometries.
    """
    path = pathlib.Path(path)
    layers = layers_with(path)
    tables = []
    for layer in layers:
        table, shown = layer.table, f"layer {layer.name!r} of {path}"
        if name is not None and name not in table.columns:
            known = ", ".join(c for c in table.columns if c != table.geometry.name)
            raise InputError(f"{shown} has no column {name!r}: choose one with --name (columns: {known or 'none'})")
        clash = [c for c in table.columns if c in columns(label)]
        if clash and name is None:
            raise InputError(
                f"{shown} has columns that the table adds itself ({', '.join(clash)}): rename them, or keep one other "
                "column with --name"
            )
        wrong = sorted(set(layer.kinds) - set(AREAL))
        if wrong:
            raise InputError(f"{shown} contains {', '.join(wrong)} besides polygons: remove all but polygons")
        fields = table[[name]] if name is not None else table.drop(columns=table.geometry.name)
        if len(layers) > 1 and "layer" not in fields:
            fields = fields.assign(layer=layer.name)
        shapes = [polygonal(s) for s in table.geometry.fillna(shapely.Polygon())]
        own = geopandas.GeoDataFrame(fields.reset_index(drop=True), geometry=shapes, crs=table.crs)
        tables.append(own.to_crs(layers[0].table.crs))
    together = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
    if together.geometry.is_empty.all():
        raise InputError(f"{path} contains only empty polygons: give polygons with an area")
    return together


def zonal(
    product: str | os.PathLike[str], tiles: Sequence[TileRow], polygons: geopandas.GeoDataFrame, label: Label = _DEFAULT
) -> pd.DataFrame:
    """Computes area and share of the label in every polygon.

    Args:
        product: folder of the product.
        tiles: its rows.
        polygons: see `read_polygons`.
        label: of the product; names the column of its area.

    Returns:
        The polygons' own columns, then `area_km2` of the polygon, `mapped_km2` of valid pixels in it, the label's area
        such as `impervious_km2`, `share` = its share of the mapped area (NaN if nothing was mapped), `coverage` =
        mapped / area, `pixels` mapped, and the polygon's box in degrees.

    Raises:
        InputError: a tile is unreadable.
    """
    product = pathlib.Path(product)
    count = len(polygons)
    sums = _Sums(np.zeros(count), np.zeros(count), np.zeros(count, np.int64))
    dense = polygons.geometry.segmentize(longest_side(polygons.crs)).map(polygonal)
    handles = Handles(limit=4)
    try:
        for epsg in sorted({t.epsg for t in tiles}):
            members = [t for t in tiles if t.epsg == epsg]
            numbers, shapes = in_zone(dense, [t.bounds for t in members], epsg)
            tree = shapely.STRtree(shapes)
            for tile in members:
                _add_tile(product, tile, numbers, shapes, tree, sums, handles)
    finally:
        handles.close()
    degrees = dense.to_crs(4326)
    area = np.array([geodesic_area(s, step=math.inf) for s in degrees], float)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "area_km2": area / 1e6,
            "mapped_km2": sums.mapped / 1e6,
            label.column: sums.impervious / 1e6,
            "share": sums.impervious / sums.mapped,
            "coverage": sums.mapped / area,
            "pixels": sums.pixels,
        }
    boxes = degrees.bounds.to_numpy()
    found |= dict(zip(_BOX, boxes.T, strict=True))
    own = pd.DataFrame(polygons.drop(columns=polygons.geometry.name))
    return pd.concat([own, pd.DataFrame(found)], axis=1)


def in_zone(
    dense: geopandas.GeoSeries, boxes: Sequence[tuple[float, float, float, float]], epsg: int | str
) -> tuple[np.ndarray, list[shapely.Geometry]]:
    """Numbers and shapes of the polygons near some ground, clipped there, in its CRS.

    They are clipped before the transformation: a projection is undefined far outside its zone.

    Args:
        dense: polygons, with sides no longer than `longest_side`.
        boxes: of the ground: west, south, east, north in its CRS.
        epsg: of the ground.
    """
    corners = np.array(boxes)
    west, south = (float(v) - _MARGIN for v in corners[:, :2].min(0))
    east, north = (float(v) + _MARGIN for v in corners[:, 2:].max(0))
    crs = dense.crs.to_wkt()
    box = transformer(epsg, crs).transform_bounds(west, south, east, north, densify_pts=51)
    pieces = [box] if box[0] <= box[2] else [(box[0], box[1], 180.0, box[3]), (-180.0, box[1], box[2], box[3])]
    numbers, shapes = [], []
    for number, shape in enumerate(dense):
        for piece in pieces:
            part = _within(shape, shapely.box(*piece))
            if not part.is_empty:
                numbers.append(number)
                moved = reproject(part, crs, epsg, math.inf)
                shapes.append(polygonal(moved))  # rounding may make nearly touching sides cross
    return np.asarray(numbers, int), shapes


def _within(shape: shapely.Geometry, box: shapely.Polygon) -> shapely.Geometry:
    """Clips polygons to a box; `clip_by_rect` may return parts outside it if a side runs through a corner."""
    return polygonal(shapely.intersection(shape, box))


def _add_tile(
    product: pathlib.Path,
    tile: TileRow,
    numbers: np.ndarray,
    shapes: Sequence[shapely.Geometry],
    tree: shapely.STRtree,
    sums: _Sums,
    handles: Handles,
) -> None:
    west, south, east, north = tile.bounds
    near = tree.query(shapely.box(west, south, east, north))
    around = shapely.box(west - 2, south - 2, east + 2, north + 2)
    parts = [(int(numbers[i]), _within(shapes[i], around)) for i in near]  # once, because polygons may be large
    lattice = tile.lattice("impervious")
    areas = PixelAreas(lattice)
    height, width = lattice.shape
    for top in range(0, height, _ROWS) if len(near) else ():
        window = Window(top, 0, min(_ROWS, height - top), width)
        classes = read_window(handles.get(str(product / tile.files["impervious"].path)), window)[0][..., 0]
        strip = crop(lattice, window)
        area = areas.columns(window)
        for number, part in parts:
            _add_strip(classes, strip, area, part, number, sums)


def _add_strip(
    classes: np.ndarray, strip: GeoBox, area: np.ndarray, shape: shapely.Geometry, number: int, sums: _Sums
) -> None:
    """Adds the part of a strip inside a polygon; burns only the pixels that the polygon touches."""
    box = strip.boundingbox
    part = _within(shape, shapely.box(box.left - 2, box.bottom - 2, box.right + 2, box.top + 2))
    if part.is_empty:
        return
    height, width = classes.shape
    left, bottom, right, top = part.bounds
    c0, c1 = max(0, int(left - box.left) - 1), min(width, int(right - box.left) + 2)
    r0, r1 = max(0, int(box.top - top) - 1), min(height, int(box.top - bottom) + 2)
    if c0 >= c1 or r0 >= r1:
        return
    window = Window(r0, c0, r1 - r0, c1 - c0)
    inside = burn([(part, 1)], np.zeros((r1 - r0, c1 - c0), np.uint8), crop(strip, window).affine).astype(bool)
    seen = classes[window.slices()]
    mapped = (inside & (seen != IGNORE)).sum(0)
    impervious = (inside & (seen == 1)).sum(0)
    sums.mapped[number] += mapped @ area[c0:c1]
    sums.impervious[number] += impervious @ area[c0:c1]
    sums.pixels[number] += int(mapped.sum())


if __name__ == "__main__":
    cli.run_command("zonal")
