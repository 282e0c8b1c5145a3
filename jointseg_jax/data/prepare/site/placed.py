"""Writes the image and the label of a site, measures how they lie, and on request moves them into place.

The image is measured on the first date of the first modality, the label on the image. Both are moved by whole metres,
so no pixel is resampled. A label raster lies on the image's pixels and follows the image; vectors do not.
"""

import dataclasses
import pathlib

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data.dataset import Registration
from jointseg_jax.data.prepare.recipe import Recipe
from jointseg_jax.data.prepare.site import registration
from jointseg_jax.data.prepare.site.absent import write_absent_image, write_absent_label
from jointseg_jax.data.prepare.site.fine import ImageFile, LabelFile, write_image, write_label
from jointseg_jax.data.prepare.sources import SiteSource
from jointseg_jax.rasters.scene import ImageLayer


def place_image(
    source: SiteSource, recipe: Recipe, lattice: GeoBox, path: pathlib.Path, layer: pathlib.Path
) -> tuple[ImageFile, Registration | None]:
    """Writes the image.

    Args:
        source: with or without an image.
        recipe: says whether to move it.
        lattice: 10 m.
        path: target.
        layer: prepared raster of the first modality.

    Returns:
        The file, and how it lies: None without an image, for a simulated input, or where no shift could be measured.
    """
    if source.image is None:
        return write_absent_image(recipe, lattice, path), None
    image = write_image(source, recipe, lattice, path)
    if recipe.simulate is not None:
        return image, None
    bands = tuple(recipe.primary.bands.index(band) for band in recipe.image_bands)

    def measured() -> Registration | None:
        return registration.of_image(stored_image(recipe, image, path), layer, recipe.primary, bands, lattice)

    lies = measured()
    move = registration.move_for(lies)
    if lies is None or not recipe.coregister or not any(move):
        return image, lies
    image = write_image(source, recipe, lattice, path, move)
    return image, registration.after(lies, move, measured())


def place_label(
    source: SiteSource,
    recipe: Recipe,
    lattice: GeoBox,
    seen: np.ndarray,
    path: pathlib.Path,
    image: ImageLayer | None,
    image_lies: Registration | None,
    scratch: pathlib.Path | None,
) -> LabelFile:
    """Writes the label.

    Args:
        source: with or without a label.
        recipe: says whether to move it.
        lattice: 10 m.
        seen: where an input is valid, bool on the 10 m lattice.
        path: target.
        image: the prepared image, as stored; None without one.
        image_lies: see `place_image`.
        scratch: see `fine.write_label`.
    """
    if source.label is None and not source.vectors:
        write_absent_label(lattice, path)
        return LabelFile()
    follows = image_lies.moved if image_lies is not None and source.label is not None else (0, 0)
    label = write_label(source, recipe, lattice, seen, path, scratch, follows)
    if image is None:
        return label
    lies = registration.of_label(image, path, lattice)
    move = registration.move_for(lies)
    if lies is not None and recipe.coregister and any(move):
        whole = (follows[0] + move[0], follows[1] + move[1])
        label = write_label(source, recipe, lattice, seen, path, scratch, whole)
        lies = registration.after(lies, move, registration.of_label(image, path, lattice))
    return dataclasses.replace(label, lies=lies)


def stored_image(recipe: Recipe, image: ImageFile, path: pathlib.Path) -> ImageLayer:
    """The written image in its own numbers."""
    bands = len(recipe.image_bands)
    return ImageLayer(str(path), (1.0,) * bands, (0.0,) * bands, image.nodata)


def in_words(lies: Registration) -> str:
    """For example "lies 3.1 m up and 0.2 m right of s2, moved 3 m down; 0.2 m remain"."""
    words = " and ".join(
        f"{abs(value):.1f} m {names[value < 0]}"
        for value, names in ((-lies.down, ("down", "up")), (-lies.right, ("right", "left")))
    )
    moved = f", moved {lies.moved[0]} m down and {lies.moved[1]} m right" if any(lies.moved) else ""
    return f"lies {words} of {lies.reference}{moved}; {lies.residual:.1f} m remain"
