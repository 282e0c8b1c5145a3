"""The page on which an interpreter labels the points of a sample: one HTML file that needs nothing else.

The page holds pictures, coordinates and the names of the classes. Map class, stratum and tile of a point are not in it,
and the ids are in random order, so the interpreter cannot know what the map says.
"""

import base64
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.chips import Source, sources
from jointseg_jax.evaluation.accuracy.design import Design, Row
from jointseg_jax.evaluation.accuracy.frame import Frame
from jointseg_jax.storage.files import write_text

_PLACE = "/*SAMPLE*/null"


@dataclasses.dataclass(frozen=True)
class Request:
    """What the page shows.

    Attributes:
        inputs: 10 m rasters.
        imagery: other rasters, a picture of each.
        definitions: of the classes.
        side: of a picture, metres.
    """

    inputs: Sequence[pathlib.Path]
    imagery: Sequence[pathlib.Path]
    definitions: Mapping[str, str]
    side: float


def read_definitions(path: pathlib.Path | None, frame: Frame) -> dict[str, str]:
    """Reads definitions of the map's classes from a CSV file; empty without one.

    Raises:
        InputError: the table lacks a column or names a class that the map lacks.
    """
    if path is None:
        return {}
    found = {row["class"]: row["definition"] for row in read_table(path, ("class", "definition"))}
    if strange := [name for name in found if name not in frame.classes]:
        raise InputError(f"{path} defines {strange[0]!r}, but the map's classes are {', '.join(frame.classes)}")
    return found


def write_page(path: pathlib.Path, frame: Frame, design: Design, rows: Sequence[Row], request: Request) -> None:
    """Writes the page of a sample."""
    with sources(frame, request.inputs, request.imagery, request.side) as shown:
        for source in shown:
            source.prepare(rows)
        points = [_point(row, shown) for row in rows]
    content = {
        "key": design.key,
        "title": design.title,
        "classes": [{"name": n, "definition": request.definitions.get(n, "")} for n in design.classes],
        "tolerance": design.tolerance,
        "pictures": [{"title": source.title, "side": source.side} for source in shown],
        "points": points,
    }
    text = json.dumps(content, ensure_ascii=True, allow_nan=False).replace("</", "<\\/")
    template = resources.files("jointseg_jax.evaluation.accuracy").joinpath("static", "label.html").read_text("utf-8")
    write_text(path, template.replace(_PLACE, text))


def _point(row: Row, shown: Sequence[Source]) -> dict[str, Any]:
    pictures = [source.picture(row) for source in shown]
    return {
        "id": row.id,
        "longitude": row.longitude,
        "latitude": row.latitude,
        "pictures": [None if jpeg is None else base64.b64encode(jpeg).decode() for jpeg in pictures],
    }
