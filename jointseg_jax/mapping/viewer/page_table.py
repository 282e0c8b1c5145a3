"""The table of polygons on the page: rows, boxes, and the polygons themselves where the table holds them."""

import math
import pathlib
from collections.abc import Callable
from typing import Any

import geopandas
import numpy as np
import shapely

from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.geo.vectors import read_layers
from jointseg_jax.mapping.tools.zonal_table import FORMATS, as_written

_BOX = ("west", "south", "east", "north")
_HIDDEN = (*_BOX, "pixels")
_CLOSE = 1e-5  # degrees, about a metre: how far a drawn side may be from the polygon's
_DIGITS = 6
_MOST_VERTICES = 200_000  # drawn; the page stays quick


def page_table(path: pathlib.Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Columns, rows as text, boxes and polygons of a table of `tools.zonal`; a row without a place has None.

    Args:
        path: of the table: .csv, or with the polygons .gpkg, .geojson or .parquet.
        say: receives a line if the polygons are simplified to keep the page small.

    Raises:
        InputError: it is no such table.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"--table={path} must end with one of {', '.join(FORMATS)}: give a table of `jointseg zonal`")
    try:
        rows, shapes = _of_csv(path) if suffix == ".csv" else _of_vectors(path, say)
        boxes = [[float(row[k]) for k in _BOX] if all(row[k] for k in _BOX) else None for row in rows]
        if any(box is not None and not all(map(math.isfinite, box)) for box in boxes):
            raise ValueError("a bounding box is not finite")
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not a table of `jointseg zonal --output=TABLE.gpkg` ({error}): write it again"
        ) from error
    own = [c for c in (rows[0] if rows else {}) if c not in _HIDDEN]
    return {"columns": own, "rows": [[row[c] for c in own] for row in rows], "boxes": boxes, "shapes": shapes}


def _of_csv(path: pathlib.Path) -> tuple[list[dict[str, str]], list[Any]]:
    rows = [{as_written(k): as_written(v) for k, v in row.items()} for row in read_table(path, _BOX)]
    return rows, [None] * len(rows)


def _of_vectors(path: pathlib.Path, say: Callable[[str], None]) -> tuple[list[dict[str, str]], list[Any]]:
    layers = read_layers(path)
    table = layers[0].table
    absent = [name for name in _BOX if name not in table]
    if len(layers) > 1 or absent:
        raise ValueError(f"{len(layers)} layers" if len(layers) > 1 else f"it lacks the columns {absent}")
    cells = table.drop(columns=table.geometry.name)
    rows = [{str(k): _text(v) for k, v in row.items()} for row in cells.to_dict("records")]
    return rows, _drawn(table, say)


def _drawn(table: geopandas.GeoDataFrame, say: Callable[[str], None]) -> list[Any]:
    """The polygons as GeoJSON in degrees, with the sides that show at 1 m, or fewer if there are too many."""
    degrees, close = table.geometry.to_crs(4326), _CLOSE
    simple = degrees.simplify(close)
    while (count := int(shapely.get_num_coordinates(simple.values).sum())) > _MOST_VERTICES and close < 1:
        close *= 2
        simple = degrees.simplify(close)
    if close > _CLOSE:
        say(f"table   the polygons are drawn with {count} vertices, within {close * 111_000:.0f} m; figures are exact")
    return [None if shape is None or shape.is_empty else as_geojson(shape) for shape in simple]


def as_geojson(shape: shapely.Geometry) -> dict[str, Any]:
    """A geometry in degrees as GeoJSON, to about 0.1 m."""
    rounded = shapely.transform(shape, lambda points: np.round(points, _DIGITS))
    return dict(shapely.geometry.mapping(rounded))


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value)
