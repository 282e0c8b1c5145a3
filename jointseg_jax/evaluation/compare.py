"""Prints several evaluated runs side by side."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.storage.files import read_json

_COLUMNS = ("run", "label", "control", "params", "MFLOP/px", "P", "R", "F1", "IoU", "macro F1", "area", "ECE", "PSNR")


def rows(workdirs: Sequence[str | os.PathLike[str]], split: str) -> list[dict[str, str]]:
    """Builds one row of text cells per run.

    Raises:
        InputError: a run was not evaluated on this split.
    """
    found = []
    for workdir in map(pathlib.Path, workdirs):
        path = workdir / "evaluation" / split / "metrics.json"
        if not path.exists():
            raise InputError(f"{path} is missing: run `jointseg evaluate --workdir={workdir} --split={split}` first")
        found.append(_row(workdir.name, read_json(path)))
    return found


def _row(name: str, metrics: dict[str, Any]) -> dict[str, str]:
    overall = metrics["overall"]
    isa = overall["isa"]
    stages = overall["stages"]
    cells = (
        name,
        metrics.get("label", "-"),
        metrics["control"],
        f"{metrics['parameters']:,}",
        f"{metrics['mega_flops_per_input_pixel']:.2f}",
        *(_figure(isa[k]) for k in ("precision", "recall", "f1", "iou")),
        _figure(overall["macro_f1"]),
        _figure(overall["area_ratio"]),
        _figure(overall["calibration_error"]),
        f"{stages[-1]['psnr']:.2f} ({stages[-1]['psnr_bicubic']:.2f})" if stages else "-",
    )
    return dict(zip(_COLUMNS, cells, strict=True))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def plain(table: Sequence[dict[str, str]]) -> str:
    """Formats a table for a terminal; its columns are the keys of its first row."""
    columns = list(table[0])
    width = {c: max(len(c), *(len(r[c]) for r in table)) for c in columns}
    lines = ["  ".join(f"{c:<{width[c]}}" for c in columns)]
    lines += ["  ".join(f"{r[c]:<{width[c]}}" for c in columns) for r in table]
    return "\n".join(line.rstrip() for line in lines)


def markdown(table: Sequence[dict[str, str]]) -> str:
    """Formats a table as Markdown, likewise."""
    columns = list(table[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(r[c] for c in columns) + " |" for r in table]
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run_command("compare")
