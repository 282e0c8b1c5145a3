"""Rows of a product's ledger, one per finished tile, validated before use."""

import dataclasses
import datetime as dates
import math
import re
from collections.abc import Mapping
from typing import Any

from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.geo.utm_zones import zone_of_epsg
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.storage import formats, typed

# Metres; layers not named here lie at 1 m.
SPACING = dict.fromkeys(("scene", "fraction", "dissimilarity"), COARSE_SPACING)
LAYERS = ("impervious", "probability", "image", "confidence", "support", "set", "fraction", "dissimilarity", "scene")

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_AREA_SLACK = 1e-6  # relative; areas are sums of many floats


@dataclasses.dataclass(frozen=True)
class TileFile:
    """A file of a tile: path relative to the product, SHA-256 in hexadecimal, size in bytes."""

    path: str
    sha256: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class TileRow:
    """The ledger's row of a finished tile.

    Attributes:
        tile: its name.
        epsg: of its lattice.
        bounds: west, south, east, north in that CRS, metres.
        datetime: of the acquisition; None for scenes of several or unknown dates.
        scenes: {"id", "datetime", "share", perhaps "interval" and "href"} of every scene used; a scene of unknown day
            has no datetime, and an interval of two times if its month, its year or both its ends are known.
        files: layer name -> file.
        owned_m2, valid_m2, impervious_m2: geodesic areas: of the tile's owned ground, of its mapped part, and of the
            impervious part of that.
        decisions: how the scenes' values were interpreted.
        agreement: of the maps of two scenes where they overlap.
        model: {"name", "step", "weights", "sha256"}.
        seconds: {"read", "compute", "write"}.
    """

    tile: str
    epsg: int
    bounds: tuple[float, float, float, float]
    datetime: dates.datetime | None
    scenes: tuple[Mapping[str, Any], ...]
    files: Mapping[str, TileFile]
    owned_m2: float
    valid_m2: float
    impervious_m2: float
    decisions: Mapping[str, Any]
    agreement: tuple[Any, ...]
    model: Mapping[str, Any]
    seconds: Mapping[str, float]

    @property
    def share(self) -> float | None:
        """Impervious share of the mapped ground; None if nothing was mapped."""
        return self.impervious_m2 / self.valid_m2 if self.valid_m2 > 0 else None

    @property
    def interval(self) -> tuple[dates.datetime, dates.datetime] | None:
        """First and last acquisition used; None if a scene's date is unknown."""
        if self.datetime is not None:
            return self.datetime, self.datetime
        known = [i for s in self.scenes if (i := scene_interval(s, self.tile)) is not None]
        if not known or len(known) < len(self.scenes):
            return None
        return min(first for first, _ in known), max(last for _, last in known)

    def lattice(self, layer: str) -> GeoBox:
        """The lattice of one of its files."""
        spacing = SPACING.get(layer, 1.0)
        west, south, east, north = self.bounds
        return make_lattice(
            f"EPSG:{self.epsg}", west, north, spacing, round((north - south) / spacing), round((east - west) / spacing)
        )


def parse_rows(rows: Mapping[str, Mapping[str, Any]]) -> list[TileRow]:
    """Validates the rows of a ledger; returns them in order of tile name.

    Raises:
        InputError: there are no rows, or one lacks a field or holds an impossible value.
    """
    if not rows:
        raise InputError("the product has no finished tile yet: run jointseg predict again until one is done")
    return [parse_row(name, rows[name]) for name in sorted(rows)]


def parse_row(
    name: str,
    row: Mapping[str, Any],
    where: str = "the ledger's row of",
    advice: str = "",
) -> TileRow:
    """Validates one row; raises `InputError`, with location and advice, if no finished tile could have written it."""
    advice = advice or f"delete ledger/{name}.json and run jointseg predict again"

    def refuse(what: str) -> InputError:
        return InputError(f"{where} tile {name!r} {what}: {advice}")

    given = {**row, "datetime": parse_time(row["datetime"], name)} if "datetime" in row else row
    tile = typed.parse(given, TileRow, formats.Format("row", 0, advice), f"{where} tile {name!r}", partial=True)
    bounds, files = tile.bounds, tile.files
    if tile.tile != name or not _NAME.fullmatch(name):
        raise refuse(f"has the tile name {tile.tile!r}, which is invalid or of another tile")
    if zone_of_epsg(tile.epsg) is None:
        raise refuse(f"has the CRS EPSG:{tile.epsg}, which is not a UTM zone of WGS 84")
    if not all(map(math.isfinite, bounds)) or bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        raise refuse(f"has bounds {list(bounds)}, which enclose no area")
    for value in (bounds[2] - bounds[0], bounds[3] - bounds[1]):
        if abs(value / COARSE_SPACING - round(value / COARSE_SPACING)) > 1e-6:
            raise refuse(
                f"has bounds {list(bounds)}, whose sides are not a whole number of {COARSE_SPACING:g} m pixels"
            )
    owned, valid, impervious = tile.owned_m2, tile.valid_m2, tile.impervious_m2
    slack = _AREA_SLACK * max(owned, 1.0)
    if not -slack <= impervious <= valid + slack <= owned + 2 * slack < math.inf:  # NaN is not
        raise refuse(f"has inconsistent areas (impervious {impervious}, valid {valid}, owned {owned} m2)")
    if not all(isinstance(scene.get("id"), str) for scene in tile.scenes):
        raise refuse("has a scene without an id")
    if "impervious" not in files:
        raise refuse("has no impervious map among its files")
    for layer, file in files.items():
        parts = file.path.split("/")
        if file.path.startswith("/") or ".." in parts or not re.fullmatch("[0-9a-f]{64}", file.sha256):
            raise refuse(f"has an invalid path or checksum of its layer {layer!r}")
    return tile


def parse_time(text: Any, name: str) -> dates.datetime | None:
    """Parses an ISO time, as UTC if it has no zone; raises `InputError` if it is malformed."""
    if text is None:
        return None
    try:
        time = dates.datetime.fromisoformat(str(text))
    except ValueError as error:
        raise InputError(
            f"tile {name!r} has the date {text!r}, which is not an ISO date: delete ledger/{name}.json and run "
            "jointseg predict again"
        ) from error
    return time.replace(tzinfo=dates.UTC) if time.tzinfo is None else time.astimezone(dates.UTC)


def scene_interval(scene: Mapping[str, Any], name: str) -> tuple[dates.datetime, dates.datetime] | None:
    """First and last time of a tile's scene, equal if its day is known; None if nothing is known.

    Raises:
        InputError: a time or interval is given but malformed.
    """
    time = parse_time(scene.get("datetime"), name)
    given = scene.get("interval")
    if time is not None or given is None:
        return None if time is None else (time, time)
    ends = [parse_time(end, name) for end in given] if isinstance(given, list | tuple) else []
    if len(ends) != 2 or ends[0] is None or ends[1] is None or ends[0] > ends[1]:
        raise InputError(
            f"tile {name!r} has a scene with the interval {given!r}, which is not two ISO dates in order: delete "
            f"ledger/{name}.json and run jointseg predict again"
        )
    return ends[0], ends[1]
