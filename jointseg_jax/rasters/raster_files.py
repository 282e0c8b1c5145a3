"""What a raster says of itself: its lattice, its name for messages, the files behind it."""

import os
import pathlib

from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import zipped
from jointseg_jax.rasters.metric import without_geotransform
from jointseg_jax.rasters.opening import open_raster, quick
from jointseg_jax.rasters.radiometry.product_metadata import SOURCE_TAG, classification


def lattice_of(path: str | os.PathLike[str]) -> GeoBox:
    """The lattice of a raster file; its CRS may be None."""
    with open_raster(path) as dataset:
        return dataset_lattice(dataset)


def files_behind(path: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The files of a raster: itself, its side-cars, and the sources of a virtual raster (VRT).

    Overviews are excluded because they change no pixel. Of a file in an archive, the archive is listed.
    """
    found: dict[pathlib.Path, None] = {}
    waiting = [pathlib.Path(path)]
    while waiting:
        file = waiting.pop()
        if file in found or file.suffix.lower() == ".ovr":
            continue
        found[file] = None
        if file.suffix.lower() == ".vrt" or file == pathlib.Path(path):
            with quick(file), open_raster(file) as dataset:
                waiting += [pathlib.Path(f) for f in dataset.files]
    return sorted(set(map(zipped.on_disk, found)))


def name_of(dataset: DatasetReader) -> str:
    """The file name for messages; for a virtual raster that this program wrote, its first source."""
    return dataset.tags().get(SOURCE_TAG) or str(dataset.name)


def classification_of(path: str | os.PathLike[str]) -> pathlib.Path | None:
    """The scene classification of a raster's product, see `classification`; None without one."""
    with open_raster(path) as dataset:
        return classification(path, dataset.tags())


def dataset_lattice(dataset: DatasetReader) -> GeoBox:
    """The lattice of an open raster; raises `InputError` if it has only control points or RPCs."""
    crs = dataset.crs
    if dataset.transform.is_identity and (dataset.gcps[0] or dataset.rpcs):
        raise InputError(without_geotransform(dataset))
    return GeoBox(dataset.shape, dataset.transform, crs.to_wkt() if crs else None)
