"""Writes the 1 m rasters of a site: image and label."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data.dataset import Registration
from jointseg_jax.data.gaps import Gaps
from jointseg_jax.data.prepare.labels.codes import map_classes
from jointseg_jax.data.prepare.labels.site_label import label_from_vectors
from jointseg_jax.data.prepare.recipe import Recipe, strips
from jointseg_jax.data.prepare.sources import SiteSource
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.aligned import Aligned, open_aligned
from jointseg_jax.rasters.blocks import repeat_pixels
from jointseg_jax.rasters.contract import BEYOND, FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window, moved, refine
from jointseg_jax.rasters.radiometry.band_names import match_names, rgb_order
from jointseg_jax.rasters.warped import Warped
from jointseg_jax.rasters.writer import Layout, raster_writer

_COARSEST_IMAGE = 2.0  # metres [ours]; at 1 m a coarser image would be mostly interpolated


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """The written image: its dtype, and the number that marks invalid pixels.

    `nodata` is None if there are no invalid pixels, and for floats, which use NaN. `notes` report unmarked pixels that
    were treated as absent.
    """

    nodata: float | None
    dtype: str
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class LabelFile:
    """The written label.

    Attributes:
        counts: what the vectors hold -> number of features; empty without vectors.
        notes: on the decisions.
        gaps: where the vectors are missing; None if that was not judged.
        lies: how it lies on the image.
    """

    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    gaps: Gaps | None = None
    lies: Registration | None = None


def write_image(
    source: SiteSource, recipe: Recipe, lattice: GeoBox, path: pathlib.Path, move: tuple[int, int] = (0, 0)
) -> ImageFile:
    """Copies the image onto the site's 1 m lattice, or resamples it (see `rasters.warped`).

    Gaps become the dtype's smallest number (NaN for floats); valid pixels are kept above that number.

    Args:
        source: with an image.
        recipe: its bands and encoding.
        lattice: 10 m.
        path: target.
        move: metres down and right by which its content is moved.

    Raises:
        InputError: it has too few bands or too large pixels, or its dtype contradicts its declared encoding.
    """
    assert source.image is not None
    fine = refine(lattice, FINE_FACTOR)
    with open_aligned(source.image, moved(fine, move), warp=recipe.warp, picture=True) as raster:
        dtype = np.dtype(raster.source.dtypes[0])
        _check_image(raster, recipe, source.image)
        bands = image_band_positions(raster.source.descriptions, recipe.image_bands)
        windows = [w.scale(FINE_FACTOR) for w in strips(*lattice.shape)]
        # A warped image seldom fills the site, and to look first would warp it twice.
        complete = not raster.note and all(_read_image(raster, bands, w)[1].all() for w in windows)
        floating = np.issubdtype(dtype, np.floating)
        smallest = 0 if floating else int(np.iinfo(dtype).min)
        nodata = None if complete else np.nan if floating else smallest
        order = rgb_order(recipe.image_bands)
        layout = Layout(
            fine, str(dtype), recipe.image_bands, nodata, rgb=len(recipe.image_bands) == 3 and order == (0, 1, 2)
        )
        with raster_writer(path, layout) as writer:
            for window in windows:
                values, valid = _read_image(raster, bands, window)
                if nodata is not None:
                    kept = values if floating else np.maximum(values, smallest + 1)
                    values = np.where(valid[..., None], kept, nodata).astype(dtype)
                writer.write(values, window)
        said = [raster.note, "" if raster.collar is None else raster.collar.note]
    notes = tuple(f"image: {words}" for words in said if words)
    return ImageFile(None if complete or floating else float(smallest), str(dtype), notes)


def _check_image(raster: Aligned | Warped, recipe: Recipe, path: pathlib.Path) -> None:
    bands, dtype, primary = len(recipe.image_bands), raster.source.dtypes[0], recipe.primary
    if isinstance(raster, Warped) and raster.spacing > _COARSEST_IMAGE:
        raise InputError(
            f"{path} has pixels of {raster.spacing:.3g} m, which do not show what an image of 1 m shows: give an image "
            f"of {_COARSEST_IMAGE:g} m or finer"
        )
    if raster.source.count < bands:
        raise InputError(
            f"{path} has {raster.source.count} bands, but the image needs {bands}, {recipe.image_bands}: add bands, "
            "or correct dataset.image_bands"
        )
    if recipe.image_is_encoded and dtype != primary.dtype:
        why = "is simulated from it" if recipe.simulate is not None else "shares its units (dataset.match_image=False)"
        raise InputError(
            f"{path} contains {dtype} numbers, but must contain {primary.dtype} ({primary.units}), because modality "
            f"{primary.name!r} {why}: convert the image"
        )


def image_band_positions(descriptions: Sequence[str | None], wanted: Sequence[str]) -> list[int]:
    """Zero-based band positions: by name or colour if the descriptions identify all bands, otherwise the first ones."""
    names = [d or "" for d in descriptions]
    found = [match_names(names, band, numbers=False) for band in wanted]  # B2 may be the second of any bands
    if all(len(numbers) == 1 for numbers in found):
        return [number for (number,) in found]
    return list(range(len(wanted)))


def _read_image(raster: Aligned | Warped, bands: list[int], window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Reads stored numbers `[h, w, bands]` and where all bands are valid, bool `[h, w]`."""
    values, valid = raster.read(window, tuple(band + 1 for band in bands))
    if np.issubdtype(values.dtype, np.floating):
        valid = valid & (np.abs(values) < BEYOND).all(-1)  # False for NaN
    return values, valid


def write_label(
    source: SiteSource,
    recipe: Recipe,
    lattice: GeoBox,
    seen: np.ndarray,
    path: pathlib.Path,
    scratch: pathlib.Path | None = None,
    move: tuple[int, int] = (0, 0),
) -> LabelFile:
    """Writes the label on the site's 1 m lattice: 0, 1, and 255 where it is unknown or no input is valid.

    Args:
        source: with a label raster or vectors.
        recipe: class mapping, or rules for vectors.
        lattice: 10 m.
        seen: where an input is valid, bool on the 10 m lattice.
        path: target.
        scratch: folder for indexed copies of large vector files, see `geo.vector_window`.
        move: metres down and right by which its content is moved.
    """
    fine = refine(lattice, FINE_FACTOR)
    ground = moved(fine, move)
    counts: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    gaps = None
    with contextlib.ExitStack() as stack:
        if source.vectors:
            label = label_from_vectors(
                source.vectors,
                recipe.rules,
                ground,
                scratch,
                built_up=source.built_up,
                completeness=recipe.completeness,
            )
            counts, notes, gaps = dict(label.counts), (label.note,), label.gaps
            read = lambda window: label.values[window.slices()]  # noqa: E731 - like `_from_raster`
        else:
            read, notes = _from_raster(source, recipe, ground, stack)
        with raster_writer(path, Layout(fine, "uint8", ("label",), IGNORE)) as writer:
            found = False
            for window in strips(*lattice.shape):
                values = read(window.scale(FINE_FACTOR))
                found |= bool((values != IGNORE).any())
                visible = repeat_pixels(seen[window.slices()], FINE_FACTOR)
                writer.write(np.where(visible, values, IGNORE).astype(np.uint8), window.scale(FINE_FACTOR))
    if recipe.warp and source.label is not None and not found:
        raise InputError(
            f"{source.label} labels no pixel of the site: check its CRS and extent, and the codes that "
            "dataset.label.classes ignores"
        )
    return LabelFile(counts, notes, gaps)


def _from_raster(
    source: SiteSource, recipe: Recipe, fine: GeoBox, stack: contextlib.ExitStack
) -> tuple[Callable[[Window], np.ndarray], tuple[str, ...]]:
    """Reads a label raster. Codes become label values before they are resampled: a pixel half road, half roof is built.

    Absent and ignored ground counts like a class.
    """
    assert source.label is not None
    path = source.label

    def recode(codes: np.ndarray, inside: np.ndarray) -> np.ndarray:
        values = np.full(inside.shape, IGNORE, np.uint8)
        values[inside] = map_classes(codes[inside], recipe.classes, str(path))
        return values

    raster = stack.enter_context(open_aligned(path, fine, warp=recipe.warp, categorical=True, recode=recode))

    def read(window: Window) -> np.ndarray:
        values, inside = raster.read(window)
        return np.where(inside, values[..., 0], np.uint8(IGNORE))

    return read, (f"label: {raster.note}",) if raster.note else ()
