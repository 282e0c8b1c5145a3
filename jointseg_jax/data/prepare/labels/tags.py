"""Tags of vector features as text, from columns and from the `other_tags` of GDAL's OpenStreetMap driver."""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import pandas as pd

PACKED = ("other_tags", "all_tags", "tags")  # columns with several tags each: hstore text, JSON text, or mappings
# Columns by which OpenStreetMap's layers, and the shapefiles made of them, say what a feature is.
THEMATIC = frozenset(
    {
        "admin_level", "aeroway", "amenity", "barrier", "boundary", "building", "fclass", "highway", "landuse",
        "leisure", "man_made", "natural", "place", "railway", "waterway", *PACKED,
    }
)  # fmt: skip
_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"\s*=>\s*(?:"((?:[^"\\]|\\.)*)"|NULL)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def tags_of(table: pd.DataFrame, keys: Collection[str] | None = None) -> Iterator[dict[str, str]]:
    """Yields the tags of every row; absent and empty values are left out.

    Args:
        table: columns of a layer, geometry aside.
        keys: the tags wanted; all when None.
    """
    columns = {str(name): table[name].tolist() for name in table.columns}
    packed = [columns.pop(name) for name in PACKED if name in columns]
    plain = {name: values for name, values in columns.items() if keys is None or name in keys}
    for row in range(len(table)):
        tags: dict[str, str] = {}
        for column in packed:
            found = _unpack(column[row])
            tags.update(found if keys is None else {k: v for k, v in found.items() if k in keys})
        for name, values in plain.items():
            if text := _text(values[row]):
                tags[name] = text
        yield tags


def _unpack(value: Any) -> dict[str, str]:
    """Tags of one cell: `"surface"=>"asphalt","lanes"=>"2"`, JSON, or a mapping; empty if it is none of these."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    if isinstance(value, dict):
        return {str(k): text for k, v in value.items() if (text := _text(v))}
    if isinstance(value, str):
        pairs = ((_ESCAPED.sub(r"\1", k), _ESCAPED.sub(r"\1", v or "").strip()) for k, v in _PAIR.findall(value))
        return {k: v for k, v in pairs if v}
    return {}


def _text(value: Any) -> str:
    """A value as text: 4.0 is `4`, True is `yes`; empty if it is absent."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
