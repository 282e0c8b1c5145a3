"""Builds a page that shows decoded change.

MONITOR/viewer/index.html    a slider over the dates, the year of change, and the table of regions; nothing is requested
                             from elsewhere
"""

import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jointseg_jax.bounds import flags as bounds
from jointseg_jax.change.layers import colours_of, words_of
from jointseg_jax.change.monitor_record import read_record
from jointseg_jax.evaluation.change.decoded import States, read_states
from jointseg_jax.evaluation.change.growth import by_region, unit_of
from jointseg_jax.evaluation.change.report import measured
from jointseg_jax.evaluation.products.regions import ALL, Regions
from jointseg_jax.geo.antimeridian import bbox
from jointseg_jax.geo.area_of_interest import read_regions
from jointseg_jax.geo.footprints import footprint
from jointseg_jax.mapping.viewer.build import FOLDER, last_level
from jointseg_jax.mapping.viewer.page_folder import CONTENT, page_folder
from jointseg_jax.mapping.viewer.page_tiles import extent
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.pictures.drawing import COLORMAP
from jointseg_jax.rasters.pictures.pyramid import Paint, write_pyramid
from jointseg_jax.storage.files import write_text

_LEVELS = 9  # zoom levels below the last
_CHANGE, _LOSS = "change", (0, 158, 115)  # layer; colour of ground that is pervious in the end
_STABLE = (150, 150, 150)
_DIM = (222, 222, 214)


def build(
    monitor: str | os.PathLike[str],
    *,
    regions: str | os.PathLike[str] | None = None,
    name: str | None = None,
    deepest: int | None = None,
    say: Callable[[str], None] = print,
) -> pathlib.Path:
    """Builds the page in the monitor's folder; replaces an older page once the new one is complete.

    Args:
        monitor: the --output of `jointseg monitor`.
        regions: polygons for the table; None for none.
        name: their column; None for the first of text.
        deepest: last zoom level; by default 17, which shows 1 m, or less for a large area.
        say: receives a line for each written part.

    Returns:
        The page.

    Raises:
        InputError: an input is missing or unreadable, or the page's folder holds other files.
    """
    monitor = pathlib.Path(monitor)
    record, states = read_record(monitor), read_states(monitor)
    bounds.ZOOM.check("--max-zoom", deepest)
    boxes = [bbox(footprint(t.epsg, t.bounds)) for t in states.tiles]
    last = deepest if deepest is not None else last_level(boxes, say)
    zooms = (max(0, last - _LEVELS), last)
    labels = states.kinds.labels
    found = measured(states, None if regions is None else Regions(pathlib.Path(regions), name))
    growth = by_region(found, labels, [date.time for date in record.dates])
    target = monitor / FOLDER
    with page_folder(target, [] if regions is None else [pathlib.Path(regions)]) as building:
        listed = []
        for number, label in enumerate(labels):
            sources = [(tile.path, (number + 1,)) for tile in states.tiles]
            count = write_pyramid(building / "layers" / f"date{number}", sources, boxes, zooms, _paint_state)
            say(f"layer   {label}: {count} pictures")
            listed.append({"id": f"date{number}", "title": f"impervious, {label}"})
        every = tuple(range(1, len(labels) + 1))
        whole = [(tile.path, every) for tile in states.tiles]
        count = write_pyramid(building / "layers" / _CHANGE, whole, boxes, zooms, _painter(len(labels)))
        say(f"layer   year of change: {count} pictures")
        listed.append({"id": _CHANGE, "title": "year of change"})
        content = _content(states, boxes, zooms, listed, growth) | {"table": _table(growth, regions, name)}
        about = json.dumps(content, ensure_ascii=True, allow_nan=False)
        write_text(building / CONTENT, f"window.PRODUCT = {about};\n")
    say(f"page    {target / 'index.html'}")
    return target / "index.html"


def _content(
    states: States,
    boxes: list[list[float]],
    zooms: tuple[int, int],
    layers: list[dict[str, str]],
    growth: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    labels = states.kinds.labels
    classes = {str(v): _hex(rgba) for v, rgba in COLORMAP.items()}
    colours = colours_of(len(labels))
    lines = [(_hex(colours[k]), text) for k, text in words_of(labels).items() if k > 0]
    legend = [*lines, (_hex(_LOSS), "pervious in the end"), (_hex(_STABLE), "always impervious"), (_hex(_DIM), "never")]
    plain = [(classes["1"], "impervious"), (classes["0"], "pervious")]
    return {
        "title": f"Impervious ground {labels[0]} to {labels[-1]}",
        "description": "States decoded from the maps of all dates together (docs/change.md). Areas in the table are "
        "mapped: errors of the map bias them.",
        "label": f"impervious in {labels[-1]}",
        "classes": ["pervious", "impervious"],
        **extent(boxes),
        "zooms": list(zooms),
        "layers": layers,
        "dates": [{"label": label, "layer": f"date{n}"} for n, label in enumerate(labels)],
        "left": "date0",
        "right": _CHANGE,
        "legends": {_CHANGE: legend, **{f"date{n}": plain for n in range(len(labels))}},
        "colours": classes,
        "mapped_km2": growth[ALL]["known_m2"] / 1e6,
        "label_km2": growth[ALL]["impervious_m2"][labels[-1]] / 1e6,
        "tiles": len(states.tiles),
        "boxes": boxes,
    }


def _table(
    growth: Mapping[str, dict[str, Any]], regions: str | os.PathLike[str] | None, name: str | None
) -> dict[str, Any] | None:
    """Rows of the page's table; a row without a box lies nowhere."""
    if regions is None:
        return None
    ground = read_regions(pathlib.Path(regions), name)
    periods = [row["period"] for row in growth[ALL]["periods"]]
    unit = unit_of(growth[ALL]["known_m2"])
    columns = ["region", f"known {unit.name}", *growth[ALL]["impervious_m2"], *(f"gain {period}" for period in periods)]
    rows, boxes = [], []
    for region, one in growth.items():
        areas = [one["known_m2"], *one["impervious_m2"].values(), *(row["gain_m2"] for row in one["periods"])]
        rows.append([region, *(f"{area / unit.m2:.{unit.digits}f}" for area in areas)])
        boxes.append(list(ground[region].bounds) if region in ground else None)
    return {"columns": columns, "rows": rows, "boxes": boxes}


def _hex(rgb: Sequence[int]) -> str:
    return "#" + "".join(f"{c:02x}" for c in rgb[:3])


def _paint_state(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    table = np.zeros((256, 4), np.uint8)
    for value, colour in COLORMAP.items():
        table[value] = colour
    return np.where(valid[..., None], table[values[..., 0]], np.uint8(0))


def _painter(dates: int) -> Paint:
    """Colours by the first change; what is pervious in the end, and what never changes, in colours of their own."""
    table = np.zeros((dates, 3), np.uint8)
    for value, rgba in colours_of(dates).items():
        if value < dates:
            table[value] = rgba[:3]

    def paint(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        states = np.moveaxis(values, -1, 0)
        seen = valid & (states != IGNORE).all(0)
        differs = states[1:] != states[:-1]
        when = np.where(differs.any(0), 1 + differs.argmax(0), 0)
        rgb = table[when]
        rgb[(when == 0) & (states[0] == 0)] = _DIM
        rgb[(when == 0) & (states[0] == 1)] = _STABLE
        rgb[(when > 0) & (states[-1] == 0)] = _LOSS
        return np.dstack([rgb, np.where(seen, 255, 0).astype(np.uint8)])

    return paint
