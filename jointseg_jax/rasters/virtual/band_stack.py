"""Stacks bands of several files into one virtual raster (VRT), without copying pixels."""

import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as xml

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import check_same_ground
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import has_mask, open_raster
from jointseg_jax.rasters.virtual.vrt_xml import TYPES, add_band, add_source, as_text, new_dataset
from jointseg_jax.storage.files import write_text


class Band(NamedTuple):
    """A band of a file: its one-based number, and its name in the stack."""

    path: pathlib.Path
    number: int
    name: str


def stack_bands(path: str | os.PathLike[str], bands: Sequence[Band], tags: Mapping[str, str]) -> None:
    """Writes a VRT of `bands` in order, unless `path` has this content already.

    Nodata, scale, offset and mask are those of the files.

    Args:
        path: target.
        bands: at least one; all on one lattice.
        tags: metadata of the stack.

    Raises:
        InputError: a file cannot be read, lies on another lattice, or has an unsupported dtype.
    """
    path, text = pathlib.Path(path), _text(bands, tags)
    if not (path.exists() and path.read_text(encoding="utf-8") == text):
        write_text(path, text)


def stack_beside(path: pathlib.Path, bands: Sequence[Band], tags: Mapping[str, str]) -> pathlib.Path:
    """As `stack_bands`, but never overwrites: a VRT of other content may be in use, so the new one gets another name.

    Returns:
        The VRT.
    """
    text = _text(bands, tags)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        path = path.with_stem(f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}")
    if not path.exists():
        write_text(path, text)
    return path


def _text(bands: Sequence[Band], tags: Mapping[str, str]) -> str:
    with open_raster(bands[0].path) as first:
        lattice = dataset_lattice(first)
        root = new_dataset(lattice)
    metadata = xml.SubElement(root, "Metadata")
    for key, value in tags.items():
        xml.SubElement(metadata, "MDI", key=key).text = value
    masked = None
    for number, band in enumerate(bands, start=1):
        with open_raster(band.path) as raster:
            check_same_ground(dataset_lattice(raster), lattice, str(band.path))
            if not 1 <= band.number <= raster.count:
                raise InputError(
                    f"{band.path} has {raster.count} bands, but its STAC item names band {band.number}: correct it"
                )
            dtype = raster.dtypes[band.number - 1]
            if dtype not in TYPES:
                raise InputError(
                    f"{band.path} has {dtype} numbers, which are not supported: give a file with real numbers"
                )
            nodata = raster.nodatavals[band.number - 1]
            scaling = raster.scales[band.number - 1], raster.offsets[band.number - 1]
            element = add_band(root, number, dtype, band.name, nodata, scaling)
            add_source(element, band.path.absolute(), str(band.number))
            if masked is None and nodata is None and has_mask(raster, (band.number,)):
                masked = band
    if masked is not None:
        mask = xml.SubElement(xml.SubElement(root, "MaskBand"), "VRTRasterBand", dataType=TYPES["uint8"])
        add_source(mask, masked.path.absolute(), f"mask,{masked.number}")
    return as_text(root)
