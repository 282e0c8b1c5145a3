"""A product with every layer that a page shows."""

import pathlib

import geopandas
import numpy as np
import rasterio
import shapely

from jointseg_jax.mapping.product.tile_record import parse_rows
from jointseg_jax.mapping.tools.zonal import zonal
from jointseg_jax.mapping.tools.zonal_table import write_table
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.lattice import Window, coarsen
from jointseg_jax.rasters.raster_files import lattice_of
from jointseg_jax.rasters.writer import Layout, cog_writer
from jointseg_jax.storage.files import sha256

NAMES = ["<img src=x onerror=window.hacked=1>", "武汉市", "nowhere"]


def add_layers(folder, row):
    """Adds confidence, sets, fractions and dissimilarity to a tile, in the form that predict.py writes them."""
    path = folder / row["files"]["probability"]["path"]
    with rasterio.open(path) as raster:
        stored = raster.read(1)
    known, level = stored != 255, stored.astype(int)
    fine = lattice_of(path)
    coarse = coarsen(fine, 10)
    fraction = block_mean(np.where(known, level, 0).astype(np.float32), 10)
    seen = known.reshape(coarse.shape[0], 10, coarse.shape[1], 10).all((1, 3))
    ends = np.stack([fraction, fraction - 20, fraction + 30], -1)
    unlike = np.linspace(0, 200, coarse.shape[1])[None] + np.zeros(coarse.shape)
    layers = {
        "confidence": (Layout(fine, "uint8", ("confidence",), 255, scale=1 / 200), np.abs(2 * level - 200), known),
        "set": (Layout(fine, "uint8", ("set",), 255), (level < 120) + 2 * (level > 80), known),
        "fraction": (Layout(coarse, "uint8", ("fraction", "low", "high"), 255, scale=1 / 200), ends, seen[..., None]),
        "dissimilarity": (Layout(coarse, "uint8", ("dissimilarity",), 255, scale=1 / 100), unlike, seen),
    }
    for name, (layout, values, valid) in layers.items():
        target = path.with_name(f"{name}.tif")
        with cog_writer(target, layout, overviews="mode") as writer:
            content = np.where(valid, np.clip(np.round(values), 0, 200), 255).astype(np.uint8)
            writer.write(content, Window(0, 0, *layout.lattice.shape))
        row["files"][name] = {
            "path": target.relative_to(folder).as_posix(),
            "sha256": sha256(target),
            "bytes": target.stat().st_size,
        }


def table_of(folder, rows, name="zonal.gpkg"):
    """A table of three polygons: with hostile markup as its name, in Chinese, and where nothing is mapped."""
    left = (500000, 501700, 0)
    shapes = [shapely.box(x, 3399600, x + 550, 3400100) if x else shapely.box(0, 0, 1, 1) for x in left]
    polygons = geopandas.GeoDataFrame({"name": NAMES}, geometry=shapes, crs=32650)
    write_table(folder / name, zonal(folder, parse_rows(rows), polygons), polygons)
    return pathlib.Path(folder / name)
