"""Reads a monitor's folder, for the tools that run after it."""

import dataclasses
import datetime as dates
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from jointseg_jax.change.monitor_record import FILE, LAYERS, LEDGER, Monitor, read_record
from jointseg_jax.errors import InputError
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.product.tile_record import TileFile
from jointseg_jax.mapping.records.change_items import ChangeTile
from jointseg_jax.sources.dates import interval_of
from jointseg_jax.storage import formats, typed

_AGAIN = "run the same `jointseg monitor` command again"


@dataclasses.dataclass(frozen=True)
class RegionAreas:
    """Square metres on the ellipsoid: with a decoded state, impervious on each date, gain and loss in each interval."""

    valid_m2: float
    impervious_m2: tuple[float, ...]
    gain_m2: tuple[float, ...]
    loss_m2: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class MonitorRow:
    """The ledger's row of a finished tile.

    Attributes:
        tile, epsg, bounds: name and place, metres of its zone.
        years: labels of the dates.
        missing: labels of those without a map of this tile.
        maps: SHA-256 of the probabilities it was decoded from, by label.
        times: first and last acquisition, by label; None if unknown.
        owned_m2, valid_m2: ground of the tile; of it with a decoded state.
        regions: areas by region, "" outside all.
        flicker: `pixels` decoded; of them `raw` and `decoded` that go impervious, pervious, impervious, and
            `raw_changed` and `decoded_changed` that change at all.
        lies: how each date lies on the reference, see `inputs.Lies`.
        jumps: by date, see `stable.jump`.
        doubt: per date, see `decoding.decode`.
        files: layer name -> file.
        seconds: that it took to decode.
    """

    tile: str
    epsg: int
    bounds: tuple[float, float, float, float]
    years: tuple[str, ...]
    missing: tuple[str, ...]
    maps: Mapping[str, str]
    times: Mapping[str, tuple[str, str] | None]
    owned_m2: float
    valid_m2: float
    regions: Mapping[str, RegionAreas]
    flicker: Mapping[str, int]
    lies: Mapping[str, Mapping[str, Any]]
    jumps: Mapping[str, Mapping[str, Any]]
    doubt: tuple[float, ...]
    files: Mapping[str, TileFile]
    seconds: float

    def __post_init__(self) -> None:
        west, south, east, north = self.bounds
        placed = all(map(math.isfinite, self.bounds)) and west < east and south < north
        if not placed or set(self.files) != set(LAYERS):
            raise ValueError(f"tile {self.tile!r} has no place, or other files than {LAYERS}")

    @property
    def interval(self) -> tuple[dates.datetime, dates.datetime]:
        """First and last time at which the ground was seen; where that is unknown, those of the dates' labels."""
        known = [interval_of("/".join(self.times.get(label) or (label, label))) for label in self.years]
        found = [i for i in known if i is not None]
        return min(i[0] for i in found), max(i[1] for i in found)

    def item(self) -> ChangeTile:
        """What its record says."""
        regions = typed.plain(dict(self.regions))
        properties = {"years": list(self.years), "missing": list(self.missing), "owned_m2": self.owned_m2,
                      "valid_m2": self.valid_m2, "regions": regions, "flicker": dict(self.flicker),
                      "registration": dict(self.lies), "jumps": dict(self.jumps),
                      "doubt": list(self.doubt)}  # fmt: skip
        return ChangeTile(self.tile, self.epsg, self.bounds, self.interval, self.files, properties)


@dataclasses.dataclass(frozen=True)
class MonitorFolder:
    """A monitor and its finished tiles.

    Attributes:
        folder: to which paths of files are relative.
        monitor: the record.
        tiles: by name.
    """

    folder: pathlib.Path
    monitor: Monitor
    tiles: Mapping[str, MonitorRow]


def read_monitor(folder: str | os.PathLike[str]) -> MonitorFolder:
    """Reads the record and the finished tiles of a monitor.

    Raises:
        InputError: the folder is no monitor, or has no finished tile; a record is damaged or of a newer version.
    """
    folder = pathlib.Path(folder)
    try:
        monitor = read_record(folder)
    except FileNotFoundError:
        raise InputError(f"{folder / FILE} is missing: give the folder that `jointseg monitor` wrote") from None
    rows = Ledger(folder / LEDGER, folder).done()
    if not rows or not monitor.classes:
        raise InputError(f"{folder} has no finished tile yet: {_AGAIN}")
    return MonitorFolder(folder, monitor, {name: parse_row(name, row, folder) for name, row in rows.items()})


def parse_row(name: str, row: Mapping[str, Any], folder: pathlib.Path) -> MonitorRow:
    """Validates a row of the ledger; raises `InputError` if no finished tile could have written it."""
    advice = f"delete {folder / LEDGER / name}.json and {_AGAIN}"
    where = f"the ledger's row of tile {name!r} in {folder}"
    return typed.parse(dict(row), MonitorRow, formats.Format("row", 0, advice), where, partial=True)
