"""Stacks bands of several files into one virtual raster (VRT), without copying pixels."""

import hashlib
import os
import pathlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import check_same_ground, crs_text
from jointseg_jax.rasters.reader import dataset_lattice, has_mask, open_raster
from jointseg_jax.storage.files import write_text

_TYPES = {"uint8": "Byte", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32", "int32": "Int32",
          "float32": "Float32", "float64": "Float64"}  # fmt: skip


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
        height, width = lattice.shape
        root = ElementTree.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
        if lattice.crs is not None:
            ElementTree.SubElement(root, "SRS").text = crs_text(lattice)
        transform = ", ".join(repr(float(v)) for v in first.transform.to_gdal())
        ElementTree.SubElement(root, "GeoTransform").text = transform
    metadata = ElementTree.SubElement(root, "Metadata")
    for key, value in tags.items():
        ElementTree.SubElement(metadata, "MDI", key=key).text = value
    masked = None
    for number, band in enumerate(bands, start=1):
        with open_raster(band.path) as raster:
            check_same_ground(dataset_lattice(raster), lattice, str(band.path))
            if not 1 <= band.number <= raster.count:
                raise InputError(f"{band.path} has {raster.count} bands, but its record names band {band.number}")
            dtype = raster.dtypes[band.number - 1]
            if dtype not in _TYPES:
                raise InputError(f"{band.path} holds {dtype} numbers, which are no measurement: give another file")
            element = ElementTree.SubElement(root, "VRTRasterBand", dataType=_TYPES[dtype], band=str(number))
            ElementTree.SubElement(element, "Description").text = band.name
            nodata = raster.nodatavals[band.number - 1]
            if nodata is not None:
                ElementTree.SubElement(element, "NoDataValue").text = repr(nodata)
            ElementTree.SubElement(element, "Offset").text = repr(raster.offsets[band.number - 1])
            ElementTree.SubElement(element, "Scale").text = repr(raster.scales[band.number - 1])
            _source(element, band.path, str(band.number))
            if masked is None and nodata is None and has_mask(raster, (band.number,)):
                masked = band
    if masked is not None:
        mask = ElementTree.SubElement(ElementTree.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
        _source(mask, masked.path, f"mask,{masked.number}")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode") + "\n"
    return text


def _source(element: ElementTree.Element, path: pathlib.Path, band: str) -> None:
    source = ElementTree.SubElement(element, "SimpleSource")
    ElementTree.SubElement(source, "SourceFilename", relativeToVRT="0").text = str(path.absolute())
    ElementTree.SubElement(source, "SourceBand").text = band
