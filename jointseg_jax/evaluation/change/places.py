"""Places of a dataset whose labels know the same ground in several years."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jointseg_jax.change.near import Bounds
from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window

ROWS = 1000  # metres of a strip that is read at once


@dataclasses.dataclass(frozen=True)
class Place:
    """Ground whose labels are known in all years: region, one site per year, bounds in metres of a zone."""

    region: str
    sites: tuple[Site, ...]
    epsg: int
    bounds: Bounds


def places_of(data: Dataset, split: str, labels: Sequence[str]) -> list[Place]:
    """The places of a split with a site in every year.

    Raises:
        InputError: there are none.
    """
    grouped: dict[tuple[Any, ...], dict[str, Site]] = {}
    for site in data.sites_of(split):
        key = (site.crs, site.left, site.top, site.height, site.width)
        grouped.setdefault(key, {})[site.date] = site
    found = []
    for (crs, left, top, height, width), dated in grouped.items():
        sites = [next((s for date, s in dated.items() if date.startswith(label)), None) for label in labels]
        known = tuple(s for s in sites if s is not None)
        if len(known) == len(labels):
            bounds = (left, top - COARSE_SPACING * height, left + COARSE_SPACING * width, top)
            found.append(Place(known[0].region, known, int(crs.removeprefix("EPSG:")), bounds))
    if not found:
        raise InputError(
            f"{data.root} has no place in split {split!r} with a label in each of {', '.join(labels)}: give a dataset "
            "whose sites have the dates of the monitor"
        )
    return found


def truth_of(data: Dataset, place: Place, handles: Handles) -> Iterator[tuple[Bounds, np.ndarray]]:
    """The labels of a place in strips: bounds, and states [dates, rows, cols]."""
    west, _, east, north = place.bounds
    rows, cols = place.sites[0].height * FINE_FACTOR, place.sites[0].width * FINE_FACTOR
    for top in range(0, rows, ROWS):
        window = Window(top, 0, min(ROWS, rows - top), cols)
        labels = [read_window(handles.get(str(data.root / s.label)), window)[0][..., 0] for s in place.sites]
        yield (west, north - top - window.height, east, north - top), np.stack(labels)
