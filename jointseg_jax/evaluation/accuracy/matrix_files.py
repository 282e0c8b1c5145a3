"""Reads an error matrix of sample counts and the mapped area of every class from CSV files.

The matrix has map classes in its rows and reference classes in its columns. Names of classes in a first line or a first
column are optional. Areas are one per class: a line each (`name,area` or the area alone), or one line, with or without
the names above. A line or column named "total" is left out if it adds up.
"""

import math
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from jointseg_jax.data.tables import read_cells
from jointseg_jax.errors import InputError

_TOTALS = {"total", "totals", "sum"}
_MOST = 10**9  # sample units in a cell: more are pixels that were counted, not labelled
_AREAS = (1e-9, 1e18)  # in any unit: products and sums of them stay finite


def read_matrix(counts: pathlib.Path, areas: pathlib.Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Reads class names, counts [map classes, reference classes] and areas [classes] in the order of the matrix.

    Raises:
        InputError: a table is malformed, or its numbers cannot be sample counts or areas.
    """
    names, matrix = _read_counts(counts)
    given, values = _read_areas(areas)
    if names is None:
        names = given or [f"class {i + 1}" for i in range(len(matrix))]
    if len(values) != len(matrix):
        raise InputError(f"{areas} has {len(values)} areas, but {counts} has {len(matrix)} classes: give one per class")
    if given is not None:
        order = [_place(name, given) for name in names]
        if None in order:
            absent = names[order.index(None)]
            raise InputError(f"{areas} has no area of class {absent!r} of {counts}; it has {given}: add it")
        values = values[[at for at in order if at is not None]]
    return names, matrix, values


def _read_counts(path: pathlib.Path) -> tuple[list[str] | None, np.ndarray]:
    rows, columns, body = _split(path, read_cells(path, "names of the reference classes or sample counts"))
    rows, columns, body = _without_totals(path, rows, columns, body)
    height, width = len(body), len(body[0])
    if rows is not None and columns is not None:
        lacking = [n for n in rows if _place(n, columns) is None], [n for n in columns if _place(n, rows) is None]
        for missing, side in zip(lacking, ("columns (reference)", "rows (map)"), strict=True):
            if missing:
                raise InputError(
                    f"{path} has no class {missing[0]!r} in its {side}: give every class on both sides, with zeros "
                    "where nothing was found"
                )
        order = [at for n in rows if (at := _place(n, columns)) is not None]
        body = [[line[at] for at in order] for line in body]
    if height != width:
        raise InputError(f"{path} has {height} rows but {width} columns of counts: give every class on both sides")
    if height < 2:
        raise InputError(f"{path} has one class: an error matrix needs at least two")
    names = rows or columns
    shown = names or [f"class {i + 1}" for i in range(height)]
    matrix = np.array([[_count(path, cell, shown[i], shown[j]) for j, cell in enumerate(line)]
                       for i, line in enumerate(body)], float)  # fmt: skip
    for name, total in zip(shown, matrix.sum(1), strict=True):
        if total < 2:
            raise InputError(
                f"{path} has {total:g} sample units in map class {name!r}: a standard error needs at least two, label "
                "more or merge the class with another"
            )
    return names, matrix


def _read_areas(path: pathlib.Path) -> tuple[list[str] | None, np.ndarray]:
    cells = read_cells(path, "the names of the classes or their mapped areas")
    if len(cells) == 1 or (len(cells) == 2 and len(cells[0]) > 2):
        cells = [list(line) for line in zip(*cells, strict=True)]  # one line: classes side by side
    if len(cells) > 1 and not re.match(r"[-+.\d]|nan|inf|$", cells[0][-1], re.I):
        cells = cells[1:]  # a header
    if len(cells[0]) > 2:
        raise InputError(f"{path} has {len(cells[0])} columns: give the class and its area, or the area alone")
    names = [line[0] for line in cells] if len(cells[0]) == 2 else None
    values = []
    for i, line in enumerate(cells):
        name = names[i] if names else f"class {i + 1}"
        value = _number(line[-1])
        if value is None or not _AREAS[0] <= value <= _AREAS[1]:
            raise InputError(
                f"{path} has the area {line[-1]!r} for {name!r}: give a positive number (up to {_AREAS[1]:.0e}), with "
                "a decimal point and without separators of thousands"
            )
        values.append(value)
    if names and names[-1].casefold() in _TOTALS and math.isclose(values[-1], sum(values[:-1]), rel_tol=1e-6):
        names, values = names[:-1], values[:-1]
    if names:
        _check_distinct(path, names)
    return names, np.array(values)


def _split(path: pathlib.Path, cells: list[list[str]]) -> tuple[list[str] | None, list[str] | None, list[list[str]]]:
    """Names of the rows, names of the columns, and the body; None for names that are not given."""
    # Names may be numbers, such as the codes 0 and 1, if the corner is not one.
    has_header = not all(map(_is_number, cells[0][1:]))
    has_names = not all(_is_number(line[0]) for line in cells[1:])
    if not has_header and not has_names and not _is_number(cells[0][0]):
        has_header = has_names = True
    body = [line[has_names:] for line in cells[has_header:]]
    if not body or not body[0]:
        raise InputError(f"{path} has no counts: give one row per map class and one column per reference class")
    rows = [line[0] for line in cells[has_header:]] if has_names else None
    columns = cells[0][has_names:] if has_header else None
    for names in (rows, columns):
        if names is not None:
            _check_distinct(path, names)
    return rows, columns, body


def _without_totals(
    path: pathlib.Path, rows: list[str] | None, columns: list[str] | None, body: list[list[str]]
) -> tuple[list[str] | None, list[str] | None, list[list[str]]]:
    """Leaves out a last row and a last column of totals."""

    def check(parts: Sequence[str], total: str, which: str) -> None:
        values = [_number(cell) for cell in (*parts, total)]
        if None not in values and sum(v for v in values[:-1] if v is not None) != values[-1]:
            raise InputError(f"{path} has {which} that does not add up to its total {total}: correct or remove it")

    if columns and columns[-1].casefold() in _TOTALS and len(columns) > 1:
        for line in body:
            check(line[:-1], line[-1], "a row")
        columns, body = columns[:-1], [line[:-1] for line in body]
    if rows and rows[-1].casefold() in _TOTALS and len(rows) > 1:
        for column in zip(*body, strict=True):
            check(column[:-1], column[-1], "a column")
        rows, body = rows[:-1], body[:-1]
    return rows, columns, body


def _count(path: pathlib.Path, cell: str, row: str, column: str) -> float:
    value = _number(cell)
    where = f"{path} has {cell!r} in row {row!r}, column {column!r}"
    if value is None or not math.isfinite(value):
        raise InputError(f"{where}: give a number of sample units")
    if value < 0:
        raise InputError(f"{where}: a count cannot be negative, correct it")
    if value > _MOST:
        raise InputError(f"{where}: give counts of labelled sample units, at most {_MOST:,} each, not of mapped pixels")
    if value != int(value):
        raise InputError(f"{where}: counts are whole numbers of sample units, not shares or areas")
    return value


def _check_distinct(path: pathlib.Path, names: Sequence[str]) -> None:
    folded = [name.casefold() for name in names]
    twice = next((name for name in names if folded.count(name.casefold()) > 1), None)
    if twice is not None:
        raise InputError(f"{path} names the class {twice!r} twice: give every class once")


def _place(name: str, names: Sequence[str]) -> int | None:
    """The position of a class, whatever the case of its letters."""
    folded = [other.casefold() for other in names]
    return folded.index(name.casefold()) if name.casefold() in folded else None


def _number(cell: str) -> float | None:
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def _is_number(cell: str) -> bool:
    return _number(cell) is not None
