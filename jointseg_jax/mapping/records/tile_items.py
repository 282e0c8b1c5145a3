"""Builds the STAC item of a tile: its files, times and sources."""

import datetime as dates
import pathlib
import urllib.parse
from typing import Any

import pystac
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.antimeridian import bbox
from jointseg_jax.geo.footprints import footprint
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.rasters import PROBABILITY_STEPS
from jointseg_jax.mapping.product.tile_record import SPACING, TileFile, TileRow
from jointseg_jax.mapping.records.model_card import CLASSIFICATION, SENTINEL2_BEGAN
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.header import Header, read_header
from jointseg_jax.rasters.lattice import same_lattice
from jointseg_jax.rasters.pictures.drawing import COLORMAP
from jointseg_jax.rasters.scene import in_words
from jointseg_jax.storage.files import file_name

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
ITEM_EXTENSIONS = [PROJECTION, RASTER, CLASSIFICATION, FILE, PROCESSING]

COLLECTION_FILE, MODEL_FILE, ITEMS, SOURCES = "collection.json", "model.json", "items", "sources"
JSON = "application/geo+json"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_DATA = ("impervious", "probability", "image", "fraction")
_SHA256 = "1220"  # multihash: SHA-256, 32 bytes


def tile_item(product: pathlib.Path, tile: TileRow, label: Label) -> pystac.Item:
    """Builds the item of a tile; its links and assets are relative to PRODUCT/items.

    Args:
        product: folder.
        tile: its row.
        label: the mapped label.

    Raises:
        InputError: a file is missing, lies off the tile's lattice, or differs in size from the ledger's row.
    """
    ground = footprint(tile.epsg, tile.bounds)
    headers = {layer: checked_header(product, tile, layer) for layer in tile.files}
    made = (product / tile.files["impervious"].path).stat().st_mtime
    created = dates.datetime.fromtimestamp(int(made), dates.UTC)
    properties: dict[str, Any] = {
        "title": f"{tile.tile}, {_summary(tile.share, label)}",
        **_when(tile, created),
        "created": created.isoformat(),
        "gsd": 1.0,
        "proj:code": f"EPSG:{tile.epsg}",
        "proj:bbox": list(tile.bounds),
        "processing:level": "L4",
        "processing:software": _software(headers["impervious"]),
        "processing:lineage": _lineage(tile),
        "jointseg:label": label.name,
        "jointseg:owned_m2": tile.owned_m2,
        "jointseg:valid_m2": tile.valid_m2,
        "jointseg:impervious_m2": tile.impervious_m2,
        "jointseg:impervious_share": tile.share,
        "jointseg:scenes": [dict(s) for s in tile.scenes],
        "jointseg:decisions": dict(tile.decisions),
        "jointseg:agreement": list(tile.agreement),
        "jointseg:model": dict(tile.model),
        "jointseg:seconds": dict(tile.seconds),
    }
    item = pystac.Item(
        tile.tile,
        shapely.geometry.mapping(ground),
        bbox(ground),
        tile.datetime,
        properties,
        stac_extensions=list(ITEM_EXTENSIONS),
    )
    for layer, file in tile.files.items():
        item.add_asset(layer, _asset(tile, layer, file, headers[layer], label))
    item.collection_id = label.collection_id
    for rel in ("root", "parent", "collection"):
        item.add_link(pystac.Link(rel, f"../{COLLECTION_FILE}", "application/json"))
    for scene in tile.scenes:
        href = scene.get("href") or f"../{SOURCES}/{urllib.parse.quote(file_name(scene['id']))}.json"
        item.add_link(pystac.Link("derived_from", str(href), JSON, scene["id"]))
    item.add_link(pystac.Link("derived_from", f"../{MODEL_FILE}", JSON, "the network"))
    return item


def checked_header(product: pathlib.Path, tile: TileRow, layer: str) -> Header:
    """Reads the header of a tile's file; raises `InputError` unless the file matches the ledger."""
    path = product / tile.files[layer].path
    again = f"run jointseg predict again with --check, which maps tile {tile.tile!r} again"
    if not path.is_file():
        raise InputError(f"{path} is listed in the ledger but missing on disk: {again}")
    size = path.stat().st_size
    if size != tile.files[layer].bytes:
        raise InputError(f"{path} has {size} bytes, but the ledger lists {tile.files[layer].bytes}: {again}")
    header = read_header(path)
    if not same_lattice(header.lattice, tile.lattice(layer)):
        height, width = header.lattice.shape
        raise InputError(
            f"{path} ({width} x {height} pixels, {header.crs}) does not match the place of tile {tile.tile!r} in the "
            f"ledger (EPSG:{tile.epsg}, {list(tile.bounds)}): {again}"
        )
    return header


def _asset(tile: TileRow, layer: str, file: TileFile, header: Header, label: Label) -> pystac.Asset:
    height, width = header.lattice.shape
    fields: dict[str, Any] = {
        "proj:shape": [height, width],
        "proj:transform": [float(v) for v in header.lattice.affine[:6]],
        "file:checksum": _SHA256 + file.sha256,
        "file:size": file.bytes,
        "bands": [_band(layer, name, header, label) for name in header.bands],
    }
    if layer == "scene":
        fields["classification:classes"] = [
            {"value": i, "name": s["id"], "description": str(s.get("datetime") or "no date")}
            for i, s in enumerate(tile.scenes)
        ] or [{"value": IGNORE, "name": "nodata", "nodata": True}]
    return pystac.Asset(
        f"../{urllib.parse.quote(file.path)}",
        title=label.of_layer(layer),
        media_type=_COG,
        roles=["data"] if layer in _DATA else ["metadata"],
        extra_fields=fields,
    )


def _band(layer: str, name: str, header: Header, label: Label) -> dict[str, Any]:
    band: dict[str, Any] = {
        "name": name or layer,
        "data_type": header.dtype,
        "raster:spatial_resolution": SPACING.get(layer, 1.0),
        "raster:sampling": "area",
    }
    if header.nodata is not None:
        band["nodata"] = "nan" if header.nodata != header.nodata else header.nodata
    if (header.scale, header.offset) != (1.0, 0.0):
        band["raster:scale"], band["raster:offset"] = header.scale, header.offset
    if layer == "probability":
        band["description"] = f"round({PROBABILITY_STEPS} p)"
    if layer == "impervious":
        band["classification:classes"] = [
            {"value": 0, "name": label.classes[0], "color_hint": _hex(0)},
            {"value": 1, "name": label.classes[1], "color_hint": _hex(1)},
            {"value": IGNORE, "name": "nodata", "nodata": True},
        ]
    return band


def _hex(value: int) -> str:
    return "".join(f"{c:02X}" for c in COLORMAP[value][:3])


def _summary(share: float | None, label: Label) -> str:
    return "no valid pixel" if share is None else f"{100 * share:.1f} % {label.name}"


def _when(tile: TileRow, created: dates.datetime) -> dict[str, Any]:
    """The times of an item: STAC requires a date, or an interval that contains it."""
    if tile.datetime is not None:
        return {}
    if tile.interval is not None:
        first, last = tile.interval
        return {"start_datetime": first.isoformat(), "end_datetime": last.isoformat()}
    return {
        "start_datetime": SENTINEL2_BEGAN,
        "end_datetime": created.isoformat(),
        "description": "The date of a scene is unknown: between the launch of Sentinel-2 and the creation of this map.",
    }


def _software(header: Header) -> dict[str, str]:
    name, _, version = header.tags.get("SOFTWARE", "jointseg-jax").partition(" ")
    return {name: version or "unknown"}


def _lineage(tile: TileRow) -> str:
    model, taken = tile.model, in_words(tile.decisions)
    return (
        f"{model.get('name')}, step {model.get('step')}, {model.get('weights')} weights, over "
        f"{len(tile.scenes)} scene(s)" + (f"; {taken}" if taken else "")
    )
