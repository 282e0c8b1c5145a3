"""Reports growth as one HTML page: areas by region and date, rates with intervals, scores where the truth is known.

Estimates are those of `jointseg estimate` for a sample with --change; if it was drawn with the same polygons, areas and
rates have intervals by region.
"""

import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jointseg_jax import pages
from jointseg_jax.change.monitor_record import Monitor, read_record
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.change import charts
from jointseg_jax.evaluation.change.decoded import States, read_states
from jointseg_jax.evaluation.change.growth import Growth, Unit, by_region, unit_of
from jointseg_jax.evaluation.change.judge import METHODS
from jointseg_jax.evaluation.change.kinds import Kinds
from jointseg_jax.evaluation.products.regions import ALL, Regions
from jointseg_jax.geo.ellipsoid import PixelAreas
from jointseg_jax.pages import Block, Heading, Paragraph, Table
from jointseg_jax.rasters.raster_files import lattice_of
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.storage.files import read_json, write_text

PAGE, GROWTH = "report.html", "growth.json"
FILES = (PAGE, GROWTH)
SCORES = ("change", "gain", "loss")
_SCORED = (
    "method", "region", "F1 change", "F1 gain", "F1 loss", "precision", "recall", "false change, %", "flicker, %",
    "right period",
)  # fmt: skip


def measured(states: States, regions: Regions | None) -> dict[str, Growth]:
    """Growth of every region and of all ground, in square metres on the ellipsoid."""
    found: dict[str, Growth] = {}
    handles = Handles(limit=4)
    try:
        for tile, window, here in states.windows(handles):
            lattice = lattice_of(tile.path)
            area = PixelAreas(lattice).columns(window)[None, :]
            near = regions.on(lattice).masks(window) if regions else ()
            for name, weight in (*((name, area * mask) for name, mask in near), (ALL, area)):
                grown = Growth.of(here, weight)
                found[name] = found[name] + grown if name in found else grown
    finally:
        handles.close()
    return {name: found[name] for name in sorted(found, key=lambda n: (n == ALL, n)) if found[name].known > 0}


def estimated(record: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The estimated areas by region and kind; of `all` without parts."""
    if record is None:
        return {}
    parts = {name: part["area"] for name, part in record.get("parts", {}).items()}
    return parts | {ALL: record["area"]}


def blocks_of(
    monitor: Monitor,
    growth: Mapping[str, dict[str, Any]],
    areas: Mapping[str, dict[str, Any]],
    metrics: Mapping[str, Any] | None,
) -> list[Block]:
    """The content of the page."""
    kinds = Kinds(monitor.labels)
    years = [date.time for date in monitor.dates]
    known = growth[ALL]["known_m2"]
    unit = unit_of(known)
    u = unit.name
    blocks: list[Block] = [
        Paragraph(
            f"{known / 1e6:,.3f} km2 with a decoded state on all of {', '.join(kinds.labels)}. Mapped areas are pixels "
            "of the map on the ellipsoid: they are biased by its errors. Estimated areas come from a probability "
            "sample, with 95 % intervals (docs/accuracy.md)."
        ),
        Heading("Growth by region"),
        charts.growth(growth, kinds, years, areas, unit),
        Table(
            ("region", "period", f"from, {u}", "to", "gain", "loss", f"net, {u} a year", "rate, % a year"),
            list(_growth_rows(growth, unit)),
        ),
    ]
    if areas:
        blocks += [
            Heading("Areas from the sample"),
            Paragraph("Gain a year is the estimated area of the gain of a period by the years of the period."),
            Table(
                ("region", "kind", f"mapped, {u}", "estimate", "SE", "low", "high", f"{u} a year", "low", "high"),
                list(_area_rows(growth, areas, kinds, years, unit)),
            ),
        ]
    else:
        blocks.append(
            Paragraph("No sample was given, so no area has an interval: draw one with `jointseg sample --change`.")
        )
    if metrics is not None:
        blocks += _scores(metrics, kinds, unit)
    return blocks


def _growth_rows(growth: Mapping[str, dict[str, Any]], unit: Unit) -> Iterator[tuple[str, ...]]:
    for name, one in growth.items():
        for row in one["periods"]:
            rate = "-" if row["rate_per_year"] is None else f"{100 * row['rate_per_year']:z.2f}"
            areas = (row[k] for k in ("from_m2", "to_m2", "gain_m2", "loss_m2", "net_m2_per_year"))
            yield (name, row["period"], *map(unit.words, areas), rate)


def _area_rows(
    growth: Mapping[str, dict[str, Any]],
    areas: Mapping[str, dict[str, Any]],
    kinds: Kinds,
    years: Sequence[float],
    unit: Unit,
) -> Iterator[tuple[str, ...]]:
    for region, found in areas.items():
        for number, kind in enumerate(kinds.names):
            figure = found.get(kind)
            if figure is None or figure["value"] is None:
                continue
            gain = 0 < number < kinds.loss
            span = years[number] - years[number - 1] if gain else 1.0
            rate = [unit.words(figure[k] / span) if gain else "" for k in ("value", "low", "high")]
            mapped = growth[region]["periods"][number - 1]["gain_m2"] if gain and region in growth else None
            own = (mapped, *(figure[k] for k in ("value", "se", "low", "high")))
            yield (region, kind, *map(unit.words, own), *rate)


def _scores(metrics: Mapping[str, Any], kinds: Kinds, unit: Unit) -> Iterator[Block]:
    yield Heading("Scores against known ground")
    yield Paragraph(
        f"{metrics['places']} places of dataset {metrics['dataset']} ({metrics['split']}), every pixel with a known "
        "label in all years. False change: the share of stable ground that changes on the map. Flicker: the share of "
        "all ground that is impervious, then pervious, then impervious. Right period: of pixels that gain in truth and "
        "on the map."
    )
    yield Table(_SCORED, [_row(name, r, f) for name, regions in metrics["methods"].items() for r, f in regions.items()])
    yield Heading("Gain by period: mapped and true", 3)
    growth = metrics["growth"]
    rows = []
    for region, true in growth["true"].items():
        for i, period in enumerate(true["periods"]):
            mapped = (growth[name][region]["periods"][i]["gain_m2"] for name in metrics["methods"])
            rows.append((region, period["period"], *map(unit.words, (period["gain_m2"], *mapped))))
    named = (METHODS.get(name, name) for name in metrics["methods"])
    yield Table(("region", "period", f"true, {unit.name}", *named), rows)
    yield Heading("Period of the gain: true (rows) and mapped", 3)
    matrix = metrics["methods"]["decoded"][ALL]["periods"]
    yield Table(("true gain, m2", *kinds.periods), [(p, *row) for p, row in zip(kinds.periods, matrix, strict=True)])


def _row(method: str, region: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    change = figures["change"]
    shares = [figures[score]["f1"] for score in SCORES] + [change["precision"], change["recall"]]
    percent = [None if (v := figures[key]) is None else 100 * v for key in ("false_change", "flicker")]
    shown = ("-" if v is None else f"{v:.3f}" for v in (*shares, *percent, figures["right_period"]))
    return (METHODS.get(method, method), region, *shown)


def write_report(
    folder: str | os.PathLike[str],
    monitor: str | os.PathLike[str],
    *,
    regions: str | os.PathLike[str] | None = None,
    name: str | None = None,
    estimates: str | os.PathLike[str] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Writes the page, and the growth table as JSON beside it.

    Args:
        folder: for `FILES`.
        monitor: the --output of `jointseg monitor`.
        regions: polygons; None for all ground alone.
        name: their column; None for the first of text.
        estimates: of a sample with --change; None for none.
        metrics: of `judge`; None where the truth is not known.

    Returns:
        The growth table, see `growth.by_region`.

    Raises:
        InputError: an input cannot be read.
    """
    folder, monitor = pathlib.Path(folder), pathlib.Path(monitor)
    record, states = read_record(monitor), read_states(monitor)
    found = measured(states, None if regions is None else Regions(pathlib.Path(regions), name))
    if ALL not in found:
        raise InputError(f"{monitor} has no ground with a state on all dates: there is no growth to report")
    growth = by_region(found, states.kinds.labels, [date.time for date in record.dates])
    sampled = None if estimates is None else _json(pathlib.Path(estimates))
    if sampled is not None and sampled.get("classes") != list(states.kinds.names):
        raise InputError(f"{estimates} holds no kinds of change of these dates: estimate a sample drawn with --change")
    blocks = blocks_of(record, growth, estimated(sampled), metrics)
    for number, picture in enumerate(charts.maps(states, regions, name)):
        if number == 0:
            blocks.append(Heading("Maps"))
        blocks.append(picture)
    title = f"Impervious ground {states.kinds.labels[0]} to {states.kinds.labels[-1]}"
    write_text(folder / PAGE, pages.to_html(title, blocks))
    write_text(folder / GROWTH, json.dumps(growth, indent=1) + "\n")
    return growth


def _json(path: pathlib.Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): give the JSON that the program wrote") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is no record: give the JSON that the program wrote")
    return found
