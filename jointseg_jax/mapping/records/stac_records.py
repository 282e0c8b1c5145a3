"""Writes the STAC records of a product: an item per tile, a collection over all, and the model card.

    PRODUCT/collection.json      the collection, self-contained: all links are relative
    PRODUCT/items/TILE.json      one item per finished tile
    PRODUCT/sources/SCENE.json   one item per scene without a known STAC record, as target of `derived_from`
    PRODUCT/model.json           the model card (MLM)
    PRODUCT/mosaics, index.*     see `records.zone_mosaics`
    PRODUCT/product.qgs          see `records.qgis_project`
    PRODUCT/accuracy.json        see `records.assessment`

STAC 1.1 with projection 2, raster 2, classification 2, file 2.1, processing 1.2. They are written from the ledger and
the headers of its files only, so they can be rewritten at any time with the same content.
"""

import collections
import datetime as dates
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pystac

from jointseg_jax.errors import InputError
from jointseg_jax.geo.antimeridian import union_bbox
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.product_folder import claim_product
from jointseg_jax.mapping.product.tile_record import TileRow, parse_rows, scene_interval
from jointseg_jax.mapping.records.assessment import ASSESSMENT_FILE, kept_assessment, with_assessment
from jointseg_jax.mapping.records.model_card import SENTINEL2_BEGAN
from jointseg_jax.mapping.records.qgis_project import PROJECT, write_project
from jointseg_jax.mapping.records.tile_items import (
    COLLECTION_FILE,
    ITEM_EXTENSIONS,
    ITEMS,
    JSON,
    MODEL_FILE,
    SOURCES,
    tile_item,
)
from jointseg_jax.mapping.records.zone_mosaics import mosaic_names, write_index, write_mosaics
from jointseg_jax.storage.files import file_name, write_json


def write_records(
    product: str | os.PathLike[str],
    rows: Mapping[str, Mapping[str, Any]],
    card: Mapping[str, Any],
    *,
    title: str | None = None,
    licence: str = "other",
    say: Callable[[str], None] = print,
) -> pystac.Collection:
    """Writes all records of a product.

    Args:
        product: its folder.
        rows: the ledger's rows, by tile.
        card: see `model_card.model_item`.
        title: of the collection; by default it names the mapped label.
        licence: of the product, an SPDX identifier or `other`; it depends on the imagery, so it is not guessed.
        say: receives what was written.

    Returns:
        The collection as written.

    Raises:
        InputError: a row or one of its files is invalid, or a file that this program did not write has a record's
            name.
    """
    product = pathlib.Path(product)
    tiles = parse_rows(rows)
    check_one_network(tiles, card)
    label = Label.of_record(card["properties"])
    items = [tile_item(product, tile, label) for tile in tiles]  # checks every file before anything is written
    unknown = {name: scene for name, scene in scenes_of(tiles).items() if not scene.get("href")}
    names = {f"{SOURCES}/{file_name(name)}.json" for name in unknown} | {f"{ITEMS}/{item.id}.json" for item in items}
    with claim_product(product, mapped=True, records=True) as claim:
        assessed = kept_assessment(product, tiles, say)
        names |= {*mosaic_names(tiles), PROJECT, MODEL_FILE, COLLECTION_FILE, *([ASSESSMENT_FILE] if assessed else [])}
        claim.announce(names)
        for name, scene in unknown.items():
            write_json(product / SOURCES / f"{file_name(name)}.json", _source_item(name, scene, _newest(items)))
        for item in items:
            write_json(
                product / ITEMS / f"{item.id}.json", item.to_dict(include_self_link=False, transform_hrefs=False)
            )
        assets = {**write_mosaics(product, tiles, label), **write_index(product, tiles)}
        write_project(product, tiles, label, title or label.title)
        related = {"rel": "related", "href": f"./{COLLECTION_FILE}", "type": "application/json"}
        write_json(product / MODEL_FILE, with_assessment({**card, "links": [related]}, assessed))
        collection = _collection(tiles, items, card, title or label.title, licence, assets)
        plain = collection.to_dict(include_self_link=False, transform_hrefs=False)
        write_json(product / COLLECTION_FILE, with_assessment(plain, assessed))
        claim.sweep(names)  # removes records of tiles and scenes that are no longer in the ledger
    say(f"records {product / COLLECTION_FILE}: {len(items)} tiles, {len(scenes_of(tiles))} scenes, model {card['id']}")
    return collection


def scenes_of(tiles: Sequence[TileRow]) -> dict[str, Mapping[str, Any]]:
    """Every scene that the tiles were made from, by id."""
    return {s["id"]: s for tile in tiles for s in tile.scenes}


def check_one_network(tiles: Sequence[TileRow], card: Mapping[str, Any]) -> None:
    """Raises `InputError` if the product holds tiles of another network or of other weights."""
    wanted = {k: card["properties"]["mlm:hyperparameters"][k] for k in ("step", "weights")}
    digests = collections.Counter(str(t.model.get("sha256")) for t in tiles)
    usual = digests.most_common(1)[0][0]
    for tile in tiles:
        if str(tile.model.get("sha256")) != usual or any(tile.model.get(k) != v for k, v in wanted.items()):
            raise InputError(
                f"tile {tile.tile!r} was mapped by step {tile.model.get('step')}, {tile.model.get('weights')} weights "
                f"({str(tile.model.get('sha256'))[:12]}), but the product by step {wanted['step']}, "
                f"{wanted['weights']} weights ({usual[:12]}): map all tiles of a product with one network"
            )


def _newest(items: Sequence[pystac.Item]) -> dates.datetime:
    return max(dates.datetime.fromisoformat(str(item.properties["created"])) for item in items)


def _times(first: dates.datetime, last: dates.datetime) -> dict[str, Any]:
    """The time properties of STAC: a time, or an interval."""
    if first == last:
        return {"datetime": first.isoformat()}
    return {"datetime": None, "start_datetime": first.isoformat(), "end_datetime": last.isoformat()}


def _source_item(name: str, scene: Mapping[str, Any], newest: dates.datetime) -> dict[str, Any]:
    """The item of a scene that is known by name and perhaps date, not by footprint; its geometry is null."""
    known = scene_interval(scene, name)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "geometry": None,
        "properties": _times(*known) if known else _times(dates.datetime.fromisoformat(SENTINEL2_BEGAN), newest),
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
    times = [_item_times(item) for item in items]
    interval: list[dates.datetime | None] = [min(t[0] for t in times), max(t[1] for t in times)]
    layers = {layer: asset for item in reversed(items) for layer, asset in item.assets.items()}
    label = Label.of_record(card["properties"])
    collection = pystac.Collection(
        label.collection_id,
        f"{title}, mapped by {card['properties']['title']}. {card['properties']['description']}",
        pystac.Extent(
            pystac.SpatialExtent([union_bbox([i.bbox for i in items if i.bbox])]), pystac.TemporalExtent([interval])
        ),
        title,
        stac_extensions=list(ITEM_EXTENSIONS),
        license=licence,
        keywords=[label.words, "Sentinel-2", "super-resolution"],
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
            "jointseg:label": label.name,
            "jointseg:classes": list(label.classes),
            "jointseg:owned_m2": sum(t.owned_m2 for t in tiles),
            "jointseg:valid_m2": sum(t.valid_m2 for t in tiles),
            "jointseg:impervious_m2": sum(t.impervious_m2 for t in tiles),
        },
    )
    collection.add_link(pystac.Link("root", f"./{COLLECTION_FILE}", "application/json"))
    for item in items:
        collection.add_link(pystac.Link("item", f"./{ITEMS}/{item.id}.json", JSON, str(item.properties["title"])))
    collection.add_link(pystac.Link("derived_from", f"./{MODEL_FILE}", JSON, "model card (MLM)"))
    for name, asset in assets.items():
        collection.add_asset(name, asset)
    return collection


def _item_times(item: pystac.Item) -> tuple[dates.datetime, dates.datetime]:
    if item.datetime is not None:
        return item.datetime, item.datetime
    first, last = (dates.datetime.fromisoformat(str(item.properties[k])) for k in ("start_datetime", "end_datetime"))
    return first, last


def _definition(asset: pystac.Asset) -> dict[str, Any]:
    """The fields that all assets of a layer share."""
    own = ("proj:shape", "proj:transform", "file:checksum", "file:size", "classification:classes", "href")
    return {k: v for k, v in asset.to_dict().items() if k not in own}
