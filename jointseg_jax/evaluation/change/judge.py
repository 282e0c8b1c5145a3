"""Judges decoded change against a dataset whose labels know the same ground in the same years.

metrics.json    scores of the decoded states, of the single maps (naive differencing) and of a majority filter
                over three dates, per region and in all; growth, mapped and true

A place counts that the dataset has in all years of the monitor. What the single maps do not show (cloud) takes their
state of the year before. Sites of several years are told apart by their date.
"""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jointseg_jax.change.monitor_record import read_record
from jointseg_jax.change.near import Bounds
from jointseg_jax.change.year_map import open_year
from jointseg_jax.data.dataset import Dataset, load
from jointseg_jax.evaluation.change.decoded import read_states
from jointseg_jax.evaluation.change.growth import Growth, by_region
from jointseg_jax.evaluation.change.kinds import Kinds, filled, majority, thresholded
from jointseg_jax.evaluation.change.places import Place, places_of, truth_of
from jointseg_jax.evaluation.change.scores import ChangeCounts
from jointseg_jax.rasters.reader import Handles

METRICS = "metrics.json"
METHODS = {
    "decoded": "decoded as a sequence",
    "majority": "majority of three dates",
    "naive": "single maps (naive differencing)",
}
ALL = "all"


Reader = Callable[[int, Bounds, Handles], dict[str, np.ndarray]]


def compared(
    data: Dataset, places: Sequence[Place], kinds: Kinds, years: Sequence[float], read: Reader
) -> dict[str, Any]:
    """Scores of methods on places.

    Args:
        data: with the labels.
        places: of it.
        kinds: of change.
        years: of the dates, with fractions.
        read: the states of every method over a rectangle.
    """
    counts: dict[tuple[str, str], ChangeCounts] = {}
    areas: dict[tuple[str, str], Growth] = {}
    handles = Handles(limit=32)
    try:
        for place in places:
            for bounds, true in truth_of(data, place, handles):
                for name, states in (read(place.epsg, bounds, handles) | {"true": true}).items():
                    for region in (place.region, ALL):
                        key, grown = (name, region), Growth.of(states)
                        areas[key] = areas[key] + grown if key in areas else grown
                        if name != "true":
                            one = ChangeCounts.of(states, true, kinds)
                            counts[key] = counts[key] + one if key in counts else one
    finally:
        handles.close()
    regions = list(dict.fromkeys([*(place.region for place in places), ALL]))
    methods = dict.fromkeys(name for name, _ in counts)
    return {
        "dates": list(kinds.labels),
        "periods": list(kinds.periods),
        "methods": {name: {r: counts[name, r].figures(kinds) for r in regions} for name in methods},
        "growth": {
            name: by_region({r: areas[name, r] for r in regions}, kinds.labels, years) for name in [*methods, "true"]
        },
    }


def judge(monitor: str | os.PathLike[str], dataset: str | os.PathLike[str], split: str = "test") -> dict[str, Any]:
    """The content of metrics.json.

    Raises:
        InputError: the monitor or the dataset cannot be read, or they have no common ground and years.
    """
    monitor = pathlib.Path(monitor)
    record, states = read_record(monitor), read_states(monitor)
    data = load(dataset)
    maps = [open_year(pathlib.Path(date.folder)) for date in record.dates]
    thresholds = [date.threshold for date in record.dates]

    def read(epsg: int, bounds: Bounds, handles: Handles) -> dict[str, np.ndarray]:
        single = [
            thresholded([year.read(epsg, bounds, handles)], t)[0] for year, t in zip(maps, thresholds, strict=True)
        ]
        shown = filled(np.stack(single))
        return {"decoded": states.read(epsg, bounds, handles), "majority": majority(shown), "naive": shown}

    places = places_of(data, split, states.kinds.labels)
    found = compared(data, places, states.kinds, [date.time for date in record.dates], read)
    return {"dataset": data.description.get("name", ""), "split": split, "places": len(places), **found}


def table(metrics: dict[str, Any]) -> str:
    """The scores as lines of text: a row per method and region."""

    def shown(value: float | None, factor: float = 1) -> str:
        return "-" if value is None else f"{factor * value:.3f}"

    head = f"{'':34} {'region':12} F1 change  F1 gain  F1 loss  false change %  flicker %  right period"
    lines = [head]
    for name, regions in metrics["methods"].items():
        for region, f in regions.items():
            lines.append(
                f"{METHODS.get(name, name):34} {region:12} {shown(f['change']['f1']):>9}  {shown(f['gain']['f1']):>7}  "
                f"{shown(f['loss']['f1']):>7}  {shown(f['false_change'], 100):>14}  {shown(f['flicker'], 100):>9}  "
                f"{shown(f['right_period']):>12}"
            )
    return "\n".join(lines)
