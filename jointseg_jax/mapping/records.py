"""STAC records of a product: an item per tile, a collection over all, and the model card.

    PRODUCT/collection.json      the collection, self-contained: all links are relative
    PRODUCT/items/TILE.json      one item per finished tile
    PRODUCT/sources/SCENE.json   one item per scene whose own record is not known, for `derived_from` to point at
    PRODUCT/model.json           the model card (MLM)
    PRODUCT/mosaics, index.*     see `mapping.mosaics`

STAC 1.1 with projection 2, raster 2, classification 2, file 2.1, processing 1.2. They are written from the ledger alone
(and from the headers of the files it names), so they can be written again at any time, with the same content.
"""

import collections
import datetime as dates
import os
import pathlib
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pystac
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.jobs.files import file_name, write_json
from jointseg_jax.mapping.card import CLASSIFICATION, SENTINEL2_BEGAN
from jointseg_jax.mapping.footprint import bbox, footprint
from jointseg_jax.mapping.mosaics import write_index, write_mosaics
from jointseg_jax.mapping.product import PROBABILITY_STEPS
from jointseg_jax.mapping.rows import SPACING, TileFile, TileRow, parse_rows, parse_time
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.header import Header, read_header
from jointseg_jax.rasters.lattice import same_lattice
from jointseg_jax.rasters.pictures import COLORMAP

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
ITEM_EXTENSIONS = [PROJECTION, RASTER, CLASSIFICATION, FILE, PROCESSING]

COLLECTION_ID = "impervious-1m"
COLLECTION_FILE, MODEL_FILE, ITEMS, SOURCES = "collection.json", "model.json", "items", "sources"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_JSON = "application/geo+json"
_SHA256 = "1220"  # multihash: SHA-256, 32 bytes
_TITLES = {
    "impervious": "impervious surface, 1 m",
    "probability": "probability of impervious surface, 1 m",
    "image": "super-resolved image, 1 m",
    "confidence": "confidence of the class, 1 m",
    "scene": "which scene each 10 m pixel was taken from",
}


def write_records(
    product: str | os.PathLike[str],
    rows: Mapping[str, Mapping[str, Any]],
    card: Mapping[str, Any],
    *,
    title: str = "Impervious surface at 1 m",
    licence: str = "other",
    say: Callable[[str], None] = print,
) -> pystac.Collection:
    """Writes all records of a product.

    Args:
        product: its folder.
        rows: the ledger's, by tile.
        card: see `card.model_item`.
        title: of the collection.
        licence: of the product, an SPDX identifier or `other`; it follows from the imagery's, so it is not guessed.
        say: receives what was written.

    Returns:
        The collection as written.

    Raises:
        InputError: a row or a file it names is not what it should be.
    """
    product = pathlib.Path(product)
    tiles = parse_rows(rows)
    check_one_network(tiles, card)
    items = [tile_item(product, tile) for tile in tiles]  # every file is looked at before anything is written
    unknown = {name: scene for name, scene in scenes_of(tiles).items() if not scene.get("href")}
    for name, scene in unknown.items():
        write_json(product / SOURCES / f"{file_name(name)}.json", _source_item(name, scene, _newest(items)))
    for item in items:
        write_json(product / ITEMS / f"{item.id}.json", item.to_dict(include_self_link=False, transform_hrefs=False))
    assets = {**write_mosaics(product, tiles), **write_index(product, tiles)}
    related = {"rel": "related", "href": f"./{COLLECTION_FILE}", "type": "application/json"}
    write_json(product / MODEL_FILE, {**card, "links": [related]})
    collection = _collection(tiles, items, card, title, licence, assets)
    write_json(product / COLLECTION_FILE, collection.to_dict(include_self_link=False, transform_hrefs=False))
    _sweep(product / ITEMS, {f"{item.id}.json" for item in items})
    _sweep(product / SOURCES, {f"{file_name(name)}.json" for name in unknown})
    say(f"records {product / COLLECTION_FILE}: {len(items)} tiles, {len(scenes_of(tiles))} scenes, model {card['id']}")
    return collection


def scenes_of(tiles: Sequence[TileRow]) -> dict[str, Mapping[str, Any]]:
    """Every scene that the tiles were made of, by id."""
    return {s["id"]: s for tile in tiles for s in tile.scenes}


def check_one_network(tiles: Sequence[TileRow], card: Mapping[str, Any]) -> None:
    """Raises `InputError` where tiles of another network, or of other weights of it, lie in the product."""
    wanted = {k: card["properties"]["mlm:hyperparameters"][k] for k in ("step", "weights")}
    digests = collections.Counter(str(t.model.get("sha256")) for t in tiles)
    usual = digests.most_common(1)[0][0]
    for tile in tiles:
        if str(tile.model.get("sha256")) != usual or any(tile.model.get(k) != v for k, v in wanted.items()):
            raise InputError(
                f"tile {tile.tile!r} was mapped by step {tile.model.get('step')}, {tile.model.get('weights')} weights "
                f"({str(tile.model.get('sha256'))[:12]}), and the product is of step {wanted['step']}, "
                f"{wanted['weights']} weights ({usual[:12]}): map one product with one network"
            )


def _newest(items: Sequence[pystac.Item]) -> str:
    return max(str(item.properties["created"]) for item in items)


def _sweep(folder: pathlib.Path, wanted: set[str]) -> None:
    """Removes records of tiles and scenes that the ledger no longer has."""
    for path in folder.glob("*.json") if folder.is_dir() else ():
        if path.name not in wanted and not path.name.startswith("."):
            path.unlink(missing_ok=True)


def tile_item(product: pathlib.Path, tile: TileRow) -> pystac.Item:
    """The item of a tile, whose links and assets are relative to PRODUCT/items.

    Raises:
        InputError: a file is missing, is not on the tile's lattice, or has another size than the ledger says.
    """
    ground = footprint(tile.epsg, tile.bounds)
    headers = {layer: checked_header(product, tile, layer) for layer in tile.files}
    made = (product / tile.files["impervious"].path).stat().st_mtime
    created = dates.datetime.fromtimestamp(int(made), dates.UTC)
    properties: dict[str, Any] = {
        "title": f"{tile.tile}, {_percent(tile.share)} impervious",
        **_when(tile, created),
        "created": created.isoformat(),
        "gsd": 1.0,
        "proj:code": f"EPSG:{tile.epsg}",
        "proj:bbox": list(tile.bounds),
        "processing:level": "L4",
        "processing:software": _software(headers["impervious"]),
        "processing:lineage": _lineage(tile),
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
        item.add_asset(layer, _asset(tile, layer, file, headers[layer]))
    item.collection_id = COLLECTION_ID
    for rel in ("root", "parent", "collection"):
        item.add_link(pystac.Link(rel, f"../{COLLECTION_FILE}", "application/json"))
    for scene in tile.scenes:
        href = scene.get("href") or f"../{SOURCES}/{urllib.parse.quote(file_name(scene['id']))}.json"
        item.add_link(pystac.Link("derived_from", str(href), _JSON, scene["id"]))
    item.add_link(pystac.Link("derived_from", f"../{MODEL_FILE}", _JSON, "the network"))
    return item


def checked_header(product: pathlib.Path, tile: TileRow, layer: str) -> Header:
    """What a tile's file says of itself; raises `InputError` unless it is the file that the ledger means."""
    path = product / tile.files[layer].path
    again = f"run predict.py again, which makes tile {tile.tile!r} anew"
    if not path.is_file():
        raise InputError(f"{path} is in the ledger and not on the disk: {again}")
    size = path.stat().st_size
    if size != tile.files[layer].bytes:
        raise InputError(f"{path} has {size} bytes where the ledger has {tile.files[layer].bytes}: {again}")
    header = read_header(path)
    if not same_lattice(header.lattice, tile.lattice(layer)):
        height, width = header.lattice.shape
        raise InputError(
            f"{path} ({width} x {height} pixels, {header.crs}) does not lie where the ledger puts tile {tile.tile!r} "
            f"(EPSG:{tile.epsg}, {list(tile.bounds)}): {again}"
        )
    return header


def _asset(tile: TileRow, layer: str, file: TileFile, header: Header) -> pystac.Asset:
    height, width = header.lattice.shape
    fields: dict[str, Any] = {
        "proj:shape": [height, width],
        "proj:transform": [float(v) for v in header.lattice.affine[:6]],
        "file:checksum": _SHA256 + file.sha256,
        "file:size": file.bytes,
        "bands": [_band(layer, name, header) for name in header.bands],
    }
    if layer == "scene":
        fields["classification:classes"] = [
            {"value": i, "name": s["id"], "description": str(s.get("datetime") or "no date")}
            for i, s in enumerate(tile.scenes)
        ] or [{"value": IGNORE, "name": "nodata", "nodata": True}]
    return pystac.Asset(
        f"../{urllib.parse.quote(file.path)}",
        title=_TITLES.get(layer, layer),
        media_type=_COG,
        roles=["metadata"] if layer in ("scene", "confidence") else ["data"],
        extra_fields=fields,
    )


def _band(layer: str, name: str, header: Header) -> dict[str, Any]:
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
            {"value": 0, "name": "pervious", "color_hint": _hex(0)},
            {"value": 1, "name": "impervious", "color_hint": _hex(1)},
            {"value": IGNORE, "name": "nodata", "nodata": True},
        ]
    return band


def _hex(value: int) -> str:
    return "".join(f"{c:02X}" for c in COLORMAP[value][:3])


def _percent(share: float | None) -> str:
    return "nothing mapped, 0 %" if share is None else f"{100 * share:.1f} %"


def _when(tile: TileRow, created: dates.datetime) -> dict[str, Any]:
    """Times of an item: STAC asks for a date, or for an interval that holds it."""
    if tile.datetime is not None:
        return {}
    if tile.interval is not None:
        first, last = tile.interval
        return {"start_datetime": first.isoformat(), "end_datetime": last.isoformat()}
    return {
        "start_datetime": SENTINEL2_BEGAN,
        "end_datetime": created.isoformat(),
        "description": "The date of a scene is not known: between Sentinel-2's launch and the making of this map.",
    }


def _software(header: Header) -> dict[str, str]:
    name, _, version = header.tags.get("SOFTWARE", "jointseg-jax").partition(" ")
    return {name: version or "unknown"}


def _lineage(tile: TileRow) -> str:
    model, taken = tile.model, "; ".join(f"{k}: {v}" for k, v in tile.decisions.items())
    return (
        f"{model.get('name')}, step {model.get('step')}, {model.get('weights')} weights, over "
        f"{len(tile.scenes)} scene(s)" + (f"; {taken}" if taken else "")
    )


def _source_item(name: str, scene: Mapping[str, Any], newest: str) -> dict[str, Any]:
    """A scene of which the product knows the name, perhaps the date, and not the footprint: so it has none."""
    when = parse_time(scene.get("datetime"), name)
    between = {"datetime": None, "start_datetime": SENTINEL2_BEGAN, "end_datetime": newest}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "geometry": None,
        "properties": between if when is None else {"datetime": when.isoformat()},
        "links": [],
        "assets": {},
    }


def _collection(
    tiles: Sequence[TileRow],
    items: Sequence[pystac.Item],
    card: Mapping[str, Any],
    title: str,
    licence: str,
    assets: Mapping[str, pystac.Asset],
) -> pystac.Collection:
    intervals = [tile.interval for tile in tiles]
    known = [i for i in intervals if i is not None]
    times: list[dates.datetime | None] = [None, None]
    if len(known) == len(intervals):
        times = [min(i[0] for i in known), max(i[1] for i in known)]
    layers = {layer: asset for item in reversed(items) for layer, asset in item.assets.items()}
    collection = pystac.Collection(
        COLLECTION_ID,
        f"{title}, mapped by {card['properties']['title']}. {card['properties']['description']}",
        pystac.Extent(
            pystac.SpatialExtent([union_bbox([i.bbox for i in items if i.bbox])]), pystac.TemporalExtent([times])
        ),
        title,
        stac_extensions=list(ITEM_EXTENSIONS),
        license=licence,
        keywords=["impervious surface", "Sentinel-2", "super-resolution"],
        providers=[
            pystac.Provider(
                "jointseg-jax",
                roles=[pystac.ProviderRole.PROCESSOR],
                extra_fields={"processing:software": items[0].properties["processing:software"]},
            )
        ],
        summaries=pystac.Summaries({"gsd": [1.0], "proj:code": sorted({f"EPSG:{t.epsg}" for t in tiles})}),
        extra_fields={
            "item_assets": {layer: _definition(asset) for layer, asset in sorted(layers.items())},
            "jointseg:owned_m2": sum(t.owned_m2 for t in tiles),
            "jointseg:valid_m2": sum(t.valid_m2 for t in tiles),
            "jointseg:impervious_m2": sum(t.impervious_m2 for t in tiles),
        },
    )
    collection.add_link(pystac.Link("root", f"./{COLLECTION_FILE}", "application/json"))
    for item in items:
        collection.add_link(pystac.Link("item", f"./{ITEMS}/{item.id}.json", _JSON, str(item.properties["title"])))
    collection.add_link(pystac.Link("derived_from", f"./{MODEL_FILE}", _JSON, "model card (MLM)"))
    for name, asset in assets.items():
        collection.add_asset(name, asset)
    return collection


def _definition(asset: pystac.Asset) -> dict[str, Any]:
    """What all assets of a layer have in common."""
    own = ("proj:shape", "proj:transform", "file:checksum", "file:size", "classification:classes", "href")
    return {k: v for k, v in asset.to_dict().items() if k not in own}


def union_bbox(boxes: Sequence[Sequence[float]]) -> list[float]:
    """The smallest box around some, across the antimeridian where one of them is."""
    south, north = min(b[1] for b in boxes), max(b[3] for b in boxes)
    if all(b[0] <= b[2] for b in boxes):
        return [min(b[0] for b in boxes), south, max(b[2] for b in boxes), north]
    west, east = min(b[0] % 360 for b in boxes), max(b[2] % 360 for b in boxes)
    return [(west + 180) % 360 - 180, south, (east + 180) % 360 - 180, north]
