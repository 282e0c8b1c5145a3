"""Validation F1 of a study's runs against steps and CPU seconds: who is ahead after the same time?"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jointseg_jax.evaluation.study import statistics

PICTURE = "curves.png"
Results = Sequence[Mapping[str, Any]]


def curve_of(workdir: pathlib.Path, seconds: float) -> list[list[float]]:
    """The validations of a run: step, CPU seconds so far, F1; empty without a log.

    The log has the time of day. The CPU seconds of the whole run are spread over the time that it was running, so
    interruptions do not count, and steps repeated after one count twice.

    Args:
        workdir: of the run.
        seconds: CPU seconds of its training.
    """
    path = workdir / "log.jsonl"
    found: dict[int, tuple[float, float]] = {}
    before, running = 0.0, 0.0
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:  # a killed run's last line
            continue
        running += 0.0 if record["kind"] == "start" else record["time"] - before
        before = record["time"]
        if record["kind"] == "validation" and record.get("f1") is not None:
            found[record["step"]] = (running, record["f1"])
    share = seconds / running if running else 0.0
    return [[step, round(at * share, 1), round(f1, 4)] for step, (at, f1) in sorted(found.items())]


def best_within(curve: Sequence[Sequence[float]], seconds: float) -> float | None:
    """The best validation F1 within so many CPU seconds, which chooses the checkpoint; None before the first."""
    return max((f1 for _, at, f1 in curve if at <= seconds + 0.05), default=None)


def at_equal_seconds(results: Results, row: str, reference: str) -> statistics.Difference | None:
    """The paired difference of validation F1 after the CPU seconds of the faster of two rows."""
    runs: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
    for result in results:
        if result["row"] in (row, reference) and result.get("curve"):
            runs.setdefault((result["fold"], result["seed"]), {})[result["row"]] = result
    reached = []
    for (fold, seed), pair in runs.items():
        seconds = min(float(result["seconds"]) for result in pair.values())
        for name, result in pair.items():
            f1 = best_within(result["curve"], seconds)
            reached.append({"row": name, "fold": fold, "seed": seed, "validation_f1": f1})
    return statistics.difference(reached, row, reference, "validation_f1")


def table(results: Results, names: Sequence[str], reference: str) -> str:
    """Differences from a reference row in validation F1, at the end of all steps and after equal CPU seconds."""
    ends = [{**r, "validation_f1": best_within(r["curve"], np.inf)} for r in results if r.get("curve")]
    lines = [
        f"## Validation F1 against {reference}, at equal steps and at equal seconds",
        "",
        "The best validation so far, on blocks of the training scenes; at equal seconds: after the CPU seconds of the "
        "faster of the two, where the slower one is not at the end of its learning rate schedule. In brackets the "
        "interval of 95 % over folds.",
        "",
        "| row | equal steps | folds ahead | equal seconds | folds ahead |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in names:
        steps = statistics.difference(ends, name, reference, "validation_f1")
        seconds = at_equal_seconds(results, name, reference)
        if name != reference and steps:
            # A slow row may have no validation yet when a fast one has ended.
            shown = [(statistics.shown(d), f"{d.ahead} of {d.folds}") if d else ("-", "-") for d in (steps, seconds)]
            cells = [cell for pair in shown for cell in pair]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(results: Results, names: Sequence[str], path: pathlib.Path) -> None:
    """Draws the validation F1 of every row against steps and against CPU seconds, means over folds and seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    for number, name in enumerate(names):
        steps, seconds, f1 = mean_curve(results, name)
        if len(steps):
            colour, style = f"C{number % 10}", ("-", "--", ":", "-.")[number // 10 % 4]
            left.plot(steps, f1, style, color=colour, marker="o", markersize=4, label=name)
            right.plot(seconds / 60, f1, style, color=colour, marker="o", markersize=4)
    left.set_xlabel("training steps", fontsize=12)
    right.set_xlabel("CPU minutes of training", fontsize=12)
    left.set_ylabel("F1 on validation blocks, mean over folds", fontsize=12)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.suptitle("Validation F1 while training", fontsize=14)
    figure.legend(loc="outside right center", fontsize=11, title="row, best on the test scenes first")
    figure.savefig(path, dpi=120)


def mean_curve(results: Results, row: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, CPU seconds and F1 of a row where all its curves have a point: means over folds of means over seeds."""
    curves = [{**r, "points": {p[0]: p[1:] for p in r["curve"]}} for r in results if r["row"] == row and r.get("curve")]
    shared = sorted(set.intersection(*(set(c["points"]) for c in curves))) if curves else []
    seconds, f1 = (
        [
            statistics.mean([{**c, "value": c["points"][step][part]} for c in curves], row, "value") or 0.0
            for step in shared
        ]
        for part in (0, 1)
    )
    return np.array(shared), np.array(seconds), np.array(f1)
