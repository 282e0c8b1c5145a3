"""Opens the maps of all dates, refuses those that cannot be compared, and writes the record of a monitor."""

import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence

import shapely

from jointseg_jax.change.monitor_record import FILE, LEDGER, Date, Monitor, Settings, read_record, write_monitor
from jointseg_jax.change.work import MEASURED, REGIONS
from jointseg_jax.change.year_map import YearMap, open_year
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.area.partition import GRID
from jointseg_jax.sources.dates import DATE_FORMS, interval_of
from jointseg_jax.storage import typed
from jointseg_jax.storage.files import write_json

_LISTED = 3


def parse_maps(given: Sequence[str]) -> dict[str, pathlib.Path]:
    """Parses `2017:DIR` and so on, in order of time.

    Raises:
        InputError: one is not a date and a folder, or two have the same time.
    """
    found: dict[str, pathlib.Path] = {}
    for text in given:
        label, colon, folder = text.partition(":")
        if not colon or not folder or interval_of(label) is None or "/" in label:
            raise InputError(f"--maps={text!r} is not a date and a folder: give 2017:DIR,2019:DIR or 2017-06:DIR")
        if label in found:
            raise InputError(f"--maps names {label} twice: give each date once")
        found[label] = pathlib.Path(folder)
    if len(found) < 2:
        raise InputError("change needs at least two dates: give --maps=2017:DIR,2019:DIR")
    ordered = sorted(found, key=time_of)
    for a, b in itertools.pairwise(ordered):
        if time_of(a) == time_of(b):
            raise InputError(f"--maps names {a} and {b}, which are the same time: give months or days ({DATE_FORMS})")
    return {label: found[label] for label in ordered}


def time_of(label: str) -> float:
    """The middle of a label's period, in years and fractions of a year."""
    period = interval_of(label)
    assert period is not None, label
    middle = period[0] + (period[1] - period[0]) / 2
    begin = middle.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    return round(middle.year + (middle - begin).total_seconds() / (365.25 * 86400), 4)


def open_maps(folders: Mapping[str, pathlib.Path], *, skip_missing: bool) -> dict[str, YearMap]:
    """Opens the maps of all dates.

    Args:
        folders: by label, in order of time.
        skip_missing: tiles that are planned but not mapped count as without data.

    Raises:
        InputError: a folder holds no map, or its map is not finished.
    """
    years = {label: open_year(folder) for label, folder in folders.items()}
    for label, year in years.items():
        unfinished = year.unfinished()
        if len(unfinished) == len(year.places):
            raise InputError(f"no tile of {year.folder} ({label}) is mapped yet: run `jointseg predict` on it first")
        if unfinished and not skip_missing:
            some = ", ".join(unfinished[:_LISTED]) + ("" if len(unfinished) <= _LISTED else " and more")
            raise InputError(
                f"{len(unfinished)} of the {len(year.places)} tiles of {year.folder} ({label}) are not mapped yet "
                f"({some}): run `jointseg predict` on it again, or add --skip_missing to decode them without this date"
            )
    return years


def differences(years: Mapping[str, YearMap]) -> list[str]:
    """In words, what makes maps hard to compare: their network, their processing."""
    found = []
    first, *rest = years
    a = years[first]
    for label in rest:
        b = years[label]
        if a.network != b.network:
            found.append(f"{label} was mapped by {b.network}, {first} by {a.network}")
        found += [
            f"{label} was mapped with {name} {b.settings[name]}, {first} with {a.settings[name]}"
            for name in a.settings
            if a.settings[name] != b.settings[name]
        ]
    return found


def grid_of(years: Mapping[str, YearMap]) -> int:
    """The side of the tiles of all products, metres.

    Raises:
        InputError: they differ, so tiles of one name lie on different ground.
    """
    grids = {label: year.grid for label, year in years.items() if year.grid}
    if len(set(grids.values())) > 1:
        sides = ", ".join(f"{side} m ({label})" for label, side in grids.items())
        raise InputError(f"the maps have tiles with sides of {sides}: map all dates with the same --grid")
    return next(iter(grids.values()), GRID)


def set_up(
    folder: pathlib.Path,
    years: Mapping[str, YearMap],
    settings: Settings,
    regions: Mapping[str, shapely.Geometry],
    *,
    mixed: bool,
) -> Monitor:
    """Writes the record of a monitor, or finds that of the same maps and settings.

    Args:
        folder: of the monitor, claimed.
        years: the maps by label, in order of time.
        settings: their grid is replaced by the maps'.
        regions: polygons in degrees by name.
        mixed: record differences between the maps, instead of refusing them.

    Raises:
        InputError: the maps differ, or tiles of other maps or settings are done in the folder.
    """
    grid, differing = grid_of(years), differences(years)
    if differing and not mixed:
        raise InputError(
            f"the maps cannot be compared: {'; '.join(differing)}: map all dates in the same way, or add --mixed, "
            "which records this"
        )
    shapes = {name: shapely.geometry.mapping(shape) for name, shape in regions.items()}
    settings = dataclasses.replace(settings, grid=grid, regions=_digest(shapes) if shapes else "")
    dates = tuple(_date(label, year) for label, year in years.items())
    own = [[d.label, d.digest] for d in dates]
    monitor = Monitor(
        dates,
        settings,
        tuple(regions),
        (),
        1.0,
        _preferred(years),
        tuple(differing),
        _digest([own, typed.plain(settings)]),
    )
    try:
        known = read_record(folder)
    except FileNotFoundError:
        known = None
    if known is not None and known.identity == monitor.identity:
        moved = dataclasses.replace(known, dates=dates, differences=tuple(differing))  # folders may have moved
        write_monitor(folder, moved)
        return moved
    if known is not None and any((folder / LEDGER).glob("*.json")):
        raise InputError(
            f"{folder / FILE} was made of other maps or with other settings, and some of its tiles are done: run with "
            "the original maps and settings, or choose another --output"
        )
    for row in (folder / MEASURED / "ledger").glob("*.json"):  # of other maps
        row.unlink(missing_ok=True)
    if shapes:
        write_json(folder / REGIONS, shapes)
    write_monitor(folder, monitor)
    return monitor


def _date(label: str, year: YearMap) -> Date:
    header = year.header()
    threshold = float((header.tags if header else {}).get("THRESHOLD", 0.5))
    folder = os.fspath(year.folder)
    return Date(
        label,
        time_of(label),
        folder,
        year.kind,
        year.network,
        year.settings,
        threshold,
        year.digest(),
        len(year.places),
    )


def _preferred(years: Mapping[str, YearMap]) -> tuple[str, ...]:
    """The labels by mapped ground, the most first: of equal ones the earlier."""
    return tuple(sorted(years, key=lambda label: -round(years[label].mapped_m2())))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
