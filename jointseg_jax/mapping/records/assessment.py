"""The outcome of an accuracy assessment as part of a product's records.

PRODUCT/accuracy.json    the outcome, and a digest of the map that was assessed

The collection and the model card state its figures, and `write_records` keeps them as long as the map is the same.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.product_folder import claim_product
from jointseg_jax.mapping.product.tile_record import TileRow
from jointseg_jax.mapping.records.tile_items import COLLECTION_FILE, MODEL_FILE
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import read_json, write_json

ASSESSMENT_FILE = "accuracy.json"
KEY = "jointseg:accuracy"
_SHORT = ("overall_accuracy", "users", "producers", "area", "area_unit", "interval", "confidence", "method", "sample")


@dataclasses.dataclass(frozen=True)
class Assessment:
    """An outcome on disk: JSON values of `evaluation.estimate`, and the digest of the map that was assessed."""

    frame: str
    outcome: dict[str, Any]


def frame_digest(tiles: Sequence[TileRow]) -> str:
    """SHA-256 of the places of a map's tiles and of the digests of their files, in hexadecimal."""
    parts = sorted((t.tile, t.epsg, list(t.bounds), t.files["impervious"].sha256) for t in tiles)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def add_assessment(product: pathlib.Path, outcome: Mapping[str, Any], frame: str) -> None:
    """Writes an outcome into a product, its collection and its model card; replaces an earlier one.

    Args:
        product: folder with records.
        outcome: of `evaluation.estimate`; JSON values.
        frame: digest of the map, see `frame_digest`.

    Raises:
        InputError: the product has no records, or a file that this program did not write has the name.
    """
    known = Assessment(frame, dict(outcome))
    with claim_product(product, mapped=True, records=True) as claim:
        claim.announce([ASSESSMENT_FILE])
        formats.write_record(product / ASSESSMENT_FILE, typed.plain(known), formats.ASSESSMENT)
        for name in (COLLECTION_FILE, MODEL_FILE):
            record = read_json(product / name)
            write_json(product / name, with_assessment(record, outcome))


def kept_assessment(product: pathlib.Path, tiles: Sequence[TileRow], say: Callable[[str], None]) -> dict[str, Any]:
    """The outcome that belongs to a product's map; empty if there is none, or if the map has changed since."""
    try:
        known = typed.read(product / ASSESSMENT_FILE, Assessment, formats.ASSESSMENT)
    except FileNotFoundError:
        return {}
    except InputError as error:
        say(f"records {error}")
        return {}
    if known.frame != frame_digest(tiles):
        say(f"records {product / ASSESSMENT_FILE} is of another state of the map, so the records leave it out")
        return {}
    return known.outcome


def with_assessment(record: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
    """A collection or a model card with the figures of an outcome; unchanged without any."""
    if not outcome:
        return dict(record)
    short = {key: outcome[key] for key in _SHORT if key in outcome}
    if record.get("type") == "Feature":
        return {**record, "properties": {**record["properties"], KEY: short}}
    asset = {
        "href": f"./{ASSESSMENT_FILE}",
        "title": "accuracy and area from a probability sample",
        "type": "application/json",
        "roles": ["metadata"],
    }
    return {**record, KEY: short, "assets": {**record.get("assets", {}), "accuracy": asset}}
