"""Records become dataclasses with the types they state, or one sentence that names file and field."""

import dataclasses
import json
import math
from typing import Any, Literal, TypedDict

import numpy as np
import pytest

from jointseg_jax.storage import formats, typed

pytestmark = pytest.mark.quick

KIND = formats.Format("shelf", 1, "build it again")


class Place(TypedDict):
    row: int


@dataclasses.dataclass(frozen=True)
class Book:
    title: str
    pages: int
    price: float | None = None

    def __post_init__(self):
        if self.pages < 1:
            raise ValueError(f"{self.title!r} has {self.pages} pages")


@dataclasses.dataclass(frozen=True)
class Shelf:
    books: tuple[Book, ...]
    sides: tuple[float, float]
    kind: Literal["wall", "free"] = "wall"
    places: dict[str, Place] = dataclasses.field(default_factory=dict)
    about: dict[str, Any] = dataclasses.field(default_factory=dict)
    lock: bytes = b""


BOOKS = (Book("a", 3, 1.5), Book("b", 4))
SHELF = Shelf(BOOKS, (1.0, 2.5), "free", {"a": {"row": 1}}, {"x": [1, {"y": None}]}, b"\x00")


def parsed(fields, **options):
    return typed.parse(fields, Shelf, KIND, "shelf.json", **options)


def fields(**changes):
    return json.loads(json.dumps(typed.plain(SHELF))) | changes


def test_round_trip_through_json():
    assert parsed(fields()) == SHELF
    assert json.dumps(typed.plain(parsed(fields()))) == json.dumps(typed.plain(SHELF))


def test_plain_is_what_asdict_makes_of_it():
    assert typed.plain(SHELF) == dataclasses.asdict(SHELF) | {"lock": "AA=="}
    assert typed.plain([{"a": BOOKS}]) == [{"a": tuple(map(dataclasses.asdict, BOOKS))}]
    assert (
        json.dumps(typed.plain(Book("a", np.int64(3), np.float64(0.1)))) == '{"title": "a", "pages": 3, "price": 0.1}'
    )


def test_an_integer_is_a_float_and_missing_fields_have_their_defaults():
    shelf = parsed({"books": [{"title": "a", "pages": 1, "price": 2}], "sides": [1, 2]})
    assert shelf == Shelf((Book("a", 1, 2.0),), (1.0, 2.0))
    assert typed.plain(shelf) == typed.plain(Shelf((Book("a", 1, 2.0),), (1.0, 2.0)))
    assert [type(side) for side in shelf.sides] == [float, float]
    assert math.isnan(parsed(fields(sides=[1.0, math.nan])).sides[1])


BOOK = {"title": "a", "pages": 3}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "expected object, got array"),
        ({"sides": [1, 2]}, "it lacks books"),
        (fields(books=[BOOK, {"title": "b"}]), r"books\[1\]: it lacks pages"),
        (fields(books=None), "books: expected array, got null"),
        (fields(books=[BOOK | {"pages": 3.5}]), r"books\[0\]\.pages: expected int, got float"),
        (fields(books=[BOOK | {"pages": True}]), r"books\[0\]\.pages: expected int, got bool"),
        (fields(books=[BOOK | {"price": "2"}]), r"books\[0\]\.price: expected float \| null, got str"),
        (fields(books=[BOOK | {"price": 10**400}]), r"books\[0\]\.price: Number out of range"),
        (fields(books=[BOOK | {"title": 3}]), r"books\[0\]\.title: expected str, got int"),
        (fields(books=[BOOK | {"pages": 0}]), r"books\[0\]: 'a' has 0 pages"),
        (fields(sides=[1, 2, 3]), "sides: expected array of length 2, got 3"),
        (fields(kind="round"), "kind: Invalid enum value 'round'"),
        (fields(places={"a": {"row": "1"}}), r"places\[\.\.\.\]\.row: expected int, got str"),
        (fields(lock="?"), "lock: Invalid base64"),
    ],
)
def test_damage_is_one_sentence_with_file_field_and_advice(given, reason):
    with pytest.raises(formats.Damaged, match=rf"^shelf\.json is damaged \({reason}.*\): build it again$") as caught:
        parsed(given)
    assert "`" not in str(caught.value)


@pytest.mark.parametrize("place", [lambda f: f, lambda f: f["books"][1], lambda f: f["places"]["a"]])
def test_unknown_fields_are_of_a_newer_version_at_any_depth(place):
    given = fields()
    place(given)["colour"] = None
    with pytest.raises(formats.Newer, match=r"^shelf\.json has a field 'colour' .* upgrade jointseg-jax$"):
        parsed(given)
    assert parsed(given, partial=True) == SHELF


def test_free_values_are_left_alone():
    about = {"a": {"b": [{"c": 1}, [], "", None, 2.5]}}
    assert parsed(fields(about=about)).about == about


def test_files(tmp_path):
    path = tmp_path / "shelf.json"
    formats.write_record(path, typed.plain(SHELF), KIND)
    assert typed.read(path, Shelf, KIND) == SHELF
    with pytest.raises(FileNotFoundError):
        typed.read(tmp_path / "none.json", Shelf, KIND)
    formats.write_record(path, {"books": 1}, KIND)
    with pytest.raises(formats.Damaged, match=r"shelf\.json is damaged \(books: expected array, got int\)"):
        typed.read(path, Shelf, KIND)


def test_a_field_that_came_later_is_written_only_with_a_value():
    @dataclasses.dataclass(frozen=True)
    class Grown:
        first: int
        second: float | None = None
        third: str | None = dataclasses.field(default=None, metadata=typed.LATER)

    assert typed.plain([Grown(1)]) == [{"first": 1, "second": None}]
    assert typed.plain({"a": Grown(1, 2.0, "x")}) == {"a": {"first": 1, "second": 2.0, "third": "x"}}
    for fields in ({"first": 1}, {"first": 1, "third": "x"}):
        assert typed.plain(typed.parse(fields, Grown, formats.SITE, "somewhere")) == {"second": None, **fields}
