"""Makes label rasters from vectors and land-cover codes: 0 pervious, 1 impervious, 255 ignored."""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import shapely
from affine import Affine

from jointseg_jax.errors import InputError
from jointseg_jax.geo.vectors import read_layers
from jointseg_jax.rasters.burn import burn

DEFAULT_ROAD_WIDTH = 6.0  # metres, for lines without a width
_LINES, _AREAS = ("LineString", "LinearRing"), ("Polygon",)


def map_classes(codes: np.ndarray, mapping: Mapping[int, int], where: str) -> np.ndarray:
    """Translates land-cover codes (any integers) to label values.

    Raises:
        InputError: a code is not in `mapping`.
    """
    present, inverse = np.unique(codes, return_inverse=True)
    unknown = [int(code) for code in present if int(code) not in mapping]
    if unknown:
        raise InputError(
            f"{where} has land-cover codes {unknown} that dataset.label.classes does not map: add them (255 to ignore)"
        )
    return np.array([mapping[int(code)] for code in present], np.uint8)[inverse].reshape(codes.shape)


def read_shapes(path: pathlib.Path, crs: str) -> list[tuple[shapely.Geometry, float]]:
    """Reads the impervious ground in all layers of a vector file: polygons and lines. Points have no extent.

    Args:
        path: GeoPackage or any other file that GDAL reads.
        crs: target CRS.

    Returns:
        Geometries and full widths in metres. Lines take the `width` column (numbers, or text such as `4 m`), or
        `DEFAULT_ROAD_WIDTH` if it is missing or 0. Polygons have 0.

    Raises:
        InputError: see `read_layers` and `VectorLayer.check`; it holds only points, or a width is not a number.
    """
    shapes: list[tuple[shapely.Geometry, float]] = []
    left_out = False
    for layer in read_layers(path):
        layer.check()
        frame = layer.table[layer.table.geometry.notna()].to_crs(crs).explode(ignore_index=True)  # also collections
        if not np.isfinite(shapely.get_coordinates(frame.geometry.values)).all():
            raise InputError(
                f"layer {layer.name!r} of {path} has coordinates that the site's CRS cannot represent: clip it to the "
                "sites"
            )
        areas, lines = frame.geom_type.isin(_AREAS), frame.geom_type.isin(_LINES)
        left_out |= not (areas | lines).all()
        shapes += [(polygon, 0.0) for polygon in frame.geometry[areas]]
        given = frame["width"] if "width" in frame else pd.Series(None, frame.index, dtype=object)
        widths = [_line_width(value, path, layer.name) for value in given[lines]]
        shapes += list(zip(frame.geometry[lines], widths, strict=True))
    if left_out and not shapes:
        raise InputError(f"{path} contains only points, which have no area: give polygons, or lines with a width")
    return shapes


def _line_width(value: Any, path: pathlib.Path, layer: str) -> float:
    """Parses a width in metres: OpenStreetMap stores text, perhaps with the unit; 0 often means unknown."""
    text = "" if pd.isna(value) else str(value).strip()
    try:
        width = float(text.removesuffix("m")) if text else 0.0
    except ValueError:
        width = -1.0
    if not 0 <= width < np.inf:
        raise InputError(
            f"layer {layer!r} of {path} has a line of width {value!r}: write widths in metres, or leave them empty "
            f"for {DEFAULT_ROAD_WIDTH:g} m"
        )
    return width or DEFAULT_ROAD_WIDTH


def rasterise(
    shapes: Iterable[tuple[shapely.Geometry, float]], transform: Affine, height: int, width: int
) -> np.ndarray:
    """Burns impervious vectors into a label, `[height, width]` uint8.

    A pixel is impervious where its centre lies in a polygon, or within half the width of a line.

    Args:
        shapes: geometry in the raster's CRS and, for lines, the full width in its units (0 for polygons).
        transform: of the raster.
        height: pixels.
        width: pixels.
    """
    areas = ((shapely.buffer(g, w / 2) if w > 0 else g, 1) for g, w in shapes)
    return burn(areas, np.zeros((height, width), np.uint8), transform)
