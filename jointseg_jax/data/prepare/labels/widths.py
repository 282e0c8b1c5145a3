"""Widths of lines as OpenStreetMap and others write them."""

import itertools
import re
from collections.abc import Mapping, Sequence

MOST = 200.0  # metres; the widest runways have 80
LEAST = 0.1
_METRES = {
    "": 1.0, "m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "cm": 0.01,
    "ft": 0.3048, "feet": 0.3048, "foot": 0.3048, "'": 0.3048, "in": 0.0254, "inch": 0.0254, "inches": 0.0254,
    '"': 0.0254, "''": 0.0254,
}  # fmt: skip
_PART = re.compile(r"\s*(\d+(?:[.,]\d+)?|[.,]\d+)\s*(''|[a-z]+|['\"]|)\s*")
_QUOTES = str.maketrans({"′": "'", "’": "'", "″": '"', "”": '"'})


def parse_length(text: str) -> float | None:
    """Reads a length, metres: `7`, `3.5 m`, `3,5m`, `12'`, `12'6"`, `40 ft`, `30 in`; None if it is none of these."""
    text = text.strip().lower().translate(_QUOTES)
    total, at, units = 0.0, 0, []
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or part[2] not in _METRES:
            return None
        total += float(part[1].replace(",", ".")) * _METRES[part[2]]
        units.append(_METRES[part[2]])
        at = part.end()
    falling = all(a > b for a, b in itertools.pairwise(units))  # feet, then inches
    return total if units and falling else None


def line_width(
    tags: Mapping[str, str], keys: Sequence[str], of_class: float, of_lane: float | None
) -> tuple[float, str, bool]:
    """The full width of a line.

    Args:
        tags: of the feature.
        keys: tags that give the width, the best first.
        of_class: width, metres, if the tags give none.
        of_lane: metres per lane of the tag `lanes`; None ignores lanes.

    Returns:
        Width in metres; its source (one of `keys`, `lanes`, `class`); whether a tag was there that could not be read
        or lay outside 0.1 to 200 m (0 often means unknown).
    """
    unreadable = False
    for key in keys:
        if key in tags:
            width = parse_length(tags[key])
            if width is not None and LEAST <= width <= MOST:
                return width, key, unreadable
            unreadable = True
    if of_lane is not None and "lanes" in tags:
        lanes = tags["lanes"]
        if re.fullmatch(r"[0-9]{1,2}", lanes) and LEAST <= int(lanes) * of_lane <= MOST:
            return int(lanes) * of_lane, "lanes", unreadable
        unreadable = True
    return of_class, "class", unreadable
