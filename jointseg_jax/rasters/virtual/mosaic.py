"""Writes mosaics as virtual rasters (VRT): many tiles of one lattice as one raster, without copying pixels.

Overviews are those of the tiles.
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Sequence
from xml.etree import ElementTree as xml

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.header import Header
from jointseg_jax.rasters.lattice import crs_name, crs_text, make_lattice, offset_in, spacing_of
from jointseg_jax.rasters.virtual.vrt_xml import TYPES, add_band, add_source, as_text, new_dataset
from jointseg_jax.storage.files import write_text

_RGB = ("Red", "Green", "Blue")
_LARGEST = 2**31 - 1  # pixels on a side, GDAL's limit


@dataclasses.dataclass(frozen=True)
class Source:
    """A raster of the mosaic and its header."""

    path: pathlib.Path
    header: Header


def write_vrt(path: str | os.PathLike[str], sources: Sequence[Source]) -> None:
    """Writes the mosaic of some rasters; where they overlap, valid pixels of later ones lie on top.

    Paths are relative to the mosaic, so its folder can be moved as a whole.

    Args:
        path: of the VRT.
        sources: rasters of one lattice, type, band list, nodata value and scale.

    Raises:
        InputError: `sources` is empty, its rasters do not match, a dtype is unsupported, or the mosaic is too large.
    """
    path = pathlib.Path(path)
    if not sources:
        raise InputError(f"{path} would be a mosaic without rasters: give at least one")
    first = sources[0].header
    if first.dtype not in TYPES:
        raise InputError(
            f"{sources[0].path} has {first.dtype} numbers, which mosaics do not support: convert it (gdal_translate)"
        )
    for source in sources[1:]:
        _check_alike(sources[0], source)
    spacing = spacing_of(first.lattice)
    boxes = [s.header.lattice.boundingbox for s in sources]
    left, top = min(b.left for b in boxes), max(b.top for b in boxes)
    width = round((max(b.right for b in boxes) - left) / spacing)
    height = round((top - min(b.bottom for b in boxes)) / spacing)
    if max(width, height) > _LARGEST:
        raise InputError(
            f"{path} would be {width} x {height} pixels, more than a raster can have: make several mosaics"
        )
    whole = make_lattice(crs_text(first.lattice), left, top, spacing, height, width)
    root = new_dataset(whole)
    scaling = None if (first.scale, first.offset) == (1.0, 0.0) else (first.scale, first.offset)
    corners = [offset_in(s.header.lattice, whole, str(s.path)) for s in sources]
    for number, name in enumerate(first.bands, start=1):
        band = add_band(root, number, first.dtype, name, first.nodata, scaling)
        _add_colours(band, first, number)
        for source, (row, col) in zip(sources, corners, strict=True):
            _add_source(band, source, number, row, col, path.parent)
    write_text(path, as_text(root))


def _check_alike(first: Source, other: Source) -> None:
    a, b = first.header, other.header
    for what, x, y in (
        ("CRS", crs_name(a.lattice), crs_name(b.lattice)),
        ("pixel size", spacing_of(a.lattice), spacing_of(b.lattice)),
        ("type", a.dtype, b.dtype),
        ("bands", a.bands, b.bands),
        ("nodata value", a.nodata, b.nodata),
        ("scale and offset", (a.scale, a.offset), (b.scale, b.offset)),
    ):
        if x != y and not (isinstance(x, float) and isinstance(y, float) and math.isnan(x) and math.isnan(y)):
            raise InputError(f"{other.path} has the {what} {y}, but {first.path} has {x}: a mosaic needs the same")


def _add_colours(band: xml.Element, header: Header, number: int) -> None:
    colour = "Palette" if header.colormap else _RGB[number - 1] if header.rgb and number <= 3 else "Gray"
    xml.SubElement(band, "ColorInterp").text = colour if header.colormap or header.rgb else "Gray"
    if header.colormap:
        table = xml.SubElement(band, "ColorTable")
        for value in range(max(header.colormap) + 1):
            c = header.colormap.get(value, (0, 0, 0, 255))
            xml.SubElement(table, "Entry", c1=str(c[0]), c2=str(c[1]), c3=str(c[2]), c4=str(c[3]))


def _add_source(band: xml.Element, source: Source, number: int, row: int, col: int, base: pathlib.Path) -> None:
    height, width = source.header.lattice.shape
    has_nodata = source.header.nodata is not None
    relative = pathlib.Path(os.path.relpath(source.path, base))
    kind = "ComplexSource" if has_nodata else "SimpleSource"
    element = add_source(band, relative, str(number), kind=kind, relative=True)
    rows, cols = source.header.block
    xml.SubElement(  # without this GDAL opens every tile
        element, "SourceProperties", RasterXSize=str(width), RasterYSize=str(height),
        DataType=TYPES[source.header.dtype], BlockXSize=str(cols), BlockYSize=str(rows),
    )  # fmt: skip
    xml.SubElement(element, "SrcRect", xOff="0", yOff="0", xSize=str(width), ySize=str(height))
    xml.SubElement(element, "DstRect", xOff=str(col), yOff=str(row), xSize=str(width), ySize=str(height))
    if has_nodata:
        xml.SubElement(element, "NODATA").text = repr(source.header.nodata)
