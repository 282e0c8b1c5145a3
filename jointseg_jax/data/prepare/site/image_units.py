"""Converts the units of the 1 m image to those of its input.

Per band, gain and offset give the image the spread and the mean of the input over blocks of 60 m (the "reduced major
axis"). The slope of a least-squares line would shrink with every difference between the two dates. Blocks far from the
bulk (change, cloud) are set aside first, by the line of repeated medians (Siegel 1982), which up to half of the blocks
cannot carry away. Fill that nothing marks is no part of a block.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from odc.geo.geobox import GeoBox
from scipy import stats

from jointseg_jax.data.dataset import ImageFit
from jointseg_jax.data.prepare.recipe import Recipe, strips
from jointseg_jax.data.prepare.site import structure
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR
from jointseg_jax.rasters.reader import Handles, open_raster, read_window
from jointseg_jax.rasters.scene import ImageLayer

_BLOCK = 6  # coarse pixels on the side of a block: over 60 m the different blur of the two has no effect
# Crops of the seven dates below with 6 or 8 blocks: in 9 of 10 the gain is off that of the whole by a factor of at most
# 3.0 or 2.8, and 14 or 15 % of crops of different ground pass for the same. With 4 or 5 it is 3.3 to 3.4, and 16 to
# 20 %; with 25 it is 2.3, as the line gives that is warned of, and 10 %.
_FEWEST = 6  # blocks
_MANY = 25  # below, a warning
_PAIRED = 800  # blocks, evenly spread, for the line of repeated medians, whose cost is their number squared
_FAR = 4.0  # standard deviations (by the median deviation) from that line beyond which a block is set aside
# Between seven clear dates of one place, where the true gain is 1, the gain is off by at most a factor of 1.7 in 9 of
# 10 cases where the line explains a tenth of the variance or more, and by 2.3 to 2.9 where it explains less. Different
# ground reaches 0.17. See `benchmarks/image_units.py`.
_TELLING = 0.2
_CLIPPED = 0.1  # share of a 10 m pixel that is black or white in all bands: fill inside the image, or clipped ground
_INVERSE = 0.5  # a falling line that explains so much is a negative of the ground, not another season


@dataclasses.dataclass(frozen=True)
class ImageUnits:
    """Gain and offset per band that convert the image's numbers to the input's units, and a note on their origin.

    `fit` is None where nothing was fitted.
    """

    gain: tuple[float, ...]
    offset: tuple[float, ...]
    note: str
    fit: ImageFit | None = None


def warned(fit: ImageFit) -> list[str]:
    """What makes a fit uncertain, in a few words."""
    few = [f"few blocks ({fit.blocks})"] if fit.blocks < _MANY else []
    return ["another season"] * (min(fit.explained) < _TELLING) + few


def image_units(
    recipe: Recipe, lattice: GeoBox, image: pathlib.Path, nodata: float | None, layer: pathlib.Path, where: str
) -> ImageUnits:
    """Determines the conversion of a prepared image to the units of the input bands.

    The image shares the input's encoding if the input is simulated from it or the config says so (`match_image`).
    Otherwise a line is fitted to block means. Where it explains little (another season, other crops), the edges in the
    two decide whether they show the same ground.

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
    lines, kept = fit_lines(x, y)
    shares = [line.explained for line in lines]
    said = f"explained variance {', '.join(f'{share:.2f}' for share in shares)}"
    if not kept.all():
        said += f", {(~kept).sum()} of {len(x)} blocks set aside"
    if not all(line.rising and line.gain > 0 and line.explained >= _TELLING for line in lines):
        said += f" ({_season(lines, structure.compare(*_pictures(recipe, lattice, image, nodata, layer)), where)})"
    if len(x) < _MANY:
        said += (
            f" (WARNING: from {len(x)} blocks, where {_MANY} or more are wanted, the gain may be off by a factor of 3: "
            "use a larger site if you can)"
        )
    gains = tuple(line.gain for line in lines)
    fit = ImageFit(tuple(round(line.explained if line.rising else -line.explained, 3) for line in lines), len(x))
    return ImageUnits(gains, tuple(line.offset for line in lines), f"image: units fitted, {said}", fit)


def _season(lines: "Sequence[Line]", seen: structure.Structure, where: str) -> str:
    """A warning that the colours differ as between seasons; raises `InputError` if the ground does."""
    fitting = all(line.gain > 0 and (line.rising or line.explained < _INVERSE) for line in lines)
    if fitting and seen.alike:
        return (
            f"WARNING: below {_TELLING:g} the gain may be off by a factor of 2 or 3, as between seasons; {seen}, so "
            "they show the same ground: use a date closer to the image's if you can"
        )
    shares = ", ".join(f"{line.explained if line.rising else -line.explained:.2f}" for line in lines)
    raise InputError(
        f"{where} do not show the same ground (a line fitted per band explains {shares} of the input's variance, "
        f"negative where it falls; {seen}): check their dates and CRS"
    )


@dataclasses.dataclass(frozen=True)
class Line:
    """A line between image and input.

    Attributes:
        gain, offset: by the ratio of spreads and the means; the gain is positive, or 0 if image or input is constant.
        explained: share of the input's variance that a least-squares line explains.
        rising: the sign of that line.
    """

    gain: float
    offset: float
    explained: float
    rising: bool


def fit_lines(x: np.ndarray, y: np.ndarray) -> tuple[list[Line], np.ndarray]:
    """Fits a line per band through blocks, without those far from the bulk.

    Args:
        x: image numbers `[blocks, bands]`.
        y: input values `[blocks, bands]`.

    Returns:
        The lines, and which blocks they use, bool `[blocks]`; all where the bands agree on less than half of them.
    """
    bands = range(x.shape[1])
    kept = np.asarray(np.stack([_bulk(x[:, band], y[:, band]) for band in bands]).all(0))
    if kept.sum() < max(_FEWEST, len(x) / 2):
        kept[:] = True
    return [_line(x[kept, band], y[kept, band]) for band in bands], kept


def _line(x: np.ndarray, y: np.ndarray) -> Line:
    """The line through points; gain 0 if x or y is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Line(0.0, float(y.mean()), 0.0, True)
    correlation = float(np.corrcoef(x, y)[0, 1])
    gain = float(y.std() / x.std())
    return Line(gain, float(y.mean() - gain * x.mean()), correlation**2, correlation > 0)


def _bulk(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points lie near the line of repeated medians."""
    some = np.unique(np.linspace(0, len(x) - 1, min(len(x), _PAIRED)).round().astype(int))
    if np.ptp(x[some]) == 0:
        return np.ones(len(x), bool)
    slope, intercept = stats.siegelslopes(y[some], x[some])
    apart = np.abs(y - slope * x - intercept)
    return apart <= _FAR * 1.4826 * max(float(np.median(apart)), 1e-9 * float(np.abs(y).max()))


def _block_pairs(
    recipe: Recipe, lattice: GeoBox, image: pathlib.Path, nodata: float | None, layer: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
    """Means of image numbers and input values over blocks valid in both, `[blocks, bands]` each."""
    pairs = [
        (_block_means(shown, ok), _block_means(seen, ok))
        for shown, seen, ok in read_pairs(recipe, lattice, image, nodata, layer)
    ]
    fine_means, coarse_means = zip(*pairs, strict=True)
    return np.concatenate(fine_means), np.concatenate(coarse_means)


def read_pairs(
    recipe: Recipe, lattice: GeoBox, image: pathlib.Path, nodata: float | None, layer: pathlib.Path
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """By strips: image numbers averaged to 10 m and input values `[h, w, bands]`, and where both are valid `[h, w]`."""
    primary, bands = recipe.primary, len(recipe.image_bands)
    index = tuple(primary.bands.index(b) + 1 for b in recipe.image_bands)
    as_stored = ImageLayer(str(image), (1.0,) * bands, (0.0,) * bands, nodata)
    handles = Handles()
    with open_raster(layer) as coarse:
        for window in strips(*lattice.shape):
            shown, complete = as_stored.read(window.scale(FINE_FACTOR), handles)
            stored, _ = read_window(coarse, window, index)
            ok = primary.valid(stored) & (block_mean(complete.astype(np.float32), FINE_FACTOR) == 1)
            clipped = _clipped(shown, handles.get(str(image)).dtypes[0])
            ok &= block_mean(clipped.astype(np.float32), FINE_FACTOR) <= _CLIPPED
            yield block_mean(shown, FINE_FACTOR), primary.decode(stored), ok
    handles.close()


def _clipped(shown: np.ndarray, dtype: str) -> np.ndarray:
    """Where an image `[h, w, bands]` is at 0, or at the largest number of its dtype, in all bands, bool `[h, w]`."""
    found = (shown == 0).all(-1)
    return found if np.dtype(dtype).kind == "f" else found | (shown == np.iinfo(dtype).max).all(-1)


def _block_means(values: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """Means over blocks of `_BLOCK` pixels in which all pixels are ok. [h, w, bands] -> [blocks, bands]."""
    if min(ok.shape) < _BLOCK:
        return values[:0].reshape(0, values.shape[-1])
    whole = block_mean(ok.astype(np.float32), _BLOCK) == 1
    return block_mean(values, _BLOCK)[whole]


def _pictures(
    recipe: Recipe, lattice: GeoBox, image: pathlib.Path, nodata: float | None, layer: pathlib.Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Brightness of image and input at 10 m, and where both are valid, `[h, w]` each."""
    found = zip(*read_pairs(recipe, lattice, image, nodata, layer), strict=True)
    shown, seen, ok = (np.concatenate(parts) for parts in found)
    return shown.mean(-1), seen.mean(-1), ok
