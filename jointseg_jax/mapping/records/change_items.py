"""Writes the STAC records of a monitor: an item per tile with a range of time, and a collection over all.

    MONITOR/collection.json      the collection, self-contained: all links are relative
    MONITOR/items/TILE.json      one item per finished tile

STAC 1.1 with projection 2, raster 2, classification 2, file 2.1, processing 1.2.
"""

import dataclasses
import datetime as dates
import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import pystac
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo.antimeridian import bbox, union_bbox
from jointseg_jax.geo.footprints import footprint
from jointseg_jax.mapping.product.tile_record import TileFile
from jointseg_jax.mapping.records.tile_items import COLLECTION_FILE, ITEM_EXTENSIONS, ITEMS, JSON
from jointseg_jax.rasters.header import Header, read_header
from jointseg_jax.rasters.lattice import make_lattice, same_lattice
from jointseg_jax.storage.files import write_json

_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_SHA256 = "1220"  # multihash: SHA-256, 32 bytes


@dataclasses.dataclass(frozen=True)
class ChangeTile:
    """A finished tile of a monitor.

    Attributes:
        tile: its name.
        epsg: of its lattice.
        bounds: west, south, east, north in that CRS, metres.
        interval: first and last time at which its ground was seen, or may have been.
        files: layer name -> file.
        properties: for people and programs: areas, figures.
    """

    tile: str
    epsg: int
    bounds: tuple[float, float, float, float]
    interval: tuple[dates.datetime, dates.datetime]
    files: Mapping[str, TileFile]
    properties: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class ChangeLayer:
    """What all files of a layer share.

    Attributes:
        title: for people.
        classes: name by value, with its colour as hexadecimal digits; empty for quantities.
        data: whether it is the product itself, not a measure of its quality.
    """

    title: str
    classes: Mapping[int, tuple[str, str]]
    data: bool


def change_records(tiles: Sequence[ChangeTile]) -> set[str]:
    """Names of the files that `write_change_records` writes."""
    return {COLLECTION_FILE, *(f"{ITEMS}/{tile.tile}.json" for tile in tiles)}


def write_change_records(
    folder: pathlib.Path,
    tiles: Sequence[ChangeTile],
    layers: Mapping[str, ChangeLayer],
    *,
    title: str,
    description: str,
    fields: Mapping[str, Any],
) -> None:
    """Writes the collection and the items of a monitor.

    Args:
        folder: of the monitor.
        tiles: at least one.
        layers: by name.
        title, description: of the collection.
        fields: further ones of the collection.

    Raises:
        InputError: a file is missing, lies off its tile's lattice, or has another size than the ledger says.
    """
    items = [_item(folder, tile, layers) for tile in tiles]
    for item in items:
        write_json(folder / ITEMS / f"{item.id}.json", item.to_dict(include_self_link=False, transform_hrefs=False))
    interval: list[dates.datetime | None] = [min(t.interval[0] for t in tiles), max(t.interval[1] for t in tiles)]
    collection = pystac.Collection(
        "change-1m",
        description,
        pystac.Extent(
            pystac.SpatialExtent([union_bbox([i.bbox for i in items if i.bbox])]), pystac.TemporalExtent([interval])
        ),
        title,
        stac_extensions=list(ITEM_EXTENSIONS),
        license="other",
        keywords=["change", "Sentinel-2"],
        providers=[pystac.Provider("jointseg-jax", roles=[pystac.ProviderRole.PROCESSOR])],
        summaries=pystac.Summaries({"gsd": [1.0], "proj:code": sorted({f"EPSG:{t.epsg}" for t in tiles})}),
        extra_fields=dict(fields),
    )
    collection.add_link(pystac.Link("root", f"./{COLLECTION_FILE}", "application/json"))
    for item in items:
        collection.add_link(pystac.Link("item", f"./{ITEMS}/{item.id}.json", JSON, item.id))
    plain = collection.to_dict(include_self_link=False, transform_hrefs=False)
    write_json(folder / COLLECTION_FILE, plain)


def _item(folder: pathlib.Path, tile: ChangeTile, layers: Mapping[str, ChangeLayer]) -> pystac.Item:
    ground = footprint(tile.epsg, tile.bounds)
    first, last = tile.interval
    headers = {name: _checked(folder, tile, name) for name in tile.files}
    software = next(iter(headers.values())).tags.get("SOFTWARE", "jointseg-jax").partition(" ")
    properties = {
        "title": f"change in {tile.tile}",
        "start_datetime": first.isoformat(),
        "end_datetime": last.isoformat(),
        "gsd": 1.0,
        "proj:code": f"EPSG:{tile.epsg}",
        "proj:bbox": list(tile.bounds),
        "processing:level": "L4",
        "processing:software": {software[0]: software[2] or "unknown"},
        **{f"jointseg:{key}": value for key, value in tile.properties.items()},
    }
    item = pystac.Item(
        tile.tile,
        shapely.geometry.mapping(ground),
        bbox(ground),
        None,
        properties,
        stac_extensions=list(ITEM_EXTENSIONS),
    )
    for name, file in tile.files.items():
        item.add_asset(name, _asset(file, headers[name], layers[name], name))
    item.collection_id = "change-1m"
    for rel in ("root", "parent", "collection"):
        item.add_link(pystac.Link(rel, f"../{COLLECTION_FILE}", "application/json"))
    return item


def _asset(file: TileFile, header: Header, layer: ChangeLayer, name: str) -> pystac.Asset:
    bands: list[dict[str, Any]] = []
    for band in header.bands:
        about: dict[str, Any] = {
            "name": band or name,
            "data_type": header.dtype,
            "nodata": header.nodata,
            "raster:spatial_resolution": 1.0,
        }
        if header.scale != 1.0:
            about["raster:scale"] = header.scale
        if layer.classes:
            about["classification:classes"] = [
                {"value": value, "name": words.replace(" ", "-"), "title": words, "color_hint": colour}
                for value, (words, colour) in layer.classes.items()
            ] + [{"value": int(header.nodata or 0), "name": "nodata", "nodata": True}]
        bands.append(about)
    return pystac.Asset(
        f"../{urllib.parse.quote(file.path)}",
        title=layer.title,
        media_type=_COG,
        roles=["data"] if layer.data else ["metadata"],
        extra_fields={
            "proj:shape": list(header.lattice.shape),
            "proj:transform": [float(v) for v in header.lattice.affine[:6]],
            "file:checksum": _SHA256 + file.sha256,
            "file:size": file.bytes,
            "bands": bands,
        },
    )


def _checked(folder: pathlib.Path, tile: ChangeTile, name: str) -> Header:
    path, again = folder / tile.files[name].path, "run `jointseg monitor` again with --check, which decodes it again"
    if not path.is_file() or path.stat().st_size != tile.files[name].bytes:
        raise InputError(f"{path} is missing or has another size than the ledger says: {again}")
    header = read_header(path)
    west, south, east, north = tile.bounds
    if not same_lattice(
        header.lattice, make_lattice(f"EPSG:{tile.epsg}", west, north, 1, round(north - south), round(east - west))
    ):
        raise InputError(f"{path} does not lie where the ledger says: {again}")
    return header
