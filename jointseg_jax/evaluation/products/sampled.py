"""Scores of maps and products at the points of a probability sample, and intervals of their differences, in pairs.

All figures are ratios of estimated totals, see `accuracy.estimators`. A point of unknown ground in one of the maps
counts as outside of the ground that is judged.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.answers import gathered, read_answers
from jointseg_jax.evaluation.accuracy.design import Row, read_design
from jointseg_jax.evaluation.accuracy.estimators import Ratios, difference, estimate
from jointseg_jax.evaluation.accuracy.outcome import finite
from jointseg_jax.evaluation.products.given import Given
from jointseg_jax.evaluation.products.layer import Layer
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.reader import Handles

FIGURES = ("precision", "recall", "f1", "iou", "oa", "area_ratio")
_CELLS = 9  # class of one map, of the other, of the reference; the last is unknown ground
_NORMAL = float(stats.norm.ppf(0.975))


def judge_sample(maps: Sequence[Given], folder: pathlib.Path, answers: pathlib.Path) -> dict[str, Any]:
    """Scores maps at the answered points of a sample; see docs/products.md for the record.

    Args:
        maps: the first is compared with each of the others.
        folder: of the design, see `accuracy.design`.
        answers: of its points.

    Raises:
        InputError: the design or the answers cannot be used, are not of two classes, or no point is known to all.
    """
    design, rows = read_design(folder)
    if len(design.classes) != 2:
        raise InputError(
            f"{folder} is a sample of {len(design.classes)} classes, but maps are compared on two: give a sample of "
            "one map"
        )
    given = read_answers(answers, design, rows)
    answered = [row for row in rows if row.id in given]
    truth = np.array([design.classes.index(given[row.id].name) for row in answered])
    classes = _classes(maps, answered)
    known = (classes >= 0).all(0)
    if not known.any():
        names = ", ".join(m.name for m in maps)
        raise InputError(f"no answered point of {folder} is known to all of {names}: give maps of the sampled ground")
    found: dict[str, Any] = {
        "design": str(folder), "points": len(rows), "answered": len(answered), "known_to_all": int(known.sum()),
        "maps": {}, "differences": {},
    }  # fmt: skip
    for number, other in enumerate(maps):
        cell = np.where(known, 4 * classes[0] + 2 * classes[number] + truth, _CELLS - 1)
        sample = gathered(design, rows, {r.id: int(c) for r, c in zip(answered, cell, strict=True)}, _CELLS)
        ratios = _ratios(1)
        own = estimate(sample, ratios)
        found["maps"][other.name] = {
            name: {"value": finite(v), "se": finite(s)} for name, v, s in zip(FIGURES, own.value, own.se, strict=True)
        }
        if number:
            value, se = difference(sample, _ratios(0), ratios)
            found["differences"][other.name] = {
                "discordant": int((known & (classes[0] != classes[number])).sum()),
                **{name: _interval(v, s) for name, v, s in zip(FIGURES, value, se, strict=True)},
            }
    return found


def _classes(maps: Sequence[Given], rows: Sequence[Row]) -> np.ndarray:
    """Classes of the maps at points [maps, points]; -1 where unknown."""
    handles = Handles(limit=16)
    try:
        layers = [Layer(given, handles) for given in maps]
        found = np.full((len(maps), len(rows)), -1)
        for at, row in enumerate(rows):
            pixel = make_lattice(f"EPSG:{row.epsg}", row.x - 0.5, row.y + 0.5, 1, 1, 1)
            for number, layer in enumerate(layers):
                fraction = float(layer.look(pixel, Window(0, 0, 1, 1)).fraction[0, 0])
                if not np.isnan(fraction):
                    found[number, at] = fraction >= layer.given.threshold
    finally:
        handles.close()
    return found


def _ratios(which: int) -> Ratios:
    """The figures of the first (0) or the second map (1) of the cells."""
    cells = np.arange(_CELLS)
    inside = cells < _CELLS - 1
    mapped, true = (cells >> (2 - which)) & 1, cells & 1
    tp, fp, fn, tn = ((inside & (mapped == m) & (true == t)).astype(float) for m, t in ((1, 1), (1, 0), (0, 1), (0, 0)))
    over = [tp, tp, 2 * tp, tp, tp + tn, tp + fp]
    under = [tp + fp, tp + fn, 2 * tp + fp + fn, tp + fp + fn, tp + fp + fn + tn, tp + fn]
    return Ratios(np.stack(over), np.stack(under))


def _interval(value: float, se: float) -> dict[str, float | None]:
    half = _NORMAL * se
    return {"value": finite(value), "se": finite(se), "low": finite(value - half), "high": finite(value + half)}
