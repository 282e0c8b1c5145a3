"""Styles for QGIS: a .qml file beside a raster, which QGIS 3 applies by itself when it opens the raster.

QGIS applies GDAL's scale and offset before it colours a raster, so the numbers in a style are scaled.
The elements are those that `QgsMapLayer::saveNamedStyle` of QGIS 3.22 writes and later versions read.
"""

import pathlib
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as xml

import numpy as np

from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.layer_style import Colour, Style, style_of
from jointseg_jax.rasters.decimated import read_small
from jointseg_jax.rasters.header import read_header
from jointseg_jax.rasters.pictures.drawing import stretch_limits
from jointseg_jax.rasters.radiometry.band_names import rgb_order
from jointseg_jax.storage.files import write_text

SUFFIX = ".qml"
VERSION = "3.22.0"
_HEAD = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


def write_styles(files: Mapping[str, pathlib.Path], label: Label) -> dict[str, pathlib.Path]:
    """Writes the style of every raster that has one, with the same name and `.qml`.

    Args:
        files: layer name -> raster.
        label: the mapped label.

    Returns:
        Layer name -> style.
    """
    written = {}
    for layer, raster in files.items():
        pipe = pipe_of(layer, raster, label)
        if pipe is not None:
            root = xml.Element(
                "qgis", version=VERSION, styleCategories="AllStyleCategories", hasScaleBasedVisibilityFlag="0"
            )
            root.append(pipe)
            written[layer] = raster.with_suffix(SUFFIX)
            write_text(written[layer], document(root))
    return written


def document(root: xml.Element) -> str:
    """A QGIS file as text."""
    xml.indent(root)
    return _HEAD + xml.tostring(root, encoding="unicode") + "\n"


def pipe_of(layer: str, raster: pathlib.Path, label: Label) -> xml.Element | None:
    """The rendering of a raster, as in styles and projects; None for a layer without a meaning beyond its tile."""
    style = style_of(layer, label)
    if style is None and layer != "image":
        return None
    pipe = xml.Element("pipe")
    provider = xml.SubElement(pipe, "provider")
    xml.SubElement(
        provider, "resampling", enabled="false", maxOversampling="2", zoomedInResamplingMethod="nearestNeighbour",
        zoomedOutResamplingMethod="nearestNeighbour",
    )  # fmt: skip
    if style is None:
        _picture(pipe, raster)
    elif style.classes:
        _classes(pipe, style)
    else:
        _ramp(pipe, style)
    xml.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    xml.SubElement(pipe, "huesaturation", saturation="0", grayscaleMode="0", colorizeOn="0", invertColors="0")
    xml.SubElement(pipe, "rasterresampler", maxOversampling="2")
    return pipe


def _renderer(pipe: xml.Element, kind: str, **fields: str) -> xml.Element:
    shared = {"type": kind, "opacity": "1", "alphaBand": "-1", "nodataColor": ""}
    renderer = xml.SubElement(pipe, "rasterrenderer", {**shared, **fields})
    xml.SubElement(renderer, "rasterTransparency")
    return renderer


def _classes(pipe: xml.Element, style: Style) -> None:
    palette = xml.SubElement(_renderer(pipe, "paletted", band="1"), "colorPalette")
    for value, colour, text in style.classes:
        xml.SubElement(palette, "paletteEntry", value=str(value), color=_hex(colour), label=text, alpha="255")


def _ramp(pipe: xml.Element, style: Style) -> None:
    """Colours between stops, in scaled values."""
    at = [value / style.divide for value, _ in style.stops]
    renderer = _renderer(
        pipe, "singlebandpseudocolor", band="1", classificationMin=f"{at[0]:g}", classificationMax=f"{at[-1]:g}"
    )
    shader = xml.SubElement(
        xml.SubElement(renderer, "rastershader"), "colorrampshader", colorRampType="INTERPOLATED",
        classificationMode="1", clip="0", minimumValue=f"{at[0]:g}", maximumValue=f"{at[-1]:g}",
    )  # fmt: skip
    for value, (_, colour) in zip(at, style.stops, strict=True):
        xml.SubElement(shader, "item", value=f"{value:g}", label=f"{value:g}", color=_hex(colour), alpha="255")


def _picture(pipe: xml.Element, raster: pathlib.Path) -> None:
    """Red, green and blue by name, stretched between percentiles of the whole raster."""
    header = read_header(raster)
    bands = tuple(1 + index for index in rgb_order(header.bands))
    values, valid = read_small(raster, bands=bands)
    low, high = _limits(values, valid, header.scale, header.offset)
    names = ("red", "green", "blue")
    renderer = _renderer(
        pipe, "multibandcolor", **{f"{n}Band": str(band) for n, band in zip(names, bands, strict=True)}
    )
    for name, least, most in zip(names, low, high, strict=True):
        contrast = xml.SubElement(renderer, f"{name}ContrastEnhancement")
        xml.SubElement(contrast, "minValue").text = f"{least:.7g}"
        xml.SubElement(contrast, "maxValue").text = f"{most:.7g}"
        xml.SubElement(contrast, "algorithm").text = "StretchToMinimumMaximum"


def _limits(
    values: np.ndarray, valid: np.ndarray, scale: float, offset: float
) -> tuple[Sequence[float], Sequence[float]]:
    if not valid.any():
        return (0.0,) * 3, (1.0,) * 3
    low, high = stretch_limits(values.astype(np.float64) * scale + offset, valid)
    return [float(v) for v in low], [float(v) for v in high]


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{c:02x}" for c in colour)
