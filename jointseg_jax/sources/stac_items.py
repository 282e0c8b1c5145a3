"""Finds the items of STAC: in item collections, static catalogues and the answers of APIs."""

import dataclasses
import pathlib
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote
from jointseg_jax.sources import json_document, stac_api
from jointseg_jax.sources.band_files import RASTERS
from jointseg_jax.sources.stac_item import STAC, Item, parse_item
from jointseg_jax.sources.wanted import ANYTHING, Wanted
from jointseg_jax.storage import typed
from jointseg_jax.storage.files import read_json, write_json

_DEPTH = 8  # nesting of catalogues
_LINKS = ("item", "items", "child")


class Link(TypedDict, total=False):
    """A link of a STAC file."""

    rel: str | None
    href: str | None


class _File(TypedDict, total=False):
    features: list[dict[str, Any]] | None
    links: list[Link] | None


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """A source of items.

    Attributes:
        path: its file or address.
        items: of a static catalogue.
        search: where the API is searched; None of a static catalogue.
        collection: of the API.
    """

    path: pathlib.Path
    items: tuple[Item, ...] = ()
    search: stac_api.Endpoint | None = None
    collection: str = ""

    def find(self, wanted: Wanted, kept: pathlib.Path | None = None) -> list[Item]:
        """The items that touch the wanted ground and time; those of unknown ground or date are among them.

        Args:
            wanted: of an API both ground and time are needed.
            kept: file of the API's answer: the same question is answered from it, so that a job that goes on finds
                what it began with.

        Raises:
            InputError: the API cannot be asked, or answers something else.
        """
        if self.search is None:
            return [item for item in self.items if wanted.has(item.date, item.bbox)]
        if wanted.bbox is None or wanted.period is None:
            raise InputError(
                f"{self.path} is a STAC API, which is searched by ground and time: give both "
                "(jointseg predict: --aoi=FILE --period=2021-05-01/2021-06-30)"
            )
        asked = {
            "search": self.search.url,
            "collection": self.collection,
            "bbox": wanted.bbox,
            "datetime": wanted.datetime,
        }
        record = _kept(kept, asked)
        if record is None:
            record = {"asked": asked, "features": stac_api.search(self.search, self.collection, wanted)}
            if kept is not None:
                write_json(kept, record)
        return [parse_item(feature, _own_address(feature, self.path)) for feature in record["features"]]


def is_stac(path: pathlib.Path) -> bool:
    """Whether a path is that of STAC, by its suffix; on another machine whatever is no raster."""
    suffix = remote.bare(path).suffix.lower()
    return suffix in (".json", ".geojson") or (remote.is_remote(path) and suffix not in RASTERS)


def open_catalogue(path: pathlib.Path) -> Catalogue:
    """Opens STAC: an item, an item collection, a collection or catalogue that links to items, a collection of an API.

    Args:
        path: of a file, or an address, see `remote.path_of`.

    Raises:
        InputError: it is not STAC, a value has a wrong type, a link is broken, or a static one has no item.
    """
    record = _read(path)
    found = _api(record, path) if remote.is_remote(path) else None
    if found is not None:
        return Catalogue(path, (), *found)
    items = tuple(_items(path, (), set(), record))
    if not items:
        raise InputError(f"{path} contains no STAC item: add links with the rel item, or give an item collection")
    return Catalogue(path, items)


def read_items(path: pathlib.Path) -> list[Item]:
    """Reads all items of a static catalogue, see `open_catalogue`."""
    return open_catalogue(path).find(ANYTHING)


def resolve(href: str, base: pathlib.Path) -> pathlib.Path:
    """The path of a href, relative to the file or address that contains it; see `remote.path_of`.

    Raises:
        InputError: the href is malformed.
    """
    try:
        parts = urllib.parse.urlsplit(href)
    except ValueError as error:
        raise InputError(f"{base} has the href {href[:80]!r}, which is not valid ({error}): correct it") from error
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return base.parent / urllib.parse.unquote(parts.path)
    if remote.is_remote(href):
        return remote.path_of(href)
    if parts.scheme and len(parts.scheme) > 1:  # one letter is a drive
        raise InputError(
            f"{base} has the href {href[:80]!r}, whose kind {parts.scheme!r} is not supported: give a path, or an "
            "address with https, s3, gs or az"
        )
    if remote.is_remote(base):
        return remote.path_of(urllib.parse.urljoin(remote.address(base), href))
    return base.parent / urllib.parse.unquote(href)


def _api(record: Mapping[str, Any], path: pathlib.Path) -> tuple[stac_api.Endpoint, str] | None:
    """Search and collection of a STAC API, if a document with an address is part of one."""
    if record.get("type") == "Catalog" and stac_api.endpoint(record, path) is not None:
        root = remote.address(path)
        names = stac_api.collections(root)
        known = f" ({', '.join(names[:20])})" if names else ""
        raise InputError(
            f"{path} is a STAC API of several collections{known}: give the address of one, such as "
            f"{root.rstrip('/')}/collections/{names[0] if names else 'sentinel-2-l2a'}"
        )
    if record.get("type") != "Collection":
        return None
    links = typed.parse(record, _File, STAC, path, partial=True).get("links") or ()
    root = next((link.get("href") or "" for link in links if link.get("rel") == "root"), "")
    at = resolve(root, path) if root else None
    if at is None or not remote.is_remote(at) or at == path:
        return None
    search = stac_api.endpoint(_read(at), at)
    return None if search is None else (search, str(record.get("id", "")))


def _kept(path: pathlib.Path | None, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """The kept answer to a question; None without one, or with one to another question."""
    try:
        record = None if path is None else read_json(path)
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("features"), list):
        return None
    return record if record.get("asked") == {**asked, "bbox": list(asked["bbox"])} else None


def _own_address(feature: Mapping[str, Any], path: pathlib.Path) -> pathlib.Path:
    """Where an item of an API's answer lies: hrefs may be relative to it."""
    if not isinstance(feature, dict) or "assets" not in feature:
        raise InputError(f"{path} answers with something that is no STAC item: correct the address")
    links = typed.parse(feature, _File, STAC, path, partial=True).get("links") or ()
    own = next((link.get("href") for link in links if link.get("rel") == "self"), None)
    return resolve(own, path) if own else path


def _items(
    path: pathlib.Path,
    above: tuple[pathlib.Path, ...],
    seen: set[pathlib.Path],
    record: Mapping[str, Any] | None = None,
) -> Iterator[Item]:
    """Yields the items of a file and of its links, each file once."""
    own = path.absolute()
    if own in above:
        raise InputError(f"{path} links to itself, through {len(above)} catalogues: remove that link")
    if len(above) > _DEPTH:
        raise InputError(f"{path} is nested more than {_DEPTH} catalogues deep: link its items from a higher catalogue")
    if own in seen:
        return
    seen.add(own)
    record = _read(path) if record is None else record
    kind = record.get("type")
    if kind == "Feature" and "assets" in record:
        yield parse_item(record, path)
    elif kind == "FeatureCollection":
        collection = typed.parse(record, _File, STAC, path, partial=True)
        if any(link.get("rel") == "next" for link in collection.get("links") or ()):
            raise InputError(
                f"{path} is one page of an API's answer, with more to follow: give the address of the collection "
                "(.../collections/NAME), which is searched"
            )
        for feature in collection.get("features") or ():
            if "assets" not in feature:
                raise _no_stac(path, kind)
            yield parse_item(feature, path)
    elif kind in ("Collection", "Catalog"):
        for number, link in enumerate(typed.parse(record, _File, STAC, path, partial=True).get("links") or ()):
            if link.get("rel") in _LINKS:
                href = link.get("href")
                if not href:
                    raise InputError(f"{path}: link {number} has no href: add the path of a file, or remove the link")
                yield from _items(resolve(href, path), (*above, own), seen)
    else:
        raise _no_stac(path, kind)


def _read(path: pathlib.Path) -> Mapping[str, Any]:
    read = stac_api.read_document if remote.is_remote(path) else json_document.read_document
    record = read(path, "give a STAC item, item collection or collection")
    if not isinstance(record, dict):
        raise _no_stac(path, None)
    return record


def _no_stac(path: pathlib.Path, kind: Any) -> InputError:
    text = repr(kind)
    return InputError(
        f"{path} is not a STAC item, item collection, collection or catalogue (type {text[:60]}): give such a "
        "file, or the folder of a prepared dataset or of scenes"
    )
