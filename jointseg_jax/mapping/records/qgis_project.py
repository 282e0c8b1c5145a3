"""Writes a QGIS project over a product: PRODUCT/product.qgs, its mosaics with their styles, a group per UTM zone.

All paths are relative, so the product can be moved as a whole. The elements are those of QGIS 3.22, which later
versions read; a project in XML needs no QGIS to be written.
"""

import pathlib
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as xml

import pyproj
from odc.geo.geobox import GeoBox

from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.qgis_style import VERSION, document, pipe_of
from jointseg_jax.mapping.product.tile_record import LAYERS, TileRow
from jointseg_jax.mapping.records.zone_mosaics import MOSAICS, mosaic_path
from jointseg_jax.rasters.header import read_header
from jointseg_jax.storage.files import write_text

PROJECT = "product.qgs"
_FIRST = "impervious"  # shown when the project opens


def write_project(product: pathlib.Path, tiles: Sequence[TileRow], label: Label, title: str) -> pathlib.Path:
    """Writes the project of a product whose mosaics are written.

    Args:
        product: folder.
        tiles: its rows.
        label: the mapped label.
        title: of the project.
    """
    zones = sorted({tile.epsg for tile in tiles})
    root = xml.Element("qgis", projectname=title, version=VERSION)
    xml.SubElement(root, "homePath", path="")
    xml.SubElement(root, "title").text = title
    _add_crs(xml.SubElement(root, "projectCrs"), zones[0])
    tree = xml.SubElement(root, "layer-tree-group")
    found: list[xml.Element] = []
    boxes: dict[int, list[Any]] = {}
    for epsg in zones:
        group = xml.SubElement(tree, "layer-tree-group", name=f"EPSG:{epsg}", checked="Qt::Checked", expanded="1")
        for layer in LAYERS:
            path = mosaic_path(product, layer, epsg)
            pipe = pipe_of(layer, path, label) if path.is_file() else None
            if pipe is not None:
                lattice = read_header(path).lattice
                boxes.setdefault(epsg, []).append(lattice.boundingbox)
                found.append(_add_layer(group, layer, path, pipe, lattice, epsg, label.of_layer(layer)))
    _add_canvas(root, boxes[zones[0]], zones[0])
    xml.SubElement(root, "projectlayers").extend(found)
    order = xml.SubElement(root, "layerorder")
    for element in found:
        xml.SubElement(order, "layer", id=element.findtext("id") or "")
    properties = xml.SubElement(root, "properties")
    xml.SubElement(xml.SubElement(properties, "Paths"), "Absolute", type="bool").text = "false"
    enabled = xml.SubElement(xml.SubElement(properties, "SpatialRefSys"), "ProjectionsEnabled", type="int")
    enabled.text = "1"  # without it QGIS ignores the CRS of the project
    write_text(product / PROJECT, document(root))
    return product / PROJECT


def _add_layer(
    group: xml.Element, layer: str, path: pathlib.Path, pipe: xml.Element, lattice: GeoBox, epsg: int, title: str
) -> xml.Element:
    """Adds a layer to the tree and returns its element of the list of layers."""
    name, source = f"{layer}_{epsg}", f"./{MOSAICS}/{path.name}"
    xml.SubElement(
        group, "layer-tree-layer", id=name, name=title, source=source, providerKey="gdal",
        checked="Qt::Checked" if layer == _FIRST else "Qt::Unchecked", expanded="0",
    )  # fmt: skip
    found = xml.Element("maplayer", type="raster", styleCategories="AllStyleCategories")
    box = lattice.boundingbox
    _add_extent(xml.SubElement(found, "extent"), (box.left, box.bottom, box.right, box.top))
    xml.SubElement(found, "id").text = name
    xml.SubElement(found, "datasource").text = source
    xml.SubElement(found, "layername").text = title
    _add_crs(xml.SubElement(found, "srs"), epsg)
    xml.SubElement(found, "provider").text = "gdal"
    found.append(pipe)
    xml.SubElement(found, "blendMode").text = "0"
    return found


def _add_canvas(root: xml.Element, boxes: Sequence[Any], epsg: int) -> None:
    canvas = xml.SubElement(root, "mapcanvas", name="theMapCanvas", annotationsVisible="1")
    xml.SubElement(canvas, "units").text = "meters"
    lowest = (min(b.left for b in boxes), min(b.bottom for b in boxes))
    highest = (max(b.right for b in boxes), max(b.top for b in boxes))
    _add_extent(xml.SubElement(canvas, "extent"), (*lowest, *highest))
    xml.SubElement(canvas, "rotation").text = "0"
    _add_crs(xml.SubElement(canvas, "destinationsrs"), epsg)


def _add_extent(extent: xml.Element, box: tuple[float, float, float, float]) -> None:
    for name, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
        xml.SubElement(extent, name).text = repr(float(value))


def _add_crs(parent: xml.Element, epsg: int) -> None:
    system = xml.SubElement(parent, "spatialrefsys")
    xml.SubElement(system, "wkt").text = pyproj.CRS.from_epsg(epsg).to_wkt()
    xml.SubElement(system, "srid").text = str(epsg)
    xml.SubElement(system, "authid").text = f"EPSG:{epsg}"
