"""The statistics and the report of a study: rows over folds and seeds.

Folds differ far more than rows do, so rows are compared within a fold: the difference of two rows is taken per fold
(mean over the seeds that both have), and its interval comes from the folds' differences (Student's t, 95 %).
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from jointseg_jax.storage.files import write_text

REPORT, PICTURE = "report.md", "pareto.png"
_LEVEL = 0.95
REFERENCES = ("bilinear", "joint")
_FIGURES = {  # key in a result -> head of the table, decimals
    "f1": ("F1", 3),
    "precision": ("P", 3),
    "recall": ("R", 3),
    "f1_best": ("best F1", 3),
    "average_precision": ("AP", 3),
    "area_ratio": ("area", 3),
    "fraction_rmse_10m": ("fraction RMSE 10 m", 3),
    "psnr_2.5m": ("PSNR 2.5 m", 2),
    "psnr_1m": ("PSNR 1 m", 2),
}


@dataclasses.dataclass(frozen=True)
class Difference:
    """A paired difference of two rows.

    Attributes:
        mean: over folds.
        low, high: of the interval; NaN with fewer than two folds.
        folds: number of folds that both rows have.
        ahead: number of them in which the difference is positive.
    """

    mean: float
    low: float
    high: float
    folds: int
    ahead: int


def means(results: Sequence[Mapping[str, Any]], row: str, key: str) -> dict[tuple[str, int], float]:
    """A figure of a row by fold and seed, where it is known."""
    return {(r["fold"], r["seed"]): float(r[key]) for r in results if r["row"] == row and r.get(key) is not None}


def mean(results: Sequence[Mapping[str, Any]], row: str, key: str) -> float | None:
    """The mean over folds of the means over seeds; None without a figure."""
    found = means(results, row, key)
    by_fold = [np.mean([v for (fold, _), v in found.items() if fold == f]) for f in {fold for fold, _ in found}]
    return float(np.mean(by_fold)) if by_fold else None


def difference(results: Sequence[Mapping[str, Any]], row: str, reference: str, key: str) -> Difference | None:
    """The paired difference of a row from a reference row; None without a fold and seed that both have."""
    a, b = means(results, row, key), means(results, reference, key)
    shared = sorted(set(a) & set(b))
    if not shared:
        return None
    folds = sorted({fold for fold, _ in shared})
    values = np.array([np.mean([a[at] - b[at] for at in shared if at[0] == fold]) for fold in folds])
    low = high = math.nan
    if len(values) > 1:
        half = stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
        low, high = float(values.mean() - half), float(values.mean() + half)
    return Difference(float(values.mean()), low, high, len(values), int((values > 0).sum()))


def shown(found: Difference | None) -> str:
    """A difference and its interval in a cell of a table."""
    if found is None:
        return ""
    bounds = f"{found.low:+.3f} to {found.high:+.3f}" if found.folds > 1 else "one fold"
    return f"{found.mean:+.3f} ({bounds})"


def rows_of(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows, best mean F1 first."""
    names = dict.fromkeys(str(r["row"]) for r in results)
    return sorted(names, key=lambda name: -(mean(results, name, "f1") or 0.0))


def write_report(results: Sequence[Mapping[str, Any]], folder: pathlib.Path) -> None:
    """Writes report.md and pareto.png.

    Args:
        results: records of `runs.result_of`.
        folder: receives the files.
    """
    names = rows_of(results)
    parts = ["# Study", _extent(results), _table(results, names)]
    for reference in REFERENCES:
        if reference in names and len(names) > 1:
            parts.append(_differences(results, names, reference))
    if {"bilinear", "fine"} <= set(names):
        parts.append(_bounds(results, names))
    parts.append(f"![F1 against cost]({PICTURE})")
    write_text(folder / REPORT, "\n\n".join(parts) + "\n")
    _draw(results, names, folder / PICTURE)


def _extent(results: Sequence[Mapping[str, Any]]) -> str:
    folds = sorted({str(r["fold"]) for r in results})
    seeds = sorted({int(r["seed"]) for r in results})
    steps = sorted({int(r["steps"]) for r in results})
    results = [r for r in results if "same_run_as" not in r]
    hours = sum(float(r["seconds"]) for r in results) / 3600
    return (
        f"{len(results)} runs, {hours:.1f} CPU hours of training. Folds (the scene left out): {', '.join(folds)}. "
        f"Seeds: {', '.join(map(str, seeds))}. Steps: {', '.join(map(str, steps))}. Figures are means over folds of "
        "the means over seeds. Best F1 is at the threshold that is best on the left-out scene itself: recognition "
        "without the transfer of the threshold. AP: average precision. PSNR in dB, in brackets that of the bicubic "
        "input; MFLOP per 10 m pixel, forward; "
        "seconds are CPU seconds of a training, with compiling and validation."
    )


def _table(results: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    head = ["row", "runs", *(title for title, _ in _FIGURES.values()), "parameters", "MFLOP", "CPU s"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name in names:
        cells = [name, str(sum(r["row"] == name for r in results))]
        for key, (_, decimals) in _FIGURES.items():
            cell = _number(mean(results, name, key), decimals)
            if key.startswith("psnr") and cell:
                cell += f" ({_number(mean(results, name, key.replace('psnr', 'psnr_bicubic')), decimals)})"
            cells.append(cell)
        cells.append(f"{mean(results, name, 'parameters') or 0:,.0f}")
        cells += [_number(1e-6 * (mean(results, name, "flops") or 0), 2), _number(mean(results, name, "seconds"), 0)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _differences(results: Sequence[Mapping[str, Any]], names: Sequence[str], reference: str) -> str:
    lines = [
        f"## F1, difference from {reference}",
        "",
        "Paired within each fold; interval of 95 % over folds (Student's t).",
        "",
        "| row | difference | interval | folds ahead | excludes 0 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in names:
        found = difference(results, name, reference, "f1") if name != reference else None
        if found is None:
            continue
        known = not math.isnan(found.low)
        interval = f"{found.low:+.3f} to {found.high:+.3f}" if known else "one fold"
        apart = ("yes" if found.low > 0 or found.high < 0 else "no") if known else ""
        lines.append(f"| {name} | {found.mean:+.3f} | {interval} | {found.ahead} of {found.folds} | {apart} |")
    return "\n".join(lines)


def _bounds(results: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """How much of the way from bilinear to the true image each row goes, on the folds and seeds that it shares."""
    whole = difference(results, "fine", "bilinear", "f1")
    assert whole is not None or not names
    lines = ["## Share of the way from bilinear to the true 1 m image", "", "| row | share |", "| --- | --- |"]
    for name in names:
        gained = difference(results, name, "bilinear", "f1")
        if name not in ("bilinear", "fine") and gained and whole and whole.mean > 0:
            lines.append(f"| {name} | {gained.mean / whole.mean:.0%} |")
    return "\n".join(lines)


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _draw(results: Sequence[Mapping[str, Any]], names: Sequence[str], path: pathlib.Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name in names:
        cost, f1 = mean(results, name, "flops"), mean(results, name, "f1")
        if cost is not None and f1 is not None:
            axes.scatter(cost / 1e6, f1, s=36)
            axes.annotate(name, (cost / 1e6, f1), xytext=(5, 4), textcoords="offset points", fontsize=11)
    axes.set_xlabel("MFLOP per 10 m pixel, forward", fontsize=12)
    axes.set_ylabel("F1, mean over folds", fontsize=12)
    axes.set_title("Quality against cost", fontsize=14)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
