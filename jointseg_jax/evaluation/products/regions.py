"""Regions of a comparison: named polygons, as masks on the windows of a map."""

import pathlib
from collections.abc import Iterator

import geopandas
import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.geo.polygons import polygonal
from jointseg_jax.geo.reproject import longest_side
from jointseg_jax.mapping.tools.zonal import in_zone, read_polygons
from jointseg_jax.rasters.burn import burn
from jointseg_jax.rasters.lattice import Window, crop, crs_text

ALL = "all"  # the whole ground, beside the regions


class Regions:
    """Named polygons; a pixel belongs to those that hold its centre."""

    def __init__(self, path: pathlib.Path, column: str | None):
        """Reads them.

        Args:
            path: vector file of polygons.
            column: that names them; None for the first column of text, or their numbers.

        Raises:
            InputError: no such file or column, other geometries, or a region named `all`.
        """
        table = read_polygons(path, column)
        self.names = _names(table, column)
        if ALL in self.names:
            raise InputError(f"{path} has a region {ALL!r}, which is the name of all ground here: rename it")
        self._dense: geopandas.GeoSeries = table.geometry.segmentize(longest_side(table.crs)).map(polygonal)

    def on(self, lattice: GeoBox) -> "RegionsOnMap":
        """The regions near a raster of a map, in its CRS."""
        box = lattice.boundingbox
        numbers, shapes = in_zone(self._dense, [(box.left, box.bottom, box.right, box.top)], crs_text(lattice))
        return RegionsOnMap(lattice, [(self.names[n], shape) for n, shape in zip(numbers, shapes, strict=True)])


class RegionsOnMap:
    """Regions in the CRS of a raster of a map."""

    def __init__(self, lattice: GeoBox, shapes: list[tuple[str, shapely.Geometry]]):
        self._lattice, self._shapes = lattice, shapes

    def masks(self, window: Window) -> Iterator[tuple[str, np.ndarray]]:
        """The regions on a window, with bool [h, w]."""
        part = crop(self._lattice, window)
        ground = shapely.box(*part.boundingbox.bbox).buffer(2)
        found: dict[str, np.ndarray] = {}
        for name, shape in self._shapes:
            near = polygonal(shapely.intersection(shape, ground))
            if not near.is_empty:
                mask = burn([(near, 1)], np.zeros((window.height, window.width), np.uint8), part.affine) == 1
                found[name] = found[name] | mask if name in found else mask
        yield from ((name, mask) for name, mask in found.items() if mask.any())


def _names(table: geopandas.GeoDataFrame, column: str | None) -> list[str]:
    fields = table.drop(columns=table.geometry.name)
    if column is None:
        texts = [c for c in fields if fields[c].map(lambda v: isinstance(v, str)).all() and len(fields)]
        if not texts:
            return [str(n) for n in range(1, len(table) + 1)]
        column = texts[0]
    return [str(v) for v in fields[column]]
