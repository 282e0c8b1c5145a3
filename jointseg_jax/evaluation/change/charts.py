"""The charts of a report of change. Colours are told apart by colour-blind readers (Okabe, Ito 2008)."""

import itertools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import shapely

from jointseg_jax import pages
from jointseg_jax.change.layers import colours_of
from jointseg_jax.evaluation.change.decoded import States
from jointseg_jax.evaluation.change.growth import Unit
from jointseg_jax.evaluation.change.kinds import Kinds
from jointseg_jax.geo.area_of_interest import read_regions
from jointseg_jax.geo.utm_zones import to_zone, zone_of_epsg
from jointseg_jax.pages import Picture
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.reader import Handles

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "0.3")
_MARKS = ("o", "s", "^", "D", "v", "P", "x")
_SHOWN = 6  # maps at most
_SIDE = 2000  # metres of a map at most


def growth(
    table: Mapping[str, dict[str, Any]],
    kinds: Kinds,
    years: Sequence[float],
    areas: Mapping[str, dict[str, Any]],
    unit: Unit,
) -> Picture:
    """Impervious ground by date, and gain a year by period: mapped, and from the sample with its interval."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure((10.5, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    spans = [b - a for a, b in itertools.pairwise(years)]
    for number, (name, one) in enumerate(table.items()):
        colour, mark = _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)]
        built = np.array(list(one["impervious_m2"].values()))
        left.plot(years, 100 * built / one["known_m2"], marker=mark, color=colour, label=name)
        at = np.arange(len(spans)) + 0.8 * (number + 0.5) / len(table) - 0.4
        mapped = [row["gain_m2"] / span / unit.m2 for row, span in zip(one["periods"], spans, strict=True)]
        right.bar(at, mapped, 0.7 / len(table), color=colour, alpha=0.45)
        found = [areas.get(name, {}).get(f"gain {period}") for period in kinds.periods]
        for x, one_area, span in zip(at, found, spans, strict=True):
            if one_area and one_area["value"] is not None:
                value, low, high = (one_area[k] / span / unit.m2 for k in ("value", "low", "high"))
                right.errorbar(x, value, [[value - low], [high - value]], fmt=mark, color=colour, capsize=3)
    left.set(xticks=years, ylabel="impervious, % of the ground", ylim=(0, None), title="Impervious ground, mapped")
    left.set_xticklabels(kinds.labels)
    left.legend(framealpha=0.6)
    right.set_xticks(range(len(spans)), kinds.periods)
    right.set(ylabel=f"{unit.name} a year", title="Gain a year")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    words = "bars: mapped" + ("; points: estimate with 95 % interval" if areas else "")
    return pages.chart(figure, f"Impervious ground by date, and gain a year by period ({words})", "growth.png")


def maps(states: States, regions: str | os.PathLike[str] | None, name: str | None) -> Iterator[Picture]:
    """Maps of some places: the first and the last date, and the year of change."""
    handles = Handles(limit=4)
    try:
        for title, epsg, bounds in itertools.islice(_places(states, regions, name), _SHOWN):
            found = states.read(epsg, bounds, handles)
            if (found != IGNORE).any():
                yield _map(title, found, states.kinds)
    finally:
        handles.close()


def _places(
    states: States, regions: str | os.PathLike[str] | None, name: str | None
) -> Iterator[tuple[str, int, tuple[float, float, float, float]]]:
    """Squares to draw: around the largest polygon of every region, or in the middles of tiles."""
    if regions is None:
        for tile in states.tiles:
            yield tile.path.parent.name, tile.epsg, _square(*tile.bounds)
        return
    for title, shape in read_regions(pathlib.Path(regions), name).items():
        for epsg in sorted({tile.epsg for tile in states.tiles}):
            zone = zone_of_epsg(epsg)
            assert zone is not None, epsg
            largest = max(shapely.get_parts(to_zone(shape, zone)), key=lambda part: float(part.area))
            boxes = [shapely.box(*tile.bounds) for tile in states.tiles if tile.epsg == epsg]
            if any(largest.intersects(box) for box in boxes):
                yield title, epsg, _square(*largest.bounds)


def _square(west: float, south: float, east: float, north: float) -> tuple[float, float, float, float]:
    half = min(_SIDE, east - west, north - south) // 2
    x, y = round((west + east) / 2), round((south + north) / 2)
    return x - half, y - half, x + half, y + half


def _map(title: str, states: np.ndarray, kinds: Kinds) -> Picture:
    from matplotlib.figure import Figure

    figure = Figure((10.5, 3.9), layout="constrained")
    axes = figure.subplots(1, 3)
    table = np.zeros((256, 4))
    table[0], table[1] = (0.93, 0.93, 0.9, 1), (0.35, 0.35, 0.38, 1)
    for one, at in zip(axes, (0, -1), strict=False):
        one.imshow(table[states[at]], interpolation="nearest")
        one.set_title(kinds.labels[at])
    differs = states[1:] != states[:-1]
    when = np.where(differs.any(0), 1 + differs.argmax(0), 0)
    colours = np.zeros((256, 4))
    for value, rgba in colours_of(len(kinds.labels)).items():
        colours[value] = np.array(rgba) / 255
    shown = colours[np.where((states == IGNORE).any(0), IGNORE, when)]
    stable = (when == 0) & (states[0] == 1)
    shown[stable] = (0.7, 0.7, 0.7, 1)
    axes[2].imshow(shown, interpolation="nearest")
    axes[2].set_title("year of change")
    from matplotlib.patches import Patch

    patches = [Patch(color=colours[k + 1], label=period) for k, period in enumerate(kinds.periods)]
    axes[2].legend(handles=patches, fontsize=7, loc="lower right")
    for one in axes:
        one.set_axis_off()
    side = states.shape[1]
    caption = f"{title}: first and last date, and the first change; a square of {side} m, grey is stable impervious"
    return pages.chart(figure, caption, f"{title}.png")
