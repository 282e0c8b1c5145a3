"""Reads a product from its records, for the tools that run after mapping."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.tile_record import TileRow, parse_row
from jointseg_jax.mapping.records.tile_items import COLLECTION_FILE
from jointseg_jax.sources.json_document import read_document
from jointseg_jax.sources.stac_items import Link, resolve
from jointseg_jax.storage import formats, typed

_ANEW = "run jointseg predict again, which rewrites the records"
_OWNED = "jointseg:owned_m2"
_KEPT = ("owned_m2", "valid_m2", "impervious_m2", "scenes", "decisions", "agreement", "model", "seconds")


@dataclasses.dataclass(frozen=True)
class ProductRecord:
    """The content of a product's collection and items.

    Attributes:
        title, description: of the collection.
        label: the mapped label.
        tiles: one per item.
    """

    title: str
    description: str
    label: Label
    tiles: tuple[TileRow, ...]


@dataclasses.dataclass(frozen=True)
class _Collection:
    title: str | None = None
    description: str | None = None
    links: tuple[Link, ...] | None = None


def read_product(product: str | os.PathLike[str]) -> ProductRecord:
    """Reads the records of a product.

    Raises:
        InputError: there are no records, or they are damaged.
    """
    product = pathlib.Path(product)
    path = product / COLLECTION_FILE
    if not path.exists():
        raise InputError(f"{path} is missing: give the folder of a product that jointseg predict --aoi=... wrote")
    record = read_document(path, _ANEW)
    fields = typed.parse(record, _Collection, formats.Format("collection", 1, _ANEW), path, partial=True)
    items = [_inside(link.get("href") or "", path) for link in fields.links or () if link.get("rel") == "item"]
    if not items:
        raise InputError(f"{path} has no link to an item: {_ANEW}")
    tiles = tuple(_tile(i) for i in items)
    _check_complete(tiles, record.get(_OWNED), path)
    return ProductRecord(fields.title or "", fields.description or "", Label.of_record(record), tiles)


def _check_complete(tiles: Sequence[TileRow], stated: Any, path: pathlib.Path) -> None:
    """Compares the total ground of the tiles with the collection's figure."""
    owned = sum(tile.owned_m2 for tile in tiles)
    if not isinstance(stated, int | float) or not math.isclose(owned, stated, rel_tol=1e-6, abs_tol=1.0):
        raise InputError(
            f"{path} states {stated} m2, but its {len(tiles)} items add up to {owned:.1f} m2, so an item is missing or "
            f"repeated: {_ANEW}"
        )


def _inside(href: str, collection: pathlib.Path) -> pathlib.Path:
    path = resolve(href, collection)
    if ".." in path.parts or not path.is_relative_to(collection.parent):
        raise InputError(f"{collection} links to {href[:80]!r}, which is outside the product: {_ANEW}")
    return path


def _tile(path: pathlib.Path) -> TileRow:
    item = read_document(path, _ANEW)
    try:
        return parse_row(str(item["id"]), _row(item), f"{path}:", _ANEW)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise error if str(path) in str(error) else InputError(f"{path}: {error}") from error
        raise InputError(f"{path} is not the record of a tile ({type(error).__name__}: {error}): {_ANEW}") from error


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    """Restores the ledger's row that an item was written from."""
    p = item["properties"]
    files = {
        layer: {"path": a["href"].removeprefix("../"), "sha256": a["file:checksum"][4:], "bytes": a["file:size"]}
        for layer, a in item["assets"].items()
    }
    return {
        **{key: p[f"jointseg:{key}"] for key in _KEPT},
        "tile": item["id"],
        "epsg": int(p["proj:code"].removeprefix("EPSG:")),
        "bounds": p["proj:bbox"],
        "datetime": p["datetime"],
        "files": files,
    }
