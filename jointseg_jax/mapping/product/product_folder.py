"""Claims the folder of a mapped area, and lists its records, which may be rewritten."""

import pathlib
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from jointseg_jax.storage import folders
from jointseg_jax.storage.files import read_json

KIND = "map of an area"


def claim_product(
    product: pathlib.Path, *, inputs: Iterable[pathlib.Path] = (), mapped: bool = False, records: bool = False
) -> AbstractContextManager[folders.Claim]:
    """Claims the folder of a product, see `folders.claim`.

    Args:
        product: folder.
        inputs: files and folders that are read.
        mapped: the caller knows that the folder holds tiles of this program.
        records: writes records, which belong together: it waits until other processes have written theirs.
    """

    def older(folder: pathlib.Path) -> list[str] | None:
        planned = (folder / "plan.geojson").is_file() and (folder / "inputs" / "catalogue.json").is_file()
        return (
            sorted({name for name in _listed(folder) if not name.startswith(("..", "/"))})
            if planned or mapped
            else None
        )

    return folders.claim(product, KIND, inputs=inputs, older=older, others="wait" if records else "share")


def _listed(product: pathlib.Path) -> Iterator[str]:
    """Lists the records of a product older than folder markers: those linked from its collection, and of its tiles."""
    return (name for name in _linked(product) if not name.startswith(("..", "/")))


def _linked(product: pathlib.Path) -> Iterator[str]:
    for row in (product / "ledger").glob("*.json"):
        yield f"items/{row.name}"
    collection = _read(product / "collection.json")
    if "index" not in (collection.get("assets") or {}):
        return  # not written by this program
    yield "collection.json"
    yield "model.json"
    yield from (_inside("", asset) for asset in collection["assets"].values())
    for link in collection.get("links") or ():
        if link.get("rel") == "item":
            item = _inside("", link)
            yield item
            links = _read(product / item).get("links") or ()
            yield from (_inside("items", other) for other in links if other.get("rel") == "derived_from")


def _inside(base: str, link: Mapping[str, Any]) -> str:
    """Resolves a relative link to a path relative to the product."""
    return posixpath.normpath(posixpath.join(base, str(link.get("href", ""))))


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
