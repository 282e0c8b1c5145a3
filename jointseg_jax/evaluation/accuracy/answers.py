"""Reads the answers of interpreters and joins them to the sample that was drawn.

Only answers that match the design are used for estimates: every id is of the sample, and columns `sample`, `stratum`,
`unit` or `weight`, if the file has them, are those of the sample (the page writes `sample`). Points without an answer
are non-response: they are reported, and the answered points of a stratum stand for all of it.
"""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import geopandas
import numpy as np

from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.design import Design, Row, Stratum
from jointseg_jax.evaluation.accuracy.samples import Blocks, Points, Sample, own_rows

_BOUND = ("sample", "stratum", "unit", "weight")  # columns that must be those of the sample


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer: class, and what else the file says about it."""

    name: str
    confidence: str = ""
    note: str = ""
    interpreter: str = ""


def read_answers(path: pathlib.Path, design: Design, rows: Sequence[Row]) -> dict[str, Answer]:
    """Reads the answers to a sample, by id.

    Raises:
        InputError: an answer does not match the design, a class is unknown, or an id is answered twice.
    """
    known, found = {row.id: row for row in rows}, {}
    weights = {stratum.name: stratum.weight for stratum in design.strata}
    for line in read_table(path, ("id", "class")):
        own = known.get(line["id"]) or known.get(line["id"].zfill(len(rows[0].id)))  # spreadsheets drop zeros
        if own is None:
            raise InputError(
                f"{path} has an answer to id {line['id']!r}, which the sample lacks: give the answers to this design"
            )
        bound = {"stratum": own.stratum, "unit": own.unit, "weight": f"{weights[own.stratum]:.10g}"}
        bound["sample"] = design.key
        for column in _BOUND:
            if column in line and not _same(line[column], bound[column]):
                raise InputError(
                    f"{path} has the {column} {line[column]!r} for id {own.id!r}, but the design has "
                    f"{bound[column]!r}: give the answers to this design"
                )
        if not line["class"]:
            continue  # non-response
        if line["class"] not in design.classes:
            raise InputError(
                f"{path} has the class {line['class']!r} for id {own.id!r}; the map's classes are "
                f"{', '.join(design.classes)}"
            )
        if own.id in found:
            raise InputError(f"{path} answers id {own.id!r} twice: keep one answer")
        found[own.id] = Answer(line["class"], *(line.get(k, "") for k in ("confidence", "note", "interpreter")))
    if not found:
        raise InputError(f"{path} has no answer: label points first")
    return found


def _same(text: str, own: str) -> bool:
    try:
        return math.isclose(float(text), float(own), rel_tol=1e-6)
    except ValueError:
        return text == own


def joined(design: Design, rows: Sequence[Row], reference: Mapping[str, str], *, tolerant: bool = False) -> Sample:
    """The sample behind estimates.

    Args:
        design: see `Design`.
        rows: of its sample.
        reference: class by id of every answered point.
        tolerant: take the map class as the reference where the map has the reference class within the tolerance. The
            map classes keep their areas, so poststratification still holds; only the overall accuracy has a meaning.

    Raises:
        InputError: a stratum has fewer than two answered units.
    """
    classes = {name: i for i, name in enumerate(design.classes)}
    count = len(classes)
    answered = [row for row in rows if row.id in reference]
    true = [r.map_class if tolerant and reference[r.id] in r.near else reference[r.id] for r in answered]
    cell = {r.id: classes[r.map_class] * count + classes[t] for r, t in zip(answered, true, strict=True)}
    found = gathered(design, rows, cell, count**2)
    if isinstance(found, Blocks):
        return found
    possible = np.array([[name in s.classes for name in design.classes] for s in design.strata])
    return dataclasses.replace(found, possible=own_rows(possible))


def gathered(design: Design, rows: Sequence[Row], cells: Mapping[str, int], count: int) -> Sample:
    """A sample of any cells, all of which can occur in every stratum.

    Args:
        design: see `Design`.
        rows: of its sample.
        cells: cell by id of every answered point.
        count: number of cells.

    Raises:
        InputError: a stratum has fewer than two answered units.
    """
    strata = {stratum.name: i for i, stratum in enumerate(design.strata)}
    answered = [row for row in rows if row.id in cells]
    stratum = np.array([strata[row.stratum] for row in answered], int)
    cell = np.array([cells[row.id] for row in answered], int)
    sizes = np.array([s.size for s in design.strata])
    possible = np.ones((len(strata), count), bool)
    if design.kind == "points":
        counts = np.zeros((len(strata), count))
        np.add.at(counts, (stratum, cell), 1)
        _check(design.strata, counts.sum(1))
        return Points(counts, sizes, possible, np.ones(len(strata)))
    units = sorted({(strata[r.stratum], r.unit) for r in answered})
    number = {unit: i for i, unit in enumerate(units)}
    # Blocks without a point on mapped ground need no answer: their content is 0.
    empty = [s.units - len({r.unit for r in rows if r.stratum == s.name}) for s in design.strata]
    content = np.zeros((len(units) + sum(empty), count))
    at = np.array([number[strata[r.stratum], r.unit] for r in answered])
    np.add.at(content, (at, cell), 1)
    owner = np.array([h for h, _ in units] + [h for h, n in enumerate(empty) for _ in range(n)], int)
    labelled = np.bincount(owner, minlength=len(strata))
    _check(design.strata, labelled)
    return Blocks(content, owner, sizes, possible, 1 - labelled / sizes)


def _check(strata: Sequence[Stratum], units: np.ndarray) -> None:
    for stratum, n in zip(strata, units, strict=True):
        if n < 2:
            raise InputError(
                f"stratum {stratum.name!r} has {n:g} answered units of {stratum.units}, but a standard error needs at "
                "least two: label more of its points"
            )


def response(design: Design, rows: Sequence[Row], answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Points drawn and answered, by stratum."""
    found = {}
    for stratum in design.strata:
        own = [row.id for row in rows if row.stratum == stratum.name]
        found[stratum.name] = {"points": len(own), "answered": sum(i in answers for i in own)}
    return found


def agreement(
    rows: Sequence[Row], weights: Mapping[str, float], first: Mapping[str, Answer], second: Mapping[str, Answer]
) -> dict[str, Any]:
    """How far two interpreters agree on the points that both answered.

    Returns:
        `points`; `share`, with the points weighted as the design weights them; `kappa` (Cohen 1960) of the plain
        counts, None if it is undefined; `differing`, the ids to look at again.
    """
    both = [row for row in rows if row.id in first and row.id in second]
    if not both:
        raise InputError("the two interpreters have no point in common: give answers to the same sample")
    a, b = [first[r.id].name for r in both], [second[r.id].name for r in both]
    same = np.array([x == y for x, y in zip(a, b, strict=True)])
    weight = np.array([weights[row.stratum] for row in both])
    chance = sum((a.count(name) / len(both)) * (b.count(name) / len(both)) for name in set(a) | set(b))
    return {
        "points": len(both),
        "share": float((same * weight).sum() / weight.sum()),
        "kappa": float((same.mean() - chance) / (1 - chance)) if chance < 1 else None,
        "differing": [row.id for row, alike in zip(both, same, strict=True) if not alike],
    }


def as_frame(rows: Sequence[Row], answers: Mapping[str, Answer]) -> geopandas.GeoDataFrame:
    """The sample with its answers as points in longitude and latitude."""
    table = {
        "id": [row.id for row in rows],
        "unit": [row.unit for row in rows],
        "stratum": [row.stratum for row in rows],
        "map_class": [row.map_class for row in rows],
        "class": [answers[row.id].name if row.id in answers else None for row in rows],
        "confidence": [answers[row.id].confidence if row.id in answers else None for row in rows],
        "note": [answers[row.id].note if row.id in answers else None for row in rows],
        "interpreter": [answers[row.id].interpreter if row.id in answers else None for row in rows],
    }
    points = geopandas.points_from_xy([row.longitude for row in rows], [row.latitude for row in rows])
    return geopandas.GeoDataFrame(table, geometry=points, crs=4326)
