"""Reads rasters decimated, for pictures and previews: decimation mixes absent pixels with their neighbours."""

import os

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.io import DatasetReader

from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import explained_read, open_raster, own_mask, persistent
from jointseg_jax.rasters.scene import Layer


def decimated_shape(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """Height and width of a raster or window decimated to at most `longest` pixels on a side."""
    shrink = max(1.0, max(shape) / longest)
    return max(1, round(shape[0] / shrink)), max(1, round(shape[1] / shrink))


def read_decimated(
    dataset: DatasetReader,
    window: Window,
    shape: tuple[int, int],
    indexes: tuple[int, ...] = (),
    *,
    average: bool = False,
) -> np.ndarray:
    """Reads stored numbers `[*shape, bands]`.

    Args:
        dataset: open raster.
        window: inside the raster.
        shape: height and width to decimate to.
        indexes: one-based band numbers; all when empty.
        average: means of the valid pixels, float32, instead of the nearest ones.

    Raises:
        InputError: the file is damaged there.
    """
    bands = list(indexes or dataset.indexes)
    at = ((window.row, window.row + window.height), (window.col, window.col + window.width))
    with explained_read(dataset, window):
        how = {"resampling": Resampling.average, "out_dtype": "float32"} if average else {}
        read = persistent(dataset, lambda opened: opened.read(bands, window=at, out_shape=(len(bands), *shape), **how))
    return np.moveaxis(read, 0, -1)


def read_small(
    path: str | os.PathLike[str], window: Window | None = None, bands: tuple[int, ...] = (), longest: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a window of a raster, or all of it, decimated to at most `longest` pixels on a side.

    Returns:
        Stored numbers `[h, w, bands]` and the raster's own mask, bool `[h, w]`.
    """
    with open_raster(path) as raster:
        window = window or Window(0, 0, *raster.shape)
        shape = decimated_shape((window.height, window.width), longest)
        return read_decimated(raster, window, shape, bands), own_mask(raster, window, shape)


def read_means(
    path: str | os.PathLike[str], band: int = 1, longest: int = 4096
) -> tuple[np.ndarray, np.ndarray, GeoBox]:
    """Reads a band decimated by averaging to at most `longest` pixels on a side.

    Returns:
        Means float32 `[h, w]`, where some pixel is valid, bool `[h, w]`, and their lattice.
    """
    with open_raster(path) as raster:
        window = Window(0, 0, *raster.shape)
        shape = decimated_shape(raster.shape, longest)
        values = read_decimated(raster, window, shape, (band,), average=True)[..., 0]
        valid = own_mask(raster, window, shape) & np.isfinite(values)
        return values, valid, dataset_lattice(raster).zoom_to(shape)


def glance(
    layer: Layer, raster: DatasetReader, window: Window, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a window of a layer decimated to `shape`: stored numbers `[h, w, bands]` and valid `[h, w]`.

    For pictures and overviews only: decimation mixes absent ground with its neighbours.
    """
    stored = read_decimated(raster, window, shape, layer.indexes)
    valid = layer.modality.valid(stored)
    if layer.own_mask:
        valid &= own_mask(raster, window, shape, indexes=layer.indexes)
    rows = (window.row + (np.arange(shape[0]) + 0.5) * window.height / shape[0]).astype(int)
    cols = (window.col + (np.arange(shape[1]) + 0.5) * window.width / shape[1]).astype(int)
    if layer.collar is not None:
        valid &= ~layer.collar.at(rows, cols)
    if layer.clouds is not None:
        valid &= layer.clouds.at(rows, cols)
    return stored, valid
