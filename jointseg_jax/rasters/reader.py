"""Reads windows that may reach beyond the raster, with one GDAL handle per thread and file."""

import collections
import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.opening import open_dataset, open_raster, quick, retried
from jointseg_jax.rasters.remote import first_line

READ_CACHE = 256 << 20  # bytes of GDAL's block cache
# Directory listings at every open are slow on network storage; GDAL still finds side-car files by name.
GDAL_READ_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    "GDAL_CACHEMAX": READ_CACHE,  # in bytes, not megabytes: rasterio passes it to GDAL unchanged
    "NUM_THREADS": "1",
}


# `metric.check_grid` rejects a raster without a geotransform.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
# GDAL treats four 8-bit bands as RGB + alpha; a nodata value takes precedence, which is what we want.
warnings.filterwarnings("ignore", category=NodataShadowWarning)


def warm_drivers() -> None:
    """Registers GDAL's drivers from the calling thread.

    Call it before starting reader threads: concurrent first calls to GDAL >= 3.11 can deadlock (rasterio issue 3611).
    """
    with rasterio.Env(**GDAL_READ_OPTIONS):
        pass


class Handles:
    """A cache of open datasets per thread; closes the least recently used beyond `limit`.

    GDAL handles cannot be pickled or shared between threads. A pickled copy starts empty, and each thread opens its
    own handles.
    """

    def __init__(self, limit: int = 64):
        self._limit = limit
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self._limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["limit"])  # type: ignore[misc]

    def get(self, path: str) -> DatasetReader:
        """The calling thread's handle of a file."""
        if not hasattr(self._local, "open"):
            self._local.open = collections.OrderedDict()
            self._local.environment = rasterio.Env(**GDAL_READ_OPTIONS)
            self._local.environment.__enter__()
        handles: collections.OrderedDict[str, DatasetReader] = self._local.open
        if path not in handles:
            handles[path] = open_raster(path)
            if len(handles) > self._limit:
                handles.popitem(last=False)[1].close()
        handles.move_to_end(path)
        return handles[path]

    def close(self) -> None:
        """Closes the calling thread's handles."""
        for handle in getattr(self._local, "open", {}).values():
            handle.close()
        self._local = threading.local()


def read_window(
    dataset: DatasetReader, window: Window, bands: tuple[int, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a window that may reach beyond the raster.

    Args:
        dataset: open raster.
        window: rectangle in the raster's pixels.
        bands: one-based band numbers; all when None.

    Returns:
        Stored numbers `[height, width, bands]` (zero outside the raster) and `inside`, bool `[height, width]`.

    Raises:
        InputError: the file is damaged there, or its bands differ in dtype.
    """
    indexes = bands or tuple(range(1, dataset.count + 1))
    part = window.clip(*dataset.shape)
    values = np.zeros((window.height, window.width, len(indexes)), dtype_of(dataset, indexes))
    inside = np.zeros((window.height, window.width), bool)
    if part.height and part.width:
        target = Window(part.row - window.row, part.col - window.col, part.height, part.width).slices()
        with explained_read(dataset, part):
            at = rasterio.windows.Window(part.col, part.row, part.width, part.height)
            block = persistent(dataset, lambda opened: opened.read(list(indexes), window=at))
        values[target] = np.moveaxis(block, 0, -1)
        inside[target] = True
    return values, inside


def dtype_of(dataset: DatasetReader, indexes: tuple[int, ...]) -> str:
    """The common dtype of some bands (one-based), which are decoded together.

    Raises:
        InputError: dtypes differ or are complex.
    """
    kinds = [str(dataset.dtypes[i - 1]) for i in indexes]
    if any(kind.startswith("complex") for kind in kinds):
        raise InputError(
            f"{_file_of(dataset)} has complex numbers, as raw radar images do: give a raster of real numbers "
            "(backscatter in dB, reflectance)"
        )
    if len(set(kinds)) > 1:
        raise InputError(
            f"{_file_of(dataset)} has different number types in bands {list(indexes)} ({', '.join(kinds)}): convert "
            "them to one type and one scale first (gdal_translate -ot)"
        )
    return kinds[0]


def read_mask(dataset: DatasetReader, window: Window, indexes: tuple[int, ...] = ()) -> np.ndarray:
    """Like `own_mask`, for a window that may reach beyond the raster, bool `[height, width]`."""
    mask = np.zeros((window.height, window.width), bool)
    part = window.clip(*dataset.shape)
    if part.height and part.width:
        target = Window(part.row - window.row, part.col - window.col, part.height, part.width).slices()
        mask[target] = own_mask(dataset, part, indexes=indexes)
    return mask


def alpha_band(dataset: DatasetReader, indexes: tuple[int, ...] = ()) -> int | None:
    """One-based number of the band declared as alpha, unless it is data; None without one.

    GDAL's mask flags are not enough: they ignore floating-point alpha bands.

    Args:
        dataset: open raster.
        indexes: one-based numbers of the data bands, whatever GDAL declares them as.
    """
    others = sorted(set(dataset.indexes) - set(indexes))
    return next((i for i in others if dataset.colorinterp[i - 1] == ColorInterp.alpha), None)


def has_mask(dataset: DatasetReader, indexes: tuple[int, ...]) -> bool:
    """True if a mask or an alpha band marks absent pixels.

    Args:
        dataset: open raster.
        indexes: see `alpha_band`.
    """
    flags = {flag for i in indexes or dataset.indexes for flag in dataset.mask_flag_enums[i - 1]}
    if alpha_band(dataset, indexes) is not None:
        return True
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def own_mask(
    dataset: DatasetReader,
    window: Window,
    out_shape: tuple[int, int] | None = None,
    *,
    indexes: tuple[int, ...] = (),
) -> np.ndarray:
    """Where the raster declares data: by alpha, mask band, or not all bands at nodata; bool `[height, width]`.

    Args:
        dataset: open raster.
        window: inside the raster.
        out_shape: height and width to decimate to.
        indexes: see `alpha_band`.
    """
    at = ((window.row, window.row + window.height), (window.col, window.col + window.width))
    alpha = alpha_band(dataset, indexes)
    with explained_read(dataset, window):
        if dataset.nodata is not None:
            # Not dataset_mask: if GDAL treats a fourth band as alpha, that checks only the first band.
            shape = None if out_shape is None else (dataset.count, *out_shape)
            return np.asarray(
                (persistent(dataset, lambda opened: opened.read_masks(window=at, out_shape=shape)) > 0).any(0)
            )
        if alpha is not None:
            return np.asarray(
                persistent(dataset, lambda opened: opened.read(alpha, window=at, out_shape=out_shape)) > 0
            )
        if not has_mask(dataset, indexes):
            height, width = out_shape or (window.height, window.width)
            return np.ones((height, width), bool)
        return np.asarray(persistent(dataset, lambda opened: opened.dataset_mask(window=at, out_shape=out_shape)) > 0)


def persistent(dataset: DatasetReader, read: Callable[[DatasetReader], np.ndarray]) -> np.ndarray:
    """Calls `read` on a dataset; on a GDAL error, retries with fresh handles before reporting damage.

    A handle that its server invalidated never recovers. GDAL reports the same error for a truncated file and for an
    unreachable server.
    """
    try:
        with quick(_file_of(dataset)):
            return read(dataset)
    except RasterioError:

        def read_again() -> np.ndarray:
            with _opened_again(dataset) as opened:
                return read(opened)

        return retried(_file_of(dataset), read_again, again=True)


def _file_of(dataset: DatasetReader) -> str:
    """The file of a dataset; a warped view has no file name, so its source's."""
    return str(dataset.src_dataset.name if isinstance(dataset, WarpedVRT) else dataset.name)


@contextlib.contextmanager
def _opened_again(dataset: DatasetReader) -> Iterator[DatasetReader]:
    with open_dataset(_file_of(dataset)) as source:
        if not isinstance(dataset, WarpedVRT):
            yield source
            return
        with WarpedVRT(
            source,
            crs=dataset.dst_crs,
            transform=dataset.dst_transform,
            height=dataset.dst_height,
            width=dataset.dst_width,
            resampling=Resampling(dataset.resampling),
            add_alpha=dataset.count > source.count,
        ) as view:
            yield view


@contextlib.contextmanager
def explained_read(dataset: DatasetReader, window: Window) -> Iterator[None]:
    """Converts a GDAL error into an `InputError` that names the file and the position of the damaged block."""
    try:
        yield
    except RasterioError as error:
        place = f"row {window.row}, column {window.col}"
        if isinstance(dataset, WarpedVRT):
            place += " of the lattice it is warped to"
        if remote.is_remote(_file_of(dataset)):
            raise InputError(f"{remote.refusal(_file_of(dataset), error)} (read near {place})") from error
        raise InputError(f"{_file_of(dataset)} is damaged near {place} ({first_line(error)}): restore it") from error
