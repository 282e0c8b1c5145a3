"""The report of a study: tables and pictures of its records."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from jointseg_jax.evaluation.study import curves, statistics
from jointseg_jax.storage.files import write_text

REPORT, PICTURE = "report.md", "pareto.png"
CROPS = "crops"  # folder of one picture per fold, see `crops`
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


Results = Sequence[Mapping[str, Any]]


def write_report(results: Results, folder: pathlib.Path) -> None:
    """Writes report.md, pareto.png and, if the runs have curves, curves.png.

    Args:
        results: records of `runs.result_of`.
        folder: receives the files.
    """
    names = statistics.rows_of(results)
    parts = ["# Study", _extent(results), _table(results, names)]
    for reference in statistics.REFERENCES:
        if reference in names and len(names) > 1:
            parts.append(_differences(results, names, reference))
    if {"bilinear", "fine"} <= set(names):
        parts.append(_bounds(results, names))
    curved = [name for name in names if any(r.get("curve") for r in results if r["row"] == name)]
    if curved:
        parts += [curves.table(results, curved, r) for r in statistics.REFERENCES if r in curved and len(curved) > 1]
        parts.append(f"![validation F1 against steps and CPU minutes]({curves.PICTURE})")
        curves.draw(results, curved, folder / curves.PICTURE)
    parts.append(f"![F1 against cost]({PICTURE})")
    _draw(results, names, folder / PICTURE)
    for path in sorted((folder / CROPS).glob("*.png")):
        parts.append(f"![{path.stem}: input, images, label and the maps of the rows]({CROPS}/{path.name})")
    write_text(folder / REPORT, "\n\n".join(parts) + "\n")


def _extent(results: Results) -> str:
    folds = sorted({str(r["fold"]) for r in results})
    seeds = sorted({int(r["seed"]) for r in results})
    steps = sorted({int(r["steps"]) for r in results})
    results = [r for r in results if "same_run_as" not in r]
    hours = sum(float(r["seconds"]) for r in results) / 3600
    return (
        f"{len(results)} runs, {hours:.1f} CPU hours of training. Folds (the scene left out): {', '.join(folds)}. "
        f"Seeds: {', '.join(map(str, seeds))}. Steps: {', '.join(map(str, steps))}. Figures are means over folds of "
        "the means over seeds. Best F1 is at the threshold that is best on the left-out scene itself. AP: average "
        "precision, which needs no threshold. On a scene that is mostly built, F1 and best F1 say little: a map that "
        "is impervious everywhere scores 2 s / (1 + s) at a share s. PSNR in dB, in brackets that of the bicubic; "
        "MFLOP per 10 m pixel, forward; seconds are CPU seconds of a training, with compiling and validation."
    )


def _table(results: Results, names: Sequence[str]) -> str:
    head = ["row", "runs", *(title for title, _ in _FIGURES.values()), "parameters", "MFLOP", "CPU s"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name in names:
        cells = [name, str(sum(r["row"] == name for r in results))]
        for key, (_, decimals) in _FIGURES.items():
            cell = _number(statistics.mean(results, name, key), decimals)
            if key.startswith("psnr") and cell:
                cell += f" ({_number(statistics.mean(results, name, key.replace('psnr', 'psnr_bicubic')), decimals)})"
            cells.append(cell)
        cells.append(f"{statistics.mean(results, name, 'parameters') or 0:,.0f}")
        cells += [
            _number(1e-6 * (statistics.mean(results, name, "flops") or 0), 2),
            _number(statistics.mean(results, name, "seconds"), 0),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _differences(results: Results, names: Sequence[str], reference: str) -> str:
    lines = [
        f"## Difference from {reference} on the scene left out",
        "",
        "Paired within each fold; in brackets the interval of 95 % over folds (Student's t).",
        "",
        "| row | F1 | folds ahead | excludes 0 | best F1 | AP |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in names:
        found, best, precision = (
            statistics.difference(results, name, reference, key) for key in ("f1", "f1_best", "average_precision")
        )
        if found is None or name == reference:
            continue
        apart = ("yes" if found.low > 0 or found.high < 0 else "no") if found.folds > 1 else ""
        cells = [
            statistics.shown(found),
            f"{found.ahead} of {found.folds}",
            apart,
            statistics.shown(best),
            statistics.shown(precision),
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _bounds(results: Results, names: Sequence[str]) -> str:
    """How much of the way from bilinear to the true image each row goes, on the folds and seeds that it shares."""
    keys = ("f1", "average_precision")
    whole = {key: statistics.difference(results, "fine", "bilinear", key) for key in keys}

    def share(name: str, key: str) -> str:
        gained, way = statistics.difference(results, name, "bilinear", key), whole[key]
        return f"{gained.mean / way.mean:.0%}" if gained and way and way.mean > 0 else ""

    lines = [
        "## Share of the way from bilinear to the true 1 m image",
        "",
        "Empty where the true image is not ahead of bilinear.",
        "",
        "| row | F1 | AP |",
        "| --- | --- | --- |",
    ]
    for name in names:
        shares = [share(name, key) for key in keys]
        if name not in ("bilinear", "fine") and any(shares):
            lines.append(f"| {name} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _draw(results: Results, names: Sequence[str], path: pathlib.Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, name in enumerate(names):
        cost, f1 = statistics.mean(results, name, "flops"), statistics.mean(results, name, "f1")
        if cost is not None and f1 is not None:
            shape = "os^D"[number // 10 % 4]
            axes.scatter(cost / 1e6, f1, s=48, color=f"C{number % 10}", marker=shape, label=name)
    axes.set_xlabel("MFLOP per 10 m pixel, forward", fontsize=12)
    axes.set_ylabel("F1 on the scene left out, mean over folds", fontsize=12)
    axes.set_title("Quality against cost", fontsize=14)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=11, title="row, best first")
    figure.savefig(path, dpi=120)
