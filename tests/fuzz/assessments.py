"""What accuracy is estimated from: the design, its sample, the answers; and the assessment beside a product."""

import functools
import math
import pathlib
import random
from collections.abc import Sequence
from typing import Any

from fuzz import files, seeds, trees
from fuzz.engine import Attempt, Kind, Step, Wrong

from jointseg_jax.evaluation.accuracy.answers import joined, read_answers
from jointseg_jax.evaluation.accuracy.design import read_design
from jointseg_jax.evaluation.accuracy.outcome import Setting, outcome
from jointseg_jax.mapping.records.assessment import ASSESSMENT_FILE, kept_assessment
from jointseg_jax.mapping.records.read_product import read_product

STORED = pathlib.Path(__file__).parents[1] / "data_files" / "formats" / "3" / "accuracy"
_FILES = {"design": "design.json", "sample": "sample.csv", "answers": "answers.csv"}


@functools.cache
def _seed() -> pathlib.Path:
    """The stored folder on the disk of the cases, so that they can link to it."""
    return files.copy_tree(STORED, seeds.room("accuracy") / "stored")


def _line(rng: random.Random, path: pathlib.Path, name: str) -> None:
    """Changes one line of a table of answers."""
    lines = files.content_of(path).decode().splitlines()
    at = rng.randrange(1, len(lines))
    own, _, answer = lines[at].partition(",")
    lines[at] = {
        "unknown_id": f"999,{answer}", "no_id": f",{answer}", "nan_id": f"nan,{answer}", "unknown_class": f"{own},lake",
        "nan_class": f"{own},nan", "no_class": f"{own},", "no_cell": own, "more_cells": f"{lines[at]},1",
        "half_quoted": f'{own},"{answer}', "spaces": f" {own} , {answer} ",
    }[name]  # fmt: skip
    files.replace(path, ("\n".join(lines) + "\n").encode())


def _twice(path: pathlib.Path) -> None:
    lines = files.content_of(path).decode().splitlines()
    files.replace(path, ("\n".join([*lines, lines[1]]) + "\n").encode())


_LINES = ("unknown_id", "no_id", "nan_id", "unknown_class", "nan_class", "no_class", "no_cell", "more_cells",
          "half_quoted", "spaces")  # fmt: skip
_REFUSED = {
    "unknown_id",
    "no_id",
    "nan_id",
    "unknown_class",
    "nan_class",
    "no_cell",
    "more_cells",
    "half_quoted",
    "twice",
}


def _spoil(path: pathlib.Path, name: str, rng: random.Random) -> None:
    if name.startswith("forged_"):
        trees.forge(path, name.removeprefix("forged_"), rng)
    elif name in trees.NAMES:
        trees.rewrite(path, name, rng)
    elif name == "nested":
        trees.nested(path)
    elif name in _LINES:
        _line(rng, path, name)
    elif name == "twice":
        _twice(path)
    else:
        files.ANY[name](rng, path)


def _estimated(folder: pathlib.Path) -> dict[str, Any]:
    design, rows = read_design(folder)
    answers = read_answers(folder / "answers.csv", design, rows)
    sample = joined(design, rows, {name: answer.name for name, answer in answers.items()})
    return outcome(sample, Setting(design.classes, design.area, "m2", "wald"))


@functools.cache
def _right(kind: str) -> dict[str, Any]:
    return _estimated(_seed() / kind)


def _estimate(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    kind = random.Random(steps[0].seed if steps else 0).choice(("points", "blocks"))
    root = files.link_tree(_seed() / kind, folder / kind)
    names = [step.mutation.partition("@")[0] for step in steps]
    for step, name in zip(steps, names, strict=True):
        _spoil(root / _FILES[step.mutation.partition("@")[2]], name, random.Random(step.seed))
    other_truth = any(s.mutation.endswith("@answers") for s in steps) or any(n.startswith("forged_") for n in names)

    def check(found: dict[str, Any]) -> None:
        shares = [found["overall_accuracy"], *found["users"].values(), *found["producers"].values()]
        for figure in shares:
            value, se = figure["value"], figure["se"]
            if value is not None and not (-1e-9 <= value <= 1 + 1e-9 and math.isfinite(value)):
                raise Wrong(f"a share of {value}")
            if se is not None and not se >= 0:
                raise Wrong(f"a standard error of {se}")
        if not math.isclose(sum(a["value"] for a in found["area"].values()), found["area_total"], rel_tol=1e-6):
            raise Wrong("areas that do not add up")
        if not other_truth and found != _right(kind):
            raise Wrong("other figures than of the sample as it was drawn")

    alone = names[0] if len(names) == 1 else ""
    must = (
        "accept"
        if alone in files.HARMLESS | {"no_class", "spaces", "bom"}
        else "refuse"
        if alone in _REFUSED
        else "either"
    )
    if alone in ("blanks", "bom") and steps[0].mutation.endswith("@sample"):
        must = "refuse"  # its digest is of every byte
    return Attempt(lambda: _estimated(root), check, (*_FILES.values(), "stratum"), must)


def _assessment(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    """A damaged assessment is left out of the records, with one line that says so."""
    root = files.link_tree(_seed() / "product", folder / "product")
    tiles = read_product(root).tiles
    good = kept_assessment(_seed() / "product", tiles, lambda _: None)
    forged = any(step.mutation.startswith("forged_") for step in steps)
    for step in steps:
        _spoil(root / ASSESSMENT_FILE, step.mutation, random.Random(step.seed))
    said: list[str] = []

    def check(found: dict[str, Any]) -> None:
        if not forged and found not in ({}, good):
            raise Wrong("another outcome than was assessed")
        if any("\n" in line or ASSESSMENT_FILE not in line for line in said) or len(said) > 1:
            raise Wrong(f"said {said}")
        if not found and not said and (root / ASSESSMENT_FILE).is_file():
            raise Wrong("left out without a word")

    return Attempt(lambda: kept_assessment(root, tiles, said.append), check, (ASSESSMENT_FILE,), "accept")


_FORGED = tuple(f"forged_{name}" for name in trees.NAMES)
_TABLE = (*files.BYTES, *files.PLACE, *files.TEXT, "blanks")
KINDS = (
    Kind(
        "estimate", 220,
        (*(f"{n}@design" for n in (*_FORGED, *trees.NAMES, *files.ANY, "nested")), *(f"{n}@sample" for n in _TABLE),
         *(f"{n}@answers" for n in (*_TABLE, *_LINES, "twice"))),
        _estimate, together=2,
    ),
    Kind("assessment", 80, (*_FORGED, *trees.NAMES, *files.ANY, "nested"), _assessment, together=1),
)  # fmt: skip
