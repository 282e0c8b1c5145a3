"""The charts of an evaluation's report. Colours are told apart by colour-blind readers (Okabe, Ito 2008)."""

from collections.abc import Sequence
from typing import Any

from jointseg_jax import pages
from jointseg_jax.evaluation.report.terminal import FRACTION_BY, spaced
from jointseg_jax.pages import Picture

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "0.5"


def _figure() -> tuple[Any, Sequence[Any]]:
    """A figure of two axes whose letters have 14 pixels on a page."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure((10.5, 4.5), layout="constrained")
    axes = figure.subplots(1, 2)
    for one in axes:
        one.grid(alpha=0.3)
    return figure, axes


def reliability(overall: dict[str, Any]) -> Picture:
    """Observed share against probability, and how many pixels have which probability."""
    figure, (left, right) = _figure()
    bins = overall["reliability"]
    at = [b["probability"] for b in bins]
    left.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="well calibrated")
    left.plot(at, [b["share"] for b in bins], "o-", color=_BLUE, label="this network")
    left.set(xlabel="mean probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1), title="Reliability")
    left.legend()
    right.bar(at, [b["pixels"] / 1e6 for b in bins], width=0.04, color=_BLUE)
    right.set(xlabel="mean probability", ylabel="km2", yscale="log", title="Ground by probability")
    return pages.chart(
        figure, "Reliability of the probability: observed share of class 1 in 20 bins", "reliability.png"
    )


def sizes(overall: dict[str, Any]) -> Picture:
    """Recall by area of objects and by local width; false objects by area."""
    figure, (left, right) = _figure()
    areas = overall["objects"]["by_area"]
    places = range(len(areas))
    left.plot(places, _values(areas, "recall"), "o-", color=_BLUE, label="found, of the label's")
    left.plot(places, _values(areas, "false_share"), "s--", color=_ORANGE, label="false, of the map's")
    left.set_xticks(places, [f"{row['from_m2']:,}" for row in areas], rotation=45)
    left.set(xlabel="area from, m2", ylabel="share of objects", ylim=(-0.03, 1.03), title="Objects by area")
    left.legend()
    widths = overall["objects"]["by_width"]
    places = range(len(widths))
    right.plot(places, _values(widths, "recall"), "o-", color=_BLUE)
    right.set_xticks(places, [str(row["from_m"]) for row in widths])
    right.set(xlabel="width from, m", ylabel="recall of pixels", ylim=(-0.03, 1.03), title="Recall by local width")
    for axes in (left, right):
        axes.axhline(0.5, color=_GREY, linestyle=":")
    return pages.chart(figure, "What is found by its size; the dotted line is one half", "sizes.png")


def scales(overall: dict[str, Any]) -> Picture:
    """Fourier ring correlation against period; RMSE of the fraction against the side of the cell."""
    figure, (left, right) = _figure()
    found = overall["resolution"]
    pairs = [(int(period[:-1]), value) for period, value in found["correlation"].items() if value is not None]
    left.plot([p for p, _ in pairs], [value for _, value in pairs], "o-", color=_BLUE)
    left.axhline(0.5, color=_GREY, linestyle=":")
    if pairs:  # a logarithmic axis without a point cannot be drawn
        left.set_xscale("log", base=2)
        left.set_xticks([p for p, _ in pairs], [str(p) for p, _ in pairs])
    left.set(xlabel="period, m", ylabel="correlation with the label", title="Fourier ring correlation")
    for (name, words), colour, mark in zip(
        FRACTION_BY,
        (_BLUE, _ORANGE, _GREY), ("o-", "s--", "^:"), strict=True,
    ):  # fmt: skip
        errors = {side: e["rmse"] for side, e in overall["fraction"][name].items() if e["cells"]}
        if errors:
            right.plot(range(len(errors)), list(errors.values()), mark, color=colour, label=words)
            right.set_xticks(range(len(errors)), list(map(spaced, errors)))
    right.set(xlabel="side of the cell", ylabel="RMSE of the fraction", ylim=(0, None), title="Impervious fraction")
    if right.lines:
        right.legend()
    return pages.chart(figure, "What is right at which scale", "scales.png")


def _values(rows: Sequence[dict[str, Any]], key: str) -> list[float]:
    return [float("nan") if row[key] is None else row[key] for row in rows]
