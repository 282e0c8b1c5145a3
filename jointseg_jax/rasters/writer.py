"""Writes rasters atomically: tiled GeoTIFFs for datasets, cloud-optimised ones for products, JPEG 2000."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, Interleaving
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter

from jointseg_jax.errors import InputError, Unwritable
from jointseg_jax.rasters.lattice import Window, crs_text
from jointseg_jax.rasters.opening import check_proj, open_dataset
from jointseg_jax.storage.files import atomic_path, partial

DATASET_PROFILE = {
    "driver": "GTiff",
    "tiled": True,
    "blockxsize": 256,
    "blockysize": 256,
    "compress": "ZSTD",
    "zstd_level": 1,
    "BIGTIFF": "IF_SAFER",
}


@dataclasses.dataclass(frozen=True)
class Layout:
    """The header of a raster file to write."""

    lattice: GeoBox
    dtype: str
    bands: tuple[str, ...]
    nodata: float | None = None
    tags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    scale: float | None = None  # GDAL's: value = stored * scale + offset
    offset: float | None = None
    colormap: Mapping[int, tuple[int, int, int, int]] | None = None
    rgb: bool = False  # the first three bands are red, green, blue

    def profile(self) -> dict[str, Any]:
        """Keyword arguments for `rasterio.open(..., "w")`."""
        height, width = self.lattice.shape
        crs = crs_text(self.lattice) if self.lattice.crs else None
        return {
            "count": len(self.bands),
            "height": height,
            "width": width,
            "dtype": self.dtype,
            "crs": crs,
            "transform": self.lattice.affine,
            "nodata": self.nodata,
            "photometric": "RGB" if self.rgb else "MINISBLACK",  # GDAL would treat four 8-bit bands as RGB + alpha
        }

    def describe(self, dataset: DatasetWriter) -> None:
        """Writes band names, tags, scale and colours into an open dataset."""
        dataset.descriptions = self.bands
        dataset.update_tags(**{k: str(v) for k, v in self.tags.items()})
        if self.scale is not None:
            dataset.scales = (self.scale,) * len(self.bands)
            dataset.offsets = (self.offset or 0.0,) * len(self.bands)
        if self.colormap is not None:
            dataset.write_colormap(1, dict(self.colormap))
        elif self.rgb:
            dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue] + [ColorInterp.undefined] * (
                len(self.bands) - 3
            )


class RasterWriter:
    """Writes windows of an open raster."""

    def __init__(self, dataset: DatasetWriter):
        self._dataset = dataset

    def write(self, values: np.ndarray, window: Window) -> None:
        """Writes `[h, w]` or `[h, w, bands]` at a window inside the raster."""
        stack = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
        self._dataset.write(stack, window=rasterio.windows.Window(window.col, window.row, window.width, window.height))


@contextlib.contextmanager
def raster_writer(path: str | os.PathLike[str], layout: Layout) -> Iterator[RasterWriter]:
    """A writer for a GeoTIFF of 256-pixel tiles, ZSTD level 1; the file appears once the block ends without error."""
    kind = np.dtype(layout.dtype).kind
    predictor = 3 if kind == "f" else 1 if layout.dtype == "uint8" else 2
    with _explained(path), atomic_path(path) as temporary:
        with rasterio.open(
            temporary, "w", **{**DATASET_PROFILE, **layout.profile(), "predictor": predictor}
        ) as dataset:
            layout.describe(dataset)
            yield RasterWriter(dataset)
        _check_whole(temporary)


def write_raster(path: str | os.PathLike[str], values: np.ndarray, layout: Layout) -> None:
    """Writes a whole array `[height, width]` or `[height, width, bands]`; see `raster_writer`."""
    with raster_writer(path, layout) as writer:
        writer.write(values, Window(0, 0, *values.shape[:2]))


@contextlib.contextmanager
def cog_writer(
    path: str | os.PathLike[str], layout: Layout, *, overviews: str, predictor: bool = False
) -> Iterator[RasterWriter]:
    """A writer for a cloud-optimised GeoTIFF; the file appears once the block ends without error.

    Windows go into a plain tiled file, which is then converted, because overviews need the whole raster.

    Args:
        path: target.
        layout: header of the file.
        overviews: resampling of the overviews: `mode` for classes, `average` for quantities.
        predictor: horizontal differencing; helps images, hurts classes.
    """
    path = pathlib.Path(path)
    plain = partial(path)
    profile = {**DATASET_PROFILE, "blockxsize": 512, "blockysize": 512}
    make_folder(path.parent)
    try:
        with _explained(path):
            with rasterio.open(plain, "w", **{**profile, **layout.profile()}) as dataset:
                layout.describe(dataset)
                yield RasterWriter(dataset)
            options = {
                "driver": "COG", "compress": "DEFLATE", "blocksize": 512, "predictor": "YES" if predictor else "NO",
                "overview_resampling": overviews, "BIGTIFF": "IF_SAFER",
            }  # fmt: skip
            with atomic_path(path) as temporary:
                rasterio.shutil.copy(plain, temporary, **options)
                _check_whole(temporary)
    finally:
        plain.unlink(missing_ok=True)


def write_jpeg2000(path: str | os.PathLike[str], values: np.ndarray, lattice: GeoBox) -> None:
    """Writes one band `[height, width]` without loss, as in the products of Sentinel-2."""
    height, width = values.shape
    make_folder(pathlib.Path(path).parent)
    with _explained(path), atomic_path(path) as temporary:
        with rasterio.open(
            temporary, "w", driver="JP2OpenJPEG", height=height, width=width, count=1, dtype=values.dtype,
            crs=crs_text(lattice), transform=lattice.affine, QUALITY="100", REVERSIBLE="YES",
        ) as dataset:  # fmt: skip
            dataset.write(values, 1)


def make_folder(path: str | os.PathLike[str]) -> None:
    """Makes a folder; raises `Unwritable` if that fails."""
    path = pathlib.Path(path)
    with _explained(path):
        path.mkdir(parents=True, exist_ok=True)


def _check_whole(path: pathlib.Path) -> None:
    """Raises `OSError` if blocks of a GeoTIFF lie beyond its end.

    GDAL writes most blocks when the file is closed, and rasterio reports no error then. On a full disk a truncated file
    would go unnoticed.
    """
    size = path.stat().st_size
    try:
        written = open_dataset(path)
    except InputError:
        raise OSError("its first bytes were not written to disk") from None
    with written as dataset:
        rows, cols = dataset.block_shapes[0]
        height, width = dataset.shape
        bands = dataset.indexes if dataset.interleaving == Interleaving.band else (1,)
        for band in bands:
            for row in range(-(-height // rows)):
                for col in range(-(-width // cols)):
                    offset, length = (
                        dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band)
                        for what in ("OFFSET", "SIZE")
                    )
                    if offset is None or int(offset) + int(length) > size:
                        raise OSError(f"block {col}, {row} of band {band} was not written to disk")


@contextlib.contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    check_proj()
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError, SystemError) as error:  # shutil.copy raises the second and fourth
        raise Unwritable(
            f"{path} cannot be written ({error.__cause__ or error}): check the free space and the permissions there"
        ) from error
