"""Writes the rasters of an absent image or label: no pixel is valid, so every reader needs one case only."""

import pathlib

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data.prepare.recipe import Recipe, strips
from jointseg_jax.data.prepare.site.fine import ImageFile
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import refine
from jointseg_jax.rasters.writer import Layout, raster_writer


def write_absent_image(recipe: Recipe, lattice: GeoBox, path: pathlib.Path) -> ImageFile:
    """Writes an image of 0, its nodata value, on the site's 1 m lattice; a few kilobytes.

    Args:
        recipe: names the bands.
        lattice: 10 m.
        path: target.
    """
    _fill(lattice, path, Layout(refine(lattice, FINE_FACTOR), "uint8", recipe.image_bands, 0), 0)
    return ImageFile(0.0, "uint8")


def write_absent_label(lattice: GeoBox, path: pathlib.Path) -> None:
    """Writes a label of 255 on the site's 1 m lattice; `lattice` is the 10 m one."""
    _fill(lattice, path, Layout(refine(lattice, FINE_FACTOR), "uint8", ("label",), IGNORE), IGNORE)


def _fill(lattice: GeoBox, path: pathlib.Path, layout: Layout, value: int) -> None:
    with raster_writer(path, layout) as writer:
        for window in strips(*lattice.shape):
            fine = window.scale(FINE_FACTOR)
            writer.write(np.full((fine.height, fine.width, len(layout.bands)), value, layout.dtype), fine)
