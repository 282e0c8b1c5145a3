"""The 1 m side of a site: image, label, and the units of the one in terms of the input."""

import dataclasses
import pathlib
from collections.abc import Callable

import geopandas as gpd
import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.data import labels
from jointseg_jax.data.recipe import Recipe, strips
from jointseg_jax.data.sources import SiteSource
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.aligned import open_aligned
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window, crs_text, refine
from jointseg_jax.rasters.reader import open_raster, read_window
from jointseg_jax.rasters.writer import Layout, raster_writer

DEFAULT_ROAD_WIDTH = 6.0  # metres, for lines without a width
_FIT_BLOCK = (
    6  # image and input are compared over blocks of this many coarse pixels, where their blur no longer differs
)


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """What became of the image: the number that marks invalid pixels, if any, and the dtype."""

    nodata: float | None
    dtype: str


def write_image(source: SiteSource, recipe: Recipe, lattice: GeoBox, path: pathlib.Path) -> ImageFile:
    """Copies the image onto the site's 1 m lattice; 0 marks invalid pixels, and only where there are any."""
    height, width = lattice.shape
    bands = len(recipe.image_bands)
    fine = refine(lattice, FINE_FACTOR)
    with open_aligned(source.image, fine, warp=recipe.warp) as raster:
        dtype = raster.dataset.dtypes[0]
        if raster.dataset.count < bands:
            raise InputError(
                f"{source.image} has {raster.dataset.count} bands, the image needs {bands} {recipe.image_bands}"
            )
        complete = all(raster.read(w.scale(FINE_FACTOR))[1].all() for w in strips(height, width))
        with raster_writer(
            path, Layout(fine, dtype, recipe.image_bands, None if complete else 0, rgb=bands == 3)
        ) as writer:
            for window in strips(height, width):
                values, inside = raster.read(window.scale(FINE_FACTOR))
                values = values[..., :bands]
                if not complete:
                    values = np.where(inside[..., None], np.maximum(values, 1), 0).astype(dtype)
                writer.write(values, window.scale(FINE_FACTOR))
    return ImageFile(None if complete else 0.0, dtype)


def write_label(source: SiteSource, recipe: Recipe, lattice: GeoBox, seen: np.ndarray, path: pathlib.Path) -> None:
    """Writes the label on the site's 1 m lattice: 0, 1, and 255 where unknown or where no input saw the ground.

    Args:
        source: with a label raster or vectors.
        recipe: class mapping.
        lattice: 10 m.
        seen: bool on the 10 m lattice.
        path: target.
    """
    fine = refine(lattice, FINE_FACTOR)
    read = _from_vectors(source, fine) if source.vectors else _from_raster(source, recipe, fine)
    with raster_writer(path, Layout(fine, "uint8", ("label",), IGNORE)) as writer:
        for window in strips(*lattice.shape):
            visible = np.repeat(np.repeat(seen[window.slices()], FINE_FACTOR, 0), FINE_FACTOR, 1)
            writer.write(
                np.where(visible, read(window.scale(FINE_FACTOR)), IGNORE).astype(np.uint8), window.scale(FINE_FACTOR)
            )


def _from_raster(source: SiteSource, recipe: Recipe, fine: GeoBox) -> Callable[[Window], np.ndarray]:
    assert source.label is not None
    path = source.label

    def read(window: Window) -> np.ndarray:
        with open_aligned(path, fine, warp=recipe.warp, categorical=True) as raster:
            codes, inside = raster.read(window)
        values = np.full(inside.shape, IGNORE, np.uint8)
        values[inside] = labels.map_classes(codes[..., 0][inside], recipe.classes, str(path))
        return values

    return read


def _from_vectors(source: SiteSource, fine: GeoBox) -> Callable[[Window], np.ndarray]:
    shapes = []
    for path in source.vectors:
        frame = gpd.read_file(path).to_crs(crs_text(fine))
        lines = frame.geom_type.isin(["LineString", "MultiLineString"])
        widths = (
            frame["width"].fillna(DEFAULT_ROAD_WIDTH) if "width" in frame else np.full(len(frame), DEFAULT_ROAD_WIDTH)
        )
        shapes += [(g, float(w) if line else 0.0) for g, w, line in zip(frame.geometry, widths, lines, strict=True)]
    burnt = labels.rasterise(shapes, fine.affine, *fine.shape)
    return lambda window: burnt[window.slices()]


def image_units(
    recipe: Recipe, lattice: GeoBox, image: pathlib.Path, layer: pathlib.Path
) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Gain and offset per band that bring the image's numbers into the units of the input bands.

    A simulated input shares the image's encoding. Otherwise a line is fitted to block means: over 60 m the differing
    blur of the two no longer matters.

    Returns:
        Gains, offsets, and a note with the share of variance the fit explains.

    Raises:
        InputError: the fit explains next to nothing: image and input do not show the same ground.
    """
    primary = recipe.modalities[0]
    bands = len(recipe.image_bands)
    if recipe.simulate is not None or not recipe.match_image:
        return (primary.scale,) * bands, (primary.scale * primary.offset,) * bands, "image: in the input's encoding"
    index = [primary.bands.index(b) + 1 for b in recipe.image_bands]
    fine_means, coarse_means = [], []
    with open_raster(image) as fine, open_raster(layer) as coarse:
        for window in strips(*lattice.shape):
            shown, _ = read_window(fine, window.scale(FINE_FACTOR))
            stored, _ = read_window(coarse, window, tuple(index))
            complete = np.ones(shown.shape[:2]) if fine.nodata is None else (shown != fine.nodata).any(-1).astype(float)
            ok = (stored > 0).all(-1) & (_block(np.asarray(complete), FINE_FACTOR) == 1)
            fine_means.append(_block_means(_block(shown.astype(np.float32), FINE_FACTOR), ok))
            coarse_means.append(_block_means(primary.decode(stored), ok))
    x, y = np.concatenate(fine_means), np.concatenate(coarse_means)
    if len(x) < 8:
        return (
            (primary.scale,) * bands,
            (primary.scale * primary.offset,) * bands,
            "image: too little common ground to fit its units",
        )
    gains, offsets, explained = [], [], []
    for band in range(bands):
        gain, offset = np.polyfit(x[:, band], y[:, band], 1)
        residual = np.var(y[:, band] - gain * x[:, band] - offset)
        gains.append(float(gain))
        offsets.append(float(offset))
        explained.append(1 - residual / max(np.var(y[:, band]), 1e-12))
    if min(gains) <= 0:
        raise InputError(
            f"{image} and {layer} do not show the same ground (brighter in one is darker in the other): check "
            "their dates and CRS"
        )
    return (
        tuple(gains),
        tuple(offsets),
        f"image: units fitted, explained variance {', '.join(f'{e:.2f}' for e in explained)}",
    )


def _block(x: np.ndarray, n: int) -> np.ndarray:
    """Means of n x n blocks, the remainder cut off. [h, w, ...] -> [h // n, w // n, ...]."""
    h, w = x.shape[0] // n, x.shape[1] // n
    return x[: h * n, : w * n].reshape(h, n, w, n, *x.shape[2:]).mean((1, 3))


def _block_means(values: np.ndarray, ok: np.ndarray) -> np.ndarray:
    """Means over blocks of `_FIT_BLOCK` pixels that are wholly ok. [h, w, bands] -> [blocks, bands]."""
    if min(ok.shape) < _FIT_BLOCK:
        return values[:0].reshape(0, values.shape[-1])
    whole = _block(ok.astype(np.float32), _FIT_BLOCK) == 1
    return _block(values, _FIT_BLOCK)[whole]
