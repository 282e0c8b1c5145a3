"""Prepares one site: writes tiled rasters on one lattice, in one radiometry, with one label."""

import pathlib

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import Site
from jointseg_jax.data.prepare import site_dates, splits
from jointseg_jax.data.prepare.recipe import Recipe
from jointseg_jax.data.prepare.site.change import changed
from jointseg_jax.data.prepare.site.image_units import ImageUnits, image_units
from jointseg_jax.data.prepare.site.layers import write_layers
from jointseg_jax.data.prepare.site.placed import in_words, place_image, place_label, stored_image
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
    inputs = write_layers(source, recipe, lattice, folder)
    path, primary = folder / "image.tif", recipe.primary
    layer = folder / inputs.names[primary.name][0]
    image, lies = place_image(source, recipe, lattice, path, layer)
    units = _units(source, recipe, lattice, path, image.nodata, layer)
    seen, noted = inputs.seen, list[str]()
    labelled = source.label is not None or bool(source.vectors)
    if recipe.change.block and recipe.simulate is None and source.image is not None and labelled:
        apart, note = changed(recipe, lattice, path, image.nodata, layer)
        seen, noted = seen & ~apart, [note]
    as_stored = stored_image(recipe, image, path) if source.image is not None else None
    label = place_label(source, recipe, lattice, seen, folder / "label.tif", as_stored, lies, scratch)
    fine = {name: found for name, found in (("image", lies), ("label", label.lies)) if found is not None}
    registration = {**fine, **inputs.lies}
    dates, days = _times(source, recipe)
    placed = tuple(f"{name}: {in_words(found)}" for name, found in registration.items())
    return Site(
        name=entry.name,
        region=entry.region,
        date=entry.date,
        crs=crs_text(lattice),
        left=float(lattice.affine.c),
        top=float(lattice.affine.f),
        height=height,
        width=width,
        layers={name: tuple(f"{at}/{file}" for file in files) for name, files in inputs.names.items()},
        image=f"{at}/image.tif",
        label=f"{at}/label.tif",
        split=f"{at}/split.tif",
        image_gain=units.gain,
        image_offset=units.offset,
        image_nodata=image.nodata,
        image_dtype=image.dtype,
        pixels={},
        notes=(
            *inputs.notes,
            *source.notes,
            *image.notes,
            *label.notes,
            *noted,
            units.note,
            *placed,
            site_dates.in_words(entry.date, days),
        ),
        label_counts=label.counts,
        gaps=label.gaps,
        files={},
        registration=registration,
        dates=dates,
        days=days,
        cloudy=inputs.cloudy or None,
        fit=units.fit,
    )


def _units(
    source: SiteSource,
    recipe: Recipe,
    lattice: GeoBox,
    path: pathlib.Path,
    nodata: float | None,
    layer: pathlib.Path,
) -> ImageUnits:
    """The units of the 1 m image at `path`, beside the first modality's raster `layer`; those of that without one."""
    primary = recipe.primary
    if source.image is None:
        return ImageUnits((primary.scale,) * len(recipe.image_bands), (0.0,) * len(recipe.image_bands), "no image")
    where = " and ".join(str(path) for path in (source.image, *source.layers.get(primary.name, ())[:1]))
    return image_units(recipe, lattice, path, nodata, layer, where)


def _times(
    source: SiteSource, recipe: Recipe
) -> tuple[dict[str, tuple[str | None, ...]], dict[str, tuple[int | None, ...]]]:
    """Dates by modality, and their days from the site's date; a simulated modality has those of the image."""
    primary, dates = recipe.primary, dict(source.dates)
    if recipe.simulate is not None:
        dates[primary.name] = dates[site_dates.IMAGE] * primary.dates
    days = site_dates.days_from(source.entry.date, dates)
    if recipe.simulate is not None:
        days[primary.name] = (0,) * primary.dates
    return dates, days


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
