"""Reads a STAC item into a typed record."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, TypedDict

from jointseg_jax.errors import InputError
from jointseg_jax.sources.raster_tags import percentage
from jointseg_jax.sources.wanted import Box
from jointseg_jax.storage import formats, typed

STAC = formats.Format("STAC", 1, "correct it")
_LARGEST = 1e18  # of a number in a tag; excludes infinities and NaN
# What is read of STAC; null counts as absent.
_NAMES = ("name", "common_name", "eo:common_name")
_Band = TypedDict(
    "_Band",
    {
        "name": str | None,
        "common_name": str | None,
        "eo:common_name": str | None,
        "scale": float | None,
        "offset": float | None,
        "raster:scale": float | None,
        "raster:offset": float | None,
    },
    total=False,
)
_Bands = list[_Band] | None
_Asset = TypedDict(
    "_Asset",
    {
        "href": str | None,
        "roles": tuple[str, ...] | str | None,
        "bands": _Bands,
        "eo:bands": _Bands,
        "raster:bands": _Bands,
        "raster:scale": float | None,
        "raster:offset": float | None,
    },
    total=False,
)


class _Dates(TypedDict, total=False):
    datetime: str | None
    start_datetime: str | None
    end_datetime: str | None


class _Item(TypedDict, total=False):
    properties: _Dates | None
    assets: dict[str, Any] | None


@dataclasses.dataclass(frozen=True)
class Asset:
    """An asset of an item.

    Attributes:
        key: its name in the item.
        href: as recorded; empty if missing.
        roles: may be empty.
        bands: the recorded names of each band, from STAC 1.1 (`bands`) or the eo extension (`eo:bands`).
        scalings: the recorded scale and offset (value = stored * scale + offset), one or one per band; often none.
    """

    key: str
    href: str
    roles: tuple[str, ...]
    bands: tuple[tuple[str, ...], ...]
    scalings: tuple[tuple[float, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Item:
    """A STAC item.

    Attributes:
        id: its identifier.
        path: of the item's file or address; relative hrefs start there.
        date: `datetime`; if that is null `START/END`, or the start alone; empty without a start.
        cloud: `eo:cloud_cover` in per cent; None if unknown.
        properties: those that are text, booleans or finite numbers, as text.
        assets: by key.
        bbox: west, south, east, north in degrees; None if unknown.
    """

    id: str
    path: pathlib.Path
    date: str
    cloud: float | None
    properties: Mapping[str, str]
    assets: Mapping[str, Asset]
    bbox: Box | None = None


def parse_item(record: Mapping[str, Any], path: pathlib.Path) -> Item:
    """Reads an item.

    Args:
        record: its JSON object.
        path: of the file or address that it was read from.

    Raises:
        InputError: it has no id, or a value of a wrong type.
    """
    identifier = record.get("id")
    if not isinstance(identifier, str | int) or isinstance(identifier, bool) or not str(identifier):
        raise InputError(f"{path} contains an item without an id: add one")
    where = f"{path}: item {str(identifier)!r}"
    given = typed.parse(record, _Item, STAC, where, partial=True)
    properties = record.get("properties") or {}
    return Item(
        str(identifier),
        path,
        _date(given.get("properties") or {}),
        percentage(properties.get("eo:cloud_cover")),
        {key: str(value) for key, value in properties.items() if _is_plain(key) and _is_plain(value)},
        {key: _asset(key, asset, where) for key, asset in (given.get("assets") or {}).items()},
        _box(record.get("bbox")),
    )


def _box(values: Any) -> Box | None:
    """West, south, east, north of a bbox, which may have heights; None if it is none."""
    numbers = values if isinstance(values, list) and len(values) in (4, 6) else []
    if not numbers or not all(isinstance(v, int | float) and abs(v) <= _LARGEST for v in numbers):
        return None
    half = len(numbers) // 2
    return float(numbers[0]), float(numbers[1]), float(numbers[half]), float(numbers[half + 1])


def _date(properties: _Dates) -> str:
    first, last = properties.get("start_datetime"), properties.get("end_datetime")
    return properties.get("datetime") or (f"{first}/{last}" if first and last else first or "")


def _is_plain(value: Any) -> bool:
    """Whether a value fits a raster's tag."""
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, int | float) and abs(value) <= _LARGEST


def _asset(key: str, asset: Any, item: str) -> Asset:
    own = typed.parse(asset, _Asset, STAC, f"{item}, asset {key!r},", partial=True)
    bands = own.get("bands") or own.get("eo:bands") or []
    roles = own.get("roles") or ()
    names = tuple(tuple(str(name) for k in _NAMES if (name := band.get(k))) for band in bands)
    return Asset(key, own.get("href") or "", (roles,) if isinstance(roles, str) else roles, names, _scalings(own))


def _scalings(asset: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """Scales and offsets: of the bands (the raster extension before and in STAC 1.1), or of the whole asset."""
    recorded = asset.get("raster:bands") or asset.get("bands") or []
    found = []
    for record in (*recorded, asset):
        scale, offset = (record.get(f"raster:{name}", record.get(name)) for name in ("scale", "offset"))
        if scale is not None or offset is not None:
            found.append((1.0 if scale is None else float(scale), float(offset or 0.0)))
    return tuple(found)
