"""Measures by how much two rasters of one place are shifted, by phase correlation of their gradients.

Gradients, compressed so that a few strong edges do not rule, are correlated in the frequency domain; the peak is found
to a fiftieth of a pixel (Guizar-Sicairos et al. 2008, as in scikit-image). Labels have edges but no brightness, so with
them gradients count modulo their sign: their angle is doubled.
"""

import dataclasses
import math
import pathlib
import warnings

import numpy as np
from odc.geo.geobox import GeoBox
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from jointseg_jax.data.dataset import Registration
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR, IGNORE, Modality
from jointseg_jax.rasters.lattice import Window, coarsen
from jointseg_jax.rasters.reader import Handles, open_raster, read_window
from jointseg_jax.rasters.scene import ImageLayer

_STEPS = 50  # per pixel
_MOST = 2048  # pixels on a side that are compared, in the middle of the site
FARTHEST = 50.0  # metres; a farther peak is chance
# Unrelated ground of n x n pixels correlates by 5 / n to 7 / n at its best shift, so 12 / n is no chance.
_CHANCE = 12.0
_LABEL_PIXEL = 2  # metres, for image and label
LEAST_MOVE = 0.5  # metres; rasters are moved by whole metres
MOST_RESIDUAL = 0.3  # pixels of a raster of 10 m or coarser, above which it is out of place; 3 m for image and label
# Times the correlation of chance: of the shifts between dates of one place, at most one in eleven is then off by more
# than 0.3 pixels. See `benchmarks/registration.py`.
SURE = 1.5
MEASURED = ("reflectance", "display", "dB")  # units in which an input shows the edges of the first date
MOVED = ("reflectance", "display")  # of them, those in which the shift is sure enough to move by it


@dataclasses.dataclass(frozen=True)
class Shift:
    """What moves a raster onto its reference.

    Attributes:
        down, right: pixels.
        quality: correlation of the gradients after the move, 0 to 1.
        chance: correlation below which the peak may be chance.
    """

    down: float
    right: float
    quality: float
    chance: float


def find_shift(
    reference: np.ndarray, moving: np.ndarray, valid: np.ndarray, *, edges_only: bool = False
) -> Shift | None:
    """Measures the shift between two rasters of one lattice.

    Args:
        reference: [h, w].
        moving: [h, w].
        valid: bool [h, w], in both.
        edges_only: brightness may fall where it rises in the other, as in labels.

    Returns:
        None if one of the two is without structure.
    """
    inside = ndimage.binary_erosion(valid, np.ones((3, 3)))  # of 4-neighbours; also takes the border away
    first, second = (_gradients(x, inside, edges_only) for x in (reference, moving))
    if not first.any() or not second.any():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on rounding below 0 of nearly perfect peaks
        (down, right), error, _ = phase_cross_correlation(first, second, upsample_factor=_STEPS, normalization=None)
    quality = math.sqrt(max(0.0, 1 - float(np.nan_to_num(error, nan=0.0)) ** 2))
    return Shift(float(down), float(right), quality, _CHANCE / math.sqrt(max(1, int(inside.sum()))))


def _gradients(x: np.ndarray, inside: np.ndarray, edges_only: bool) -> np.ndarray:
    """Compressed gradients as complex numbers, right + i down, [h, w]; 0 outside."""
    down, right = np.gradient(np.where(np.isfinite(x), x, 0).astype(np.float64))
    found = np.where(inside, right + 1j * down, 0)
    size = np.abs(found)
    if not size.any():
        return found
    found = found / (size + 3 * np.median(size[size > 0]))
    return found * found / np.maximum(np.abs(found), 1e-12) if edges_only else found


def of_image(
    image: ImageLayer, layer: pathlib.Path, modality: Modality, bands: tuple[int, ...], lattice: GeoBox
) -> Registration | None:
    """Measures how a prepared image lies on a prepared layer, over 10 m pixels.

    Args:
        image: in any units.
        layer: of the first modality, at 10 m.
        modality: of the layer.
        bands: zero-based numbers of the image's bands in it.
        lattice: 10 m.

    Returns:
        None if no shift can be told from chance.
    """
    window, handles = _middle(lattice, 1), Handles()
    shown, complete = image.read(window.scale(FINE_FACTOR), handles)
    handles.close()
    with open_raster(layer) as raster:
        stored, _ = read_window(raster, window, tuple(band + 1 for band in bands))
    valid = modality.valid(stored) & (block_mean(complete.astype(np.float32), FINE_FACTOR) == 1)
    means = block_mean(shown.mean(-1), FINE_FACTOR)
    return _registration(modality.name, find_shift(modality.decode(stored).mean(-1), means, valid), 10.0)


def of_layer(
    path: pathlib.Path,
    modality: Modality,
    first: pathlib.Path,
    primary: Modality,
    bands: tuple[int, ...],
    lattice: GeoBox,
) -> Registration | None:
    """Measures how a prepared layer lies on the first date of the first modality, over the layer's own pixels.

    Gradients count modulo their sign, because fields fade and other bands fall where the image's rise.

    Args:
        path: of the layer.
        modality: of the layer.
        first: prepared raster of the first date.
        primary: the first modality.
        bands: zero-based numbers of the image's bands in it.
        lattice: 10 m.

    Returns:
        None in units without the image's edges, and if no shift can be told from chance.
    """
    if modality.units not in MEASURED:
        return None
    n = round(modality.spacing / COARSE_SPACING)
    own = _middle(coarsen(lattice, n), 1)
    with open_raster(first) as reference, open_raster(path) as raster:
        seen, _ = read_window(reference, own.scale(n), tuple(band + 1 for band in bands))
        stored, _ = read_window(raster, own, tuple(range(1, len(modality.bands) + 1)))
    valid = block_mean(primary.valid(seen).astype(np.float32), n) == 1
    valid &= modality.valid(stored)
    values = modality.decode(np.where(valid[..., None], stored, np.zeros((), stored.dtype))).mean(-1)
    shift = find_shift(block_mean(primary.decode(seen).mean(-1), n), values, valid, edges_only=True)
    return _registration(primary.name, shift, modality.spacing, SURE)


def of_label(image: ImageLayer, label: pathlib.Path, lattice: GeoBox) -> Registration | None:
    """Measures how a prepared label lies on the prepared image, over 2 m pixels; see `of_image`."""
    window, handles = _middle(lattice, FINE_FACTOR // _LABEL_PIXEL).scale(FINE_FACTOR), Handles()
    shown, complete = image.read(window, handles)
    handles.close()
    with open_raster(label) as raster:
        classes = read_window(raster, window)[0][..., 0]
    known = complete & (classes != IGNORE)
    valid = block_mean(known.astype(np.float32), _LABEL_PIXEL) == 1
    brightness, built = (block_mean(x, _LABEL_PIXEL) for x in (shown.mean(-1), (classes == 1).astype(np.float32)))
    return _registration("image", find_shift(brightness, built, valid, edges_only=True), float(_LABEL_PIXEL))


def _middle(lattice: GeoBox, pixels: int) -> Window:
    """The middle of a site in 10 m pixels, compared with so many pixels per 10 m."""
    height, width = lattice.shape
    tall, wide = min(height, _MOST // pixels), min(width, _MOST // pixels)
    return Window((height - tall) // 2, (width - wide) // 2, tall, wide)


def _registration(reference: str, shift: Shift | None, spacing: float, sure: float = 1.0) -> Registration | None:
    """The record of a shift; None if it is farther than `FARTHEST` or not `sure` times better than chance."""
    if shift is None or shift.quality < sure * shift.chance:
        return None
    down, right = round(shift.down * spacing, 2), round(shift.right * spacing, 2)
    distance = math.hypot(down, right)
    if distance > FARTHEST:
        return None
    return Registration(reference, down, right, round(shift.quality, 3), (0, 0), round(distance, 2))


def move_for(found: Registration | None) -> tuple[int, int]:
    """Whole metres down and right that bring a raster nearest to its reference."""
    if found is None or max(abs(found.down), abs(found.right)) < LEAST_MOVE:
        return 0, 0
    return round(found.down), round(found.right)


def after(found: Registration, move: tuple[int, int], again: Registration | None) -> Registration:
    """The record of a raster that was moved, with the residual measured afterwards."""
    rest = math.hypot(found.down - move[0], found.right - move[1])
    return dataclasses.replace(found, moved=move, residual=round(rest, 2) if again is None else again.residual)
