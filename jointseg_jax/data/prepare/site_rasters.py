"""Prepares one site: writes tiled rasters on one lattice, in one radiometry, with one label."""

import pathlib

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import Site
from jointseg_jax.data.prepare import splits
from jointseg_jax.data.prepare.image_units import ImageUnits, image_units
from jointseg_jax.data.prepare.recipe import Recipe
from jointseg_jax.data.prepare.site_absent import write_absent_image, write_absent_label
from jointseg_jax.data.prepare.site_fine import write_image, write_label
from jointseg_jax.data.prepare.site_layers import write_layers
from jointseg_jax.data.prepare.sources import SiteSource
from jointseg_jax.rasters.lattice import crs_text
from jointseg_jax.rasters.writer import Layout, write_raster


def prepare_site(
    source: SiteSource,
    lattice: GeoBox,
    recipe: Recipe,
    folder: pathlib.Path,
    at: str,
    scratch: pathlib.Path | None = None,
) -> Site:
    """Writes the rasters of one site, without that of its splits: `write_split` adds it.

    Args:
        source: its raw files.
        lattice: its 10 m lattice, see `site_lattice`.
        recipe: of the preparation.
        folder: for the rasters.
        at: the folder's final path, relative to the dataset.
        scratch: folder for files that several sites share until all are done.

    Raises:
        InputError: a raw file cannot be used; the message names it.
    """
    entry = source.entry
    height, width = (int(n) for n in lattice.shape)
    layers, seen, notes = write_layers(source, recipe, lattice, folder)
    path, primary = folder / "image.tif", recipe.primary
    if source.image is None:
        image = write_absent_image(recipe, lattice, path)
        units = ImageUnits((primary.scale,) * len(recipe.image_bands), (0.0,) * len(recipe.image_bands), "no image")
    else:
        image = write_image(source, recipe, lattice, path)
        where = " and ".join(str(path) for path in (source.image, *source.layers.get(primary.name, ())[:1]))
        units = image_units(recipe, lattice, path, image.nodata, folder / layers[primary.name][0], where)
    counts: dict[str, int] = {}
    labelled: tuple[str, ...] = ()
    if source.label is None and not source.vectors:
        write_absent_label(lattice, folder / "label.tif")
    else:
        counts, labelled = write_label(source, recipe, lattice, seen, folder / "label.tif", scratch)
    return Site(
        name=entry.name,
        region=entry.region,
        date=entry.date,
        crs=crs_text(lattice),
        left=float(lattice.affine.c),
        top=float(lattice.affine.f),
        height=height,
        width=width,
        layers={name: tuple(f"{at}/{file}" for file in files) for name, files in layers.items()},
        image=f"{at}/image.tif",
        label=f"{at}/label.tif",
        split=f"{at}/split.tif",
        image_gain=units.gain,
        image_offset=units.offset,
        image_nodata=image.nodata,
        image_dtype=image.dtype,
        pixels={},
        notes=(*notes, *source.notes, *image.notes, *labelled, units.note),
        label_counts=counts,
        files={},
    )


def write_split(site: Site, lattice: GeoBox, codes: np.ndarray, folder: pathlib.Path) -> Site:
    """Writes the raster of a site's splits; returns the site with its pixels by split and the digests of all rasters.

    Args:
        site: its other rasters lie in `folder`.
        lattice: its 10 m lattice.
        codes: `[height, width]` uint8, see `ground.codes`.
        folder: of its rasters.
    """
    tags = {name: str(code) for name, code in splits.CODES.items()}
    write_raster(folder / pathlib.PurePosixPath(site.split).name, codes, Layout(lattice, "uint8", ("split",), 0, tags))
    pixels = {name: int((codes == code).sum()) for name, code in splits.CODES.items()}
    return site.replace(pixels=pixels, files=site_record.digests(folder, site.files))
