"""Converts the units of the 1 m image to those of its input."""

import dataclasses
import pathlib

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data.prepare.recipe import Recipe, strips
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR
from jointseg_jax.rasters.reader import Handles, open_raster, read_window
from jointseg_jax.rasters.scene import ImageLayer

_BLOCK = 6  # coarse pixels on the side of a block: over 60 m the different blur of the two has no effect
_FEWEST = 8  # blocks, for a line with two unknowns per band
_LEAST_EXPLAINED = 0.1  # share of the input's variance; scenes of different ground reach some hundredths


@dataclasses.dataclass(frozen=True)
class ImageUnits:
    """Gain and offset per band that convert the image's numbers to the input's units, and a note on their origin."""

    gain: tuple[float, ...]
    offset: tuple[float, ...]
    note: str


def image_units(
    recipe: Recipe, lattice: GeoBox, image: pathlib.Path, nodata: float | None, layer: pathlib.Path, where: str
) -> ImageUnits:
    """Determines the conversion of a prepared image to the units of the input bands.

    The image shares the input's encoding if the input is simulated from it or the config says so (`match_image`).
    Otherwise a line is fitted to block means.

    Args:
        recipe: of the preparation.
        lattice: 10 m.
        image: prepared image.
        nodata: its number for invalid pixels.
        layer: prepared raster of the first modality.
        where: the files both were made from, for messages.

    Raises:
        InputError: image and input share too little clear ground, or show different ground.
    """
    primary, bands = recipe.primary, len(recipe.image_bands)
    if recipe.image_is_encoded:
        offset = primary.scale * primary.offset
        return ImageUnits((primary.scale,) * bands, (offset,) * bands, "image: in the input's encoding")
    x, y = _block_pairs(recipe, lattice, image, nodata, layer)
    if len(x) < _FEWEST:
        raise InputError(
            f"{where} have only {len(x)} common blocks of {_BLOCK * COARSE_SPACING:g} m without clouds and gaps, but "
            f"{_FEWEST} are needed to fit the units of the image: use a larger or clearer site, exclude it with "
            "dataset.source.only, or set dataset.match_image=False if the image has the same units as the input"
        )
    lines = [_fit(x[:, band], y[:, band]) for band in range(bands)]
    explained = ", ".join(f"{share:.2f}" for _, _, share in lines)
    if any(gain <= 0 or share < _LEAST_EXPLAINED for gain, _, share in lines):
        raise InputError(
            f"{where} do not show the same ground (a line fitted per band explains {explained} of the input's "
            f"variance, with slopes {', '.join(f'{gain:.3g}' for gain, _, _ in lines)}): check their dates and CRS"
        )
    gains, offsets, _ = zip(*lines, strict=True)
    return ImageUnits(gains, offsets, f"image: units fitted, explained variance {explained}")


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Slope, intercept and explained variance of a line through points; slope 0 if x or y is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0, float(y.mean()), 0.0
    gain, offset = np.polyfit(x, y, 1)
    return float(gain), float(offset), float(1 - np.var(y - gain * x - offset) / np.var(y))


def _block_pairs(
    recipe: Recipe, lattice: GeoBox, image: pathlib.Path, nodata: float | None, layer: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
    """Means of image numbers and input values over blocks valid in both, `[blocks, bands]` each."""
    primary, bands = recipe.primary, len(recipe.image_bands)
    index = tuple(primary.bands.index(b) + 1 for b in recipe.image_bands)
    as_stored = ImageLayer(str(image), (1.0,) * bands, (0.0,) * bands, nodata)
    fine_means, coarse_means = [], []
    handles = Handles()
    with open_raster(layer) as coarse:
        for window in strips(*lattice.shape):
            shown, complete = as_stored.read(window.scale(FINE_FACTOR), handles)
            stored, _ = read_window(coarse, window, index)
            ok = primary.valid(stored) & (block_mean(complete.astype(np.float32), FINE_FACTOR) == 1)
            fine_means.append(_block_means(block_mean(shown, FINE_FACTOR), ok))
            coarse_means.append(_block_means(primary.decode(stored), ok))
    handles.close()
    return np.concatenate(fine_means), np.concatenate(coarse_means)


def _block_means(values: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """Means over blocks of `_BLOCK` pixels in which all pixels are ok. [h, w, bands] -> [blocks, bands]."""
    if min(ok.shape) < _BLOCK:
        return values[:0].reshape(0, values.shape[-1])
    whole = block_mean(ok.astype(np.float32), _BLOCK) == 1
    return block_mean(values, _BLOCK)[whole]
