"""Rasters in the layouts of real products (codes, nodata, CRS, grid) over a small piece of ground, and maps of ours."""

import math

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from jointseg_jax.geo.reproject import transformer
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster

CRS, LEFT, TOP = "EPSG:32650", 500_040.0, 3_400_020.0
MOLLWEIDE = "ESRI:54009"
# Spacing and origin of the grid, dtype and nodata of the file.
GRIDS = {
    "worldcover": ("EPSG:4326", 1 / 12000, (0, 0), "uint8", 0),
    "dynamicworld": (CRS, 10.0, (0, 0), "uint8", None),
    "esri": ("EPSG:32649", 10.0, (0, 0), "uint8", 0),
    "ghsl": (MOLLWEIDE, 100.0, (-18_041_000, 9_000_000), "uint16", 65535),
    "ghsl10": (MOLLWEIDE, 10.0, (-18_041_000, 9_000_000), "uint8", 255),
    "gisa": ("EPSG:4326", 0.000269494585235856472, (0, 0), "uint8", 0),
    "gaia": ("EPSG:4326", 0.000269494585235856472, (0, 0), "uint8", None),
    "openbuildings": (CRS, 0.5, (0, 0), "float32", None),
}


def write_map(path, classes, left=LEFT, top=TOP, spacing=1):
    """A map of classes 0, 1, 255."""
    height, width = classes.shape
    lattice = make_lattice(CRS, left, top, spacing, height, width)
    write_raster(path, classes.astype(np.uint8), Layout(lattice, "uint8", ("impervious",), 255))
    return path


def grid(name, side, margin=2):
    """The lattice of a product that covers a map of `side` metres, and some cells more."""
    crs, spacing, (left, top), _, _ = GRIDS[name]
    along = np.linspace(0, side, 9)
    x, y = np.meshgrid(LEFT + along, TOP - along)
    if crs != CRS:
        x, y = transformer(CRS, crs).transform(x, y)
    col = math.floor((x.min() - left) / spacing) - margin
    row = math.floor((top - y.max()) / spacing) - margin
    width = math.ceil((x.max() - left) / spacing) + margin - col
    height = math.ceil((top - y.min()) / spacing) + margin - row
    return GeoBox((height, width), Affine(spacing, 0, left + col * spacing, 0, -spacing, top - row * spacing), crs)


def write_product(path, name, values, lattice, bands=None):
    """A raster of a product; values [h, w], or [h, w, bands] with names."""
    _, _, _, dtype, nodata = GRIDS[name]
    write_raster(path, values.astype(dtype), Layout(lattice, dtype, bands or ("map",), nodata))
    return path


def cell_of_centres(lattice, side):
    """Row and column of the cell that holds the centre of every pixel of a map, each transformed by itself."""
    along = np.arange(side) + 0.5
    x, y = np.meshgrid(LEFT + along, TOP - along)
    if str(lattice.crs) != CRS:
        x, y = transformer(CRS, lattice.crs.to_wkt()).transform(x, y)
    a, _, c, _, e, f = lattice.affine[:6]
    return (y - f) / e, (x - c) / a
