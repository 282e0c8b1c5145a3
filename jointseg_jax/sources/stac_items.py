"""Reads STAC files (items, item collections, catalogues) into typed records."""

import dataclasses
import pathlib
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from jointseg_jax.errors import InputError
from jointseg_jax.sources.json_document import read_document
from jointseg_jax.sources.raster_tags import percentage
from jointseg_jax.storage import formats, typed

_DEPTH = 8  # nesting of catalogues
_LARGEST = 1e18  # of a number in a tag; excludes infinities and NaN
_LINKS = ("item", "items", "child")
_STAC = formats.Format("STAC", 1, "correct it")
# What is read of STAC; null counts as absent.
_Band = TypedDict("_Band", {"name": str | None, "common_name": str | None, "eo:common_name": str | None}, total=False)
_Bands = list[_Band] | None
_Asset = TypedDict(
    "_Asset",
    {"href": str | None, "roles": tuple[str, ...] | str | None, "bands": _Bands, "eo:bands": _Bands},
    total=False,
)


class _Dates(TypedDict, total=False):
    datetime: str | None
    start_datetime: str | None
    end_datetime: str | None


class _Item(TypedDict, total=False):
    properties: _Dates | None
    assets: dict[str, Any] | None


class Link(TypedDict, total=False):
    """A link of a STAC file."""

    rel: str | None
    href: str | None


class _File(TypedDict, total=False):
    features: list[dict[str, Any]] | None
    links: list[Link] | None


@dataclasses.dataclass(frozen=True)
class Asset:
    """An asset of an item.

    Attributes:
        key: its name in the item.
        href: as recorded; empty if missing.
        roles: may be empty.
        bands: the recorded names of each band, from STAC 1.1 (`bands`) or the eo extension (`eo:bands`).
    """

    key: str
    href: str
    roles: tuple[str, ...]
    bands: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Item:
    """A STAC item.

    Attributes:
        id: its identifier.
        path: of the item's file; relative hrefs start there.
        date: `datetime`; if that is null `START/END`, or the start alone; empty without a start.
        cloud: `eo:cloud_cover` in per cent; None if unknown.
        properties: those that are text, booleans or finite numbers, as text.
        assets: by key.
    """

    id: str
    path: pathlib.Path
    date: str
    cloud: float | None
    properties: Mapping[str, str]
    assets: Mapping[str, Asset]


def read_items(path: pathlib.Path) -> list[Item]:
    """Reads the items of a STAC file: an item, an item collection, or a collection or catalogue with links to items.

    Raises:
        InputError: the file is not STAC, a value has a wrong type, a link is broken, or there is no item.
    """
    items = list(_items(path, (), set()))
    if not items:
        raise InputError(f"{path} contains no STAC item: add links with the rel item, or give an item collection")
    return items


def local_path(href: str, base: pathlib.Path) -> pathlib.Path | None:
    """Resolves a href relative to the file that contains it; None if it is remote.

    Raises:
        InputError: the href is malformed.
    """
    try:
        parts = urllib.parse.urlsplit(href)
    except ValueError as error:
        raise InputError(f"{base} has the href {href[:80]!r}, which is not valid ({error}): correct it") from error
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost") or href.startswith("/vsi"):
        return None
    return base.parent / urllib.parse.unquote(parts.path if parts.scheme else href)


def _items(path: pathlib.Path, above: tuple[pathlib.Path, ...], seen: set[pathlib.Path]) -> Iterator[Item]:
    """Yields the items of a file and of its links, each file once."""
    own = path.absolute()
    if own in above:
        raise InputError(f"{path} links to itself, through {len(above)} catalogues: remove that link")
    if len(above) > _DEPTH:
        raise InputError(f"{path} is nested more than {_DEPTH} catalogues deep: link its items from a higher catalogue")
    if own in seen:
        return
    seen.add(own)
    record = _read(path)
    kind = record.get("type")
    if kind == "Feature" and "assets" in record:
        yield _item(record, path)
    elif kind == "FeatureCollection":
        for feature in typed.parse(record, _File, _STAC, path, partial=True).get("features") or ():
            if "assets" not in feature:
                raise _no_stac(path, kind)
            yield _item(feature, path)
    elif kind in ("Collection", "Catalog"):
        for number, link in enumerate(typed.parse(record, _File, _STAC, path, partial=True).get("links") or ()):
            if link.get("rel") in _LINKS:
                href = link.get("href")
                if not href:
                    raise InputError(f"{path}: link {number} has no href: add the path of a file, or remove the link")
                target = local_path(href, path)
                if target is None:
                    raise InputError(f"{path} links to {href[:80]}, which is remote: download it and link its copy")
                yield from _items(target, (*above, own), seen)
    else:
        raise _no_stac(path, kind)


def _read(path: pathlib.Path) -> Mapping[str, Any]:
    record = read_document(path, "give a STAC item, item collection or collection")
    if not isinstance(record, dict):
        raise _no_stac(path, None)
    return record


def _no_stac(path: pathlib.Path, kind: Any) -> InputError:
    text = repr(kind)
    return InputError(
        f"{path} is not a STAC item, item collection, collection or catalogue (type {text[:60]}): give such a "
        "file, or the folder of a prepared dataset or of scenes"
    )


def _item(record: Mapping[str, Any], path: pathlib.Path) -> Item:
    identifier = record.get("id")
    if not isinstance(identifier, str | int) or isinstance(identifier, bool) or not str(identifier):
        raise InputError(f"{path} contains an item without an id: add one")
    where = f"{path}: item {str(identifier)!r}"
    given = typed.parse(record, _Item, _STAC, where, partial=True)
    properties = record.get("properties") or {}
    return Item(
        str(identifier),
        path,
        _date(given.get("properties") or {}),
        percentage(properties.get("eo:cloud_cover")),
        {key: str(value) for key, value in properties.items() if _is_plain(key) and _is_plain(value)},
        {key: _asset(key, asset, where) for key, asset in (given.get("assets") or {}).items()},
    )


def _date(properties: _Dates) -> str:
    first, last = properties.get("start_datetime"), properties.get("end_datetime")
    return properties.get("datetime") or (f"{first}/{last}" if first and last else first or "")


def _is_plain(value: Any) -> bool:
    """Whether a value fits a raster's tag."""
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, int | float) and abs(value) <= _LARGEST


def _asset(key: str, asset: Any, item: str) -> Asset:
    own = typed.parse(asset, _Asset, _STAC, f"{item}, asset {key!r},", partial=True)
    bands = own.get("bands") or own.get("eo:bands") or []
    roles = own.get("roles") or ()
    names = tuple(tuple(str(name) for k in _Band.__annotations__ if (name := band.get(k))) for band in bands)
    return Asset(key, own.get("href") or "", (roles,) if isinstance(roles, str) else roles, names)
