"""Estimates accuracy and area of a map, with standard errors and intervals, from a probability sample.

The sample is a design of `jointseg sample` with answers, or a matrix of sample counts with mapped areas.
"""

import argparse
import pathlib
from typing import Any

import numpy as np

from jointseg_jax import cli
from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.answers import agreement, as_frame, joined, read_answers, response
from jointseg_jax.evaluation.accuracy.design import DESIGN_FILE, SAMPLE_FILE, read_design
from jointseg_jax.evaluation.accuracy.matrix_files import read_matrix
from jointseg_jax.evaluation.accuracy.outcome import Setting, descriptive, outcome, table
from jointseg_jax.evaluation.accuracy.parts import outcomes_of_parts
from jointseg_jax.evaluation.accuracy.samples import of_matrix
from jointseg_jax.geo.vectors import read_layers, write_vectors
from jointseg_jax.mapping.records.assessment import add_assessment, frame_digest
from jointseg_jax.mapping.records.read_product import read_product
from jointseg_jax.storage.files import read_json, write_json
from jointseg_jax.storage.folders import check_file

_POINTS = (".gpkg", ".geojson")


def estimate(given: argparse.Namespace) -> None:
    """Prints the estimates, and writes them as JSON where that is asked for.

    Args:
        given: the flags of `commands.estimate`.

    Raises:
        InputError: they do not fit each other, or a file cannot be used.
    """
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
    if parts := outcomes_of_parts(design, rows, reference, setting):
        record["parts"] = parts
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
    cli.run_command("estimate")
