"""Writes the report on a dataset: report.json, and report.html, one page with its pictures inside."""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from jointseg_jax import pages
from jointseg_jax.data.dataset import TRUSTED, Dataset, Site
from jointseg_jax.data.prepare.report.days import FAR_DAYS
from jointseg_jax.data.prepare.report.findings import SiteFindings, findings, histograms, look_at, windows_of
from jointseg_jax.data.prepare.site_dates import IMAGE
from jointseg_jax.data.prepare.splits import SPLITS
from jointseg_jax.pages import Block, Heading, Items, Paragraph, Picture, Table
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.pictures.drawing import IMPERVIOUS_COLOUR, shrink, stretch, stretch_limits
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.sources.dates import without_times
from jointseg_jax.storage.files import write_json, write_text

PAGE, FIGURES = "report.html", "report.json"
_COLOURS = {"train": "#1f77b4", "validation": "#ff7f0e", "test": "#2ca02c"}
_FIT = "No leakage, no residual shift above 0.3 Sentinel-2 pixels, no empty split."
_PATCHES = 4  # shown of each split
_LISTED = 60  # sites in a table, at most


def write_report(data: Dataset, say: Callable[[str], None] = print) -> list[str]:
    """Writes the report into the dataset's folder.

    Args:
        data: the dataset.
        say: receives a line.

    Returns:
        What makes the dataset unfit for use; empty if nothing does.

    Raises:
        InputError: a raster of the dataset cannot be read.
    """
    looked = {name: look_at(data, site) for name, site in data.sites.items()}
    found = findings(data, looked)
    write_json(data.root / FIGURES, found)
    write_text(data.root / PAGE, _page(data, found, looked))
    say(
        f"report  {data.root / PAGE}: {_many(found, 'problem')}, {_many(found, 'warning')}, "
        f"{_many(found, 'outlier', 'radiometric outlier')}"
    )
    return list(found["problems"])


def _many(found: dict[str, Any], what: str, name: str = "") -> str:
    """For example "1 warning"."""
    number = len(found[f"{what}s"])
    return f"{number} {name or what}{'s' * (number != 1)}"


def _page(data: Dataset, found: dict[str, Any], looked: dict[str, SiteFindings]) -> str:
    problems = found["problems"]
    sites = found["sites"]
    warnings: list[Block] = [Heading("Warnings"), Items(found["warnings"])] if found["warnings"] else []
    blocks: list[Block] = [
        *([Paragraph("Not fit for use.", "bad"), Items(problems)] if problems else [Paragraph(_FIT, "good")]),
        Paragraph(
            f"{len(sites)} site{'s' * (len(sites) != 1)}, {sum(s['km2'] for s in sites):.2f} km2; patches: "
            + ", ".join(f"{split} {n}" for split, n in found["patches"].items())
            + f"; label: {found['label']}."
        ),
        *warnings,
        Heading("Sites by split"),
        _map(sites),
        Heading("Leakage and duplicates"),
        _listed(found["leakage"], "No ground and no image content lies in two splits."),
        _listed(found["duplicates"], "No image content lies at two sites of one split."),
        Heading("Class balance"),
        Table(
            ("region", "split", "km2", f"{found['label']} share", "unknown km2"),
            [
                (r["region"], r["split"], f"{r['km2']:.2f}", _percent(r["share"]), f"{r['unknown_km2']:.2f}")
                for r in found["balance"]
            ],
        ),
        *(block for split in SPLITS for block in _patches(data, split)),
        *_registration_and_dates(found),
        Heading("Radiometry"),
        _listed(found["outliers"], "No site stands out."),
        _histograms(data, looked, found["outliers"]),
        Heading("Missing ground"),
        Table(
            ("site", "region", "date", "km2", "without input", "without image"),
            [
                (s["site"], s["region"], s["date"] or "unknown", f"{s['km2']:.2f}", _percent(s["without_input"]),
                 _percent(s["without_image"]))
                for s in sorted(sites, key=lambda s: -s["without_input"])[:_LISTED]
            ],
        ),
        Paragraph(
            "Without input: nodata, cloud and shadow in the first date of the first modality. "
            f"Tables list at most {_LISTED} sites; report.json lists all, with their notes."
        ),
        *_completeness(data, sites),
        Heading("Licence and attribution"),
        Paragraph(
            f"Licence: {found['licence'] or 'not stated'}. Provenance: {found['provenance'] or 'not stated'}."
        ),
        Items(found["attributions"]),
    ]  # fmt: skip
    return pages.to_html(f"Dataset {found['name']}", blocks)


def _registration_and_dates(found: dict[str, Any]) -> list[Block]:
    """How the rasters of each site lie, and how far in time."""
    sites = found["sites"]
    return [
        Heading("Registration"),
        Table(
            ("site", "what", "off", "lies down m", "right m", "moved down m", "right m", "remaining m", "quality"),
            [(s["site"], what, *_lies(r)) for s in _worst(sites) for what, r in s["registration"].items()],
        ),
        Paragraph(
            "Measured before the raster was moved, by whole metres; negative: up or left. Quality: the correlation of "
            "the edges, 0 to 1."
        ),
        Heading("Dates"),
        Paragraph(f"Warnings name inputs and labels whose nearest date lies more than {FAR_DAYS} days off the image."),
        Table(
            ("days to the image", "sites", "unknown", "least", "median", "most", "most between dates"),
            [
                (name, *("-" if value is None else f"{value:g}" for value in row.values()))
                for name, row in found["days"].items()
            ],
        ),
        *_days(sites),
        Table(
            ("site", "image", *found["days"]),
            [
                (s["site"], s["date"] or "unknown", *(_signed(s["days"].get(name, ())) for name in found["days"]))
                for s in _farthest(sites)
            ],
        ),
    ]


def _completeness(data: Dataset, sites: Sequence[dict[str, Any]]) -> list[Block]:
    """Where vectors are missing, if that was judged anywhere."""
    judged = sorted((s for s in sites if s["trusted"] is not None), key=lambda s: s["trusted"])
    if not judged:
        return []
    patches = data.index.groupby("site")[TRUSTED].agg(["mean", "min"])
    return [
        Heading("Completeness of vectors"),
        Table(
            ("site", "region", "absence trusted", "patches, mean", "patches, least"),
            [
                (
                    s["site"],
                    s["region"],
                    _percent(s["trusted"]),
                    *(_share(patches, s["site"], k) for k in ("mean", "min")),
                )
                for s in judged[:_LISTED]
            ],
        ),
        Paragraph(
            "Share of the ground outside of cells that another source shows as built-up and the vectors do not; "
            f"{TRUSTED} of index.parquet has it per patch. In these cells the label is 255 where nothing is drawn."
        ),
    ]


def _share(patches: pd.DataFrame, site: str, what: str) -> str:
    return _percent(float(patches.loc[site, what])) if site in patches.index else "-"


def _worst(sites: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    def residual(site: dict[str, Any]) -> float:
        return max((r["residual"] for r in site["registration"].values()), default=-1.0)

    return sorted(sites, key=residual, reverse=True)[:_LISTED]


def _lies(r: dict[str, Any]) -> tuple[str, ...]:
    """Where a raster lies off its reference, signed as in the site's notes: the record holds what brings it back."""
    off = (f"{round(-r[axis], 1) + 0.0:.1f}" for axis in ("down", "right"))
    return (r["reference"], *off, *map(str, r["moved"]), f"{r['residual']:.1f}", f"{r['quality']:.2f}")


def _farthest(sites: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    def days(site: dict[str, Any]) -> int:
        return max((abs(day) for ones in site["days"].values() for day in ones if day is not None), default=-1)

    return sorted(sites, key=days, reverse=True)[:_LISTED]


def _signed(days: Iterable[int | None]) -> str:
    return ", ".join("unknown" if day is None else f"{day:+d}" for day in days) or "-"


def _listed(lines: Sequence[str], otherwise: str) -> Block:
    return Items(lines) if lines else Paragraph(otherwise)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _map(sites: Sequence[dict[str, Any]]) -> Picture:
    """Outlines of the sites; the dot has the colour of the split with the most ground."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure((9, 6), layout="constrained")
    axes = figure.add_subplot()
    for site in sites:
        corners = np.array(site["outline"])
        split = max(site["split_km2"], key=site["split_km2"].__getitem__)
        colour = _COLOURS[split] if site["split_km2"][split] else "0.6"
        axes.plot(*corners.T, color=colour, linewidth=1)
        axes.plot(*corners[:-1].mean(0), ".", color=colour)
    for split, colour in _COLOURS.items():
        axes.plot([], [], ".", color=colour, label=split)
    axes.legend()
    axes.set_xlabel("longitude")
    axes.set_ylabel("latitude")
    axes.ticklabel_format(useOffset=False)
    axes.set_aspect("equal", adjustable="datalim")
    return pages.chart(figure, "Sites, by the split that holds most of their ground; grey: no split", "sites.png")


def _days(sites: Sequence[dict[str, Any]]) -> list[Picture]:
    """Days from the image to every known date, over the sites."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for site in sites for name in site["days"] if name != IMAGE))
    every = {n: [d for site in sites for d in site["days"].get(n, ()) if d is not None] for n in names}
    shown = {name: days for name, days in every.items() if days}
    if not shown:
        return []
    figure = Figure((9, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(list(shown.values()), bins=30, label=list(shown), stacked=True)
    axes.set_xlabel("days from the image")
    axes.set_ylabel("dates")
    axes.legend()
    return [
        pages.chart(
            figure, "Days from the image to the dates of the inputs and of the label, over the sites", "days.png"
        )
    ]


def _patches(data: Dataset, split: str) -> list[Block]:
    shown = [_patch(data, site, window) for site, window in windows_of(data, split, _PATCHES)]
    return [Heading(f"{split}: image, and label over it", 3), *shown] if shown else []


def _patch(data: Dataset, site: Site, window: Window) -> Picture:
    handles, scene = Handles(), data.scene(site.name)
    assert scene.image is not None
    fine = window.scale(FINE_FACTOR)
    image, valid = scene.image.read(fine, handles)
    label = read_window(handles.get(str(data.root / site.label)), fine)[0][..., 0]
    handles.close()
    plain = stretch(image, stretch_limits(image, valid), valid)
    mixed = np.where((label == 1)[..., None], 0.55 * plain + 0.45 * np.array(IMPERVIOUS_COLOUR), plain)
    both = np.concatenate([shrink(plain, 220), shrink(mixed.astype(np.uint8), 220)], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(both).save(buffer, format="PNG", optimize=True)
    taken = f", {without_times(site.date)}" if site.date else ""
    caption = f"{site.name} ({site.region}){taken}: row {window.row}, column {window.col}"
    return Picture(buffer.getvalue(), caption, f"{site.name}.png")


def _histograms(data: Dataset, looked: dict[str, SiteFindings], outliers: Sequence[str]) -> Picture:
    from matplotlib.figure import Figure

    edges, shares = histograms(data, looked)
    named = {line.partition(":")[0] for line in outliers}
    bands = data.contract.image_bands
    figure = Figure((10, 3), layout="constrained")
    for b, band in enumerate(bands):
        axes = figure.add_subplot(1, len(bands), b + 1)
        middle = (edges[b][1:] + edges[b][:-1]) / 2
        for name, share in shares.items():
            out = name in named
            axes.plot(middle, share[b], linewidth=0.8, color="tab:red" if out else "0.6", zorder=3 if out else 2)
        axes.set_title(band)
        axes.set_xlabel(data.contract.primary.units)
    return pages.chart(figure, "Values of the input by site (share by bin); outliers in red", "radiometry.png")
