"""The dates of a site's image, label and inputs, and the days between them."""

import itertools
import pathlib
from collections.abc import Mapping, Sequence

from jointseg_jax.errors import InputError
from jointseg_jax.sources.dates import days_apart, interval_of
from jointseg_jax.sources.raster_tags import date_and_cloud, iso_date

IMAGE, LABEL = "image", "label"  # keys beside the modalities
Dates = Mapping[str, tuple[str | None, ...]]
Days = Mapping[str, tuple[int | None, ...]]


def date_of(raster: pathlib.Path) -> str:
    """The date in a raster's tags or name, see `dates.iso_moment`; empty if unknown."""
    return date_and_cloud(raster, raster.stem)[0]


def date_of_vectors(files: Sequence[pathlib.Path]) -> str:
    """The date in the files' names, an interval if they differ; empty if one has none."""
    found = sorted({iso_date(file.name) for file in files})
    if not found or not found[0]:
        return ""
    return found[0] if len(found) == 1 else f"{found[0]}/{found[-1]}"


def completed(found: Mapping[str, Sequence[str]], given: Mapping[str, Sequence[str]], site: str) -> Dates:
    """The dates of a site: those given, otherwise those found; None where unknown.

    Args:
        found: modality, `IMAGE` or `LABEL` -> one date per file, empty if the file does not tell.
        given: the same from the table of sites, for some of them.
        site: its name, for the message.

    Raises:
        InputError: another number of dates is given than there are files.
    """
    for name, dates in given.items():
        if name in found and len(dates) != len(found[name]):
            raise InputError(
                f"the table of sites gives {len(dates)} dates for {name!r} at site {site!r}, which has "
                f"{len(found[name])} files of it: give one for each, separated by spaces, in their order"
            )
    return {name: tuple(date or None for date in given.get(name, dates)) for name, dates in found.items()}


def days_from(date: str, dates: Dates) -> dict[str, tuple[int | None, ...]]:
    """Days from a date to each of `dates`, see `dates.days_apart`; None where either is unknown."""
    return {name: tuple(days_apart(one or "", date) for one in ones) for name, ones in dates.items()}


def nearest(days: Sequence[int | None]) -> int | None:
    """The smallest of some days by size; None if none is known."""
    return min((day for day in days if day is not None), key=abs, default=None)


def span(dates: Sequence[str | None]) -> int | None:
    """Days between the first and the last of some dates; None if one is unknown."""
    if not dates or any(date is None or interval_of(date) is None for date in dates):
        return None
    return max((abs(days_apart(a or "", b or "") or 0) for a, b in itertools.combinations(dates, 2)), default=0)


def in_words(date: str, days: Days) -> str:
    """For example "dates: image 2021-06-01; s2 +2, -10 days; s1 unknown"."""
    told = [
        f"{name} {', '.join('unknown' if day is None else f'{day:+d}' for day in ones)}"
        + (" days" if any(day is not None for day in ones) else "")
        for name, ones in days.items()
        if name != IMAGE
    ]
    return "; ".join([f"dates: {IMAGE} {date or 'unknown'}", *told])
