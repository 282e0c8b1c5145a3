"""Estimates accuracy and area of a map, with standard errors and intervals, from a probability sample.

python -m jointseg_jax.evaluation.estimate --design=DESIGN --answers=answers.csv --json=OUT [--product=DIR]
python -m jointseg_jax.evaluation.estimate --counts=matrix.csv --areas=areas.csv --json=OUT

DESIGN is a folder of `jointseg_jax.evaluation.sample`, the answers come from its page. The matrix holds sample counts,
map classes in rows and reference classes in columns; the areas are the mapped area of every class, in any unit, and the
strata of that sample must be the map classes.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from jointseg_jax import cli
from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.answers import agreement, as_frame, joined, read_answers, response
from jointseg_jax.evaluation.accuracy.design import DESIGN_FILE, SAMPLE_FILE, read_design
from jointseg_jax.evaluation.accuracy.intervals import DEFAULT, INTERVALS
from jointseg_jax.evaluation.accuracy.matrix_files import read_matrix
from jointseg_jax.evaluation.accuracy.outcome import Setting, descriptive, outcome, table
from jointseg_jax.evaluation.accuracy.samples import of_matrix
from jointseg_jax.geo.vectors import read_layers, write_vectors
from jointseg_jax.mapping.records.assessment import add_assessment, frame_digest
from jointseg_jax.mapping.records.read_product import read_product
from jointseg_jax.storage.files import read_json, write_json
from jointseg_jax.storage.folders import check_file

_POINTS = (".gpkg", ".geojson")


def _parser() -> cli.Arguments:
    parser = cli.Arguments(
        prog="python -m jointseg_jax.evaluation.estimate", description="Accuracy and area from a sample."
    )
    sample = parser.add_argument_group("a sample that was drawn by jointseg_jax.evaluation.sample")
    sample.add_argument("--design", type=pathlib.Path, help="folder of the design")
    sample.add_argument("--answers", type=pathlib.Path, help="CSV of the page: id, class, ...")
    sample.add_argument("--second", type=pathlib.Path, help="CSV of a second interpreter, for their agreement")
    sample.add_argument("--poststratify", action="store_true", help="scale to the mapped area of every class")
    sample.add_argument("--labels", type=pathlib.Path, help="write the labelled points: .gpkg or .geojson")
    sample.add_argument("--product", type=pathlib.Path, help="write the figures into its collection and model card")
    matrix = parser.add_argument_group("an error matrix")
    matrix.add_argument("--counts", type=pathlib.Path, help="CSV: map classes in rows, in sample counts")
    matrix.add_argument("--areas", type=pathlib.Path, help="CSV: mapped area of every class, in any unit")
    parser.add_argument("--interval", choices=INTERVALS, default=DEFAULT, help="wald for published +- figures")
    parser.add_argument("--json", type=pathlib.Path, help="file for the estimates")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the estimates and writes them as JSON; returns the exit status."""
    parser = _parser()

    def work() -> None:
        given = parser.parse_args(arguments)
        _check_outputs(given)
        if given.counts is not None or given.areas is not None:
            record = _of_matrix(given)
        elif given.answers is None:
            raise InputError("give --design and --answers, or --counts and --areas (--help lists the options)")
        else:
            record = _of_design(given) if given.design is not None else _of_answers(given)
        print(table(record))
        if given.json is not None:
            write_json(given.json, record)
            print(f"written to {given.json}")

    return cli.status_of(work)


def _check_outputs(given: argparse.Namespace) -> None:
    inputs = [p for p in (given.counts, given.areas, given.answers, given.second) if p is not None]
    if given.design is not None:
        inputs += [given.design / DESIGN_FILE, given.design / SAMPLE_FILE]
    if given.json is not None:
        check_file(given.json, "file of estimates", _is_ours, inputs)
    if given.labels is not None:
        if given.labels.suffix.lower() not in _POINTS:
            raise InputError(f"--labels={given.labels} must end with {' or '.join(_POINTS)}")
        check_file(given.labels, "file of points", _are_points, inputs)
    asked = [flag for flag in ("second", "labels", "product", "poststratify") if getattr(given, flag)]
    if asked and given.design is None:
        raise InputError(f"--{asked[0]} needs a sample: give its folder with --design")


def _of_matrix(given: argparse.Namespace) -> dict[str, Any]:
    if given.counts is None or given.areas is None:
        raise InputError("--counts and --areas are needed: an error matrix and the mapped area of every class")
    classes, matrix, mapped = read_matrix(given.counts, given.areas)
    record = outcome(of_matrix(matrix, mapped), Setting(classes, float(mapped.sum()), "", given.interval, mapped))
    return {**record, "matrix": matrix.astype(int).tolist(), "sample_units": int(matrix.sum())}


def _of_design(given: argparse.Namespace) -> dict[str, Any]:
    design, rows = read_design(given.design)
    product = None if given.product is None else read_product(given.product)
    if product is not None and frame_digest(product.tiles) != design.frame.partition("+")[0]:
        raise InputError(
            f"{given.design} was drawn from another map than that of {given.product}: draw a sample of this product"
        )
    answers = read_answers(given.answers, design, rows)
    reference = {name: answer.name for name, answer in answers.items()}
    mapped = np.array(design.mapped)
    setting = Setting(design.classes, design.area, "m2", given.interval, mapped, given.poststratify)
    record = outcome(joined(design, rows, reference), setting)
    tolerant = outcome(joined(design, rows, reference, tolerant=True), setting)
    about: dict[str, Any] = {
        "kind": design.kind,
        "strata": [{"name": s.name, "size": s.size, "units": s.units} for s in design.strata],
        "response": response(design, rows, answers),
        "frame": design.frame,
        "seed": design.seed,
    }
    if given.second is not None:
        weights = {stratum.name: stratum.weight for stratum in design.strata}
        about["agreement"] = agreement(rows, weights, answers, read_answers(given.second, design, rows))
    record |= {
        "sample": about,
        "tolerance": {"metres": design.tolerance, "overall_accuracy": tolerant["overall_accuracy"]},
    }
    if given.labels is not None:
        write_vectors(given.labels, as_frame(rows, answers))
    if product is not None:
        add_assessment(given.product, record, design.frame.partition("+")[0])
    return record


def _of_answers(given: argparse.Namespace) -> dict[str, Any]:
    rows = read_table(given.answers, ("map_class", "class"))
    return descriptive([(row["map_class"], row["class"]) for row in rows if row["class"]])


def _is_ours(path: pathlib.Path) -> bool:
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and {"classes", "method"} <= set(record)


def _are_points(path: pathlib.Path) -> bool:
    try:
        layers = read_layers(path)
    except InputError:
        return False
    return len(layers) == 1 and {"id", "stratum", "map_class", "class"} <= set(layers[0].table.columns)


if __name__ == "__main__":
    sys.exit(main())
