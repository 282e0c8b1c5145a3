"""Answers the points of a sample of change from a dataset whose labels know the ground, in place of an interpreter.

For made-up ground and for tests: an interpreter labels real ground on the page. Points outside the dataset's places,
and points whose label is unknown in a year, get no answer.
"""

import csv
import io
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from jointseg_jax.data.dataset import Dataset, load
from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.design import DESIGN_FILE, SAMPLE_FILE, Design, Row, read_design
from jointseg_jax.evaluation.change.kinds import Kinds
from jointseg_jax.evaluation.change.places import Place, places_of
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.storage.files import write_bytes
from jointseg_jax.storage.folders import check_file

_COLUMNS = ("id", "class")


def kinds_of(design: Design) -> Kinds:
    """The kinds of change that are the classes of a design.

    Raises:
        InputError: its classes are no kinds of change.
    """
    gains = [name.removeprefix("gain ") for name in design.classes if name.startswith("gain ")]
    kinds = Kinds((*(gain.partition(" to ")[0] for gain in gains), *(gain.partition(" to ")[2] for gain in gains[-1:])))
    if not gains or kinds.names != design.classes:
        raise InputError(f"the classes of the design are {', '.join(design.classes)}: draw it with --change")
    return kinds


def answered(design: Design, rows: Sequence[Row], data: Dataset, split: str) -> dict[str, str]:
    """The kind of change of every point that the dataset knows, by id."""
    kinds = kinds_of(design)
    places, found = places_of(data, split, kinds.labels), {}
    handles = Handles(limit=64)
    try:
        for row in rows:
            place = next((p for p in places if _holds(p, row)), None)
            if place is not None:
                window = Window(int(place.bounds[3] - row.y), int(row.x - place.bounds[0]), 1, 1)
                labels = [read_window(handles.get(str(data.root / s.label)), window)[0][..., 0] for s in place.sites]
                kind = int(kinds.of(np.stack(labels))[0, 0])
                if kind != IGNORE:
                    found[row.id] = kinds.names[kind]
    finally:
        handles.close()
    return found


def _holds(place: Place, row: Row) -> bool:
    west, south, east, north = place.bounds
    return place.epsg == row.epsg and west <= row.x < east and south < row.y <= north


def write_answers(
    path: str | os.PathLike[str], design: str | os.PathLike[str], dataset: str | os.PathLike[str], split: str
) -> tuple[int, int]:
    """Writes the answers as the page exports them; returns the numbers of answers and of points.

    Raises:
        InputError: the design or the dataset cannot be read, or the file is another one.
    """
    path, folder = pathlib.Path(path), pathlib.Path(design)
    check_file(path, "file of answers", _is_ours, [folder / DESIGN_FILE, folder / SAMPLE_FILE])
    drawn, rows = read_design(folder)
    found = answered(drawn, rows, load(dataset), split)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([(*_COLUMNS, "sample"), *((key, name, drawn.key) for key, name in found.items())])
    write_bytes(path, text.getvalue().encode())
    return len(found), len(rows)


def _is_ours(path: pathlib.Path) -> bool:
    try:
        read_table(path, _COLUMNS)
    except InputError:
        return False
    return True
