"""Estimates accuracy and area of a map, with standard errors and intervals, from a probability sample.

python -m jointseg_jax.evaluation.estimate --counts=matrix.csv --areas=areas.csv --json=OUT

The matrix holds sample counts, map classes in rows and reference classes in columns; the areas are the mapped area of
every class, in any unit. The strata of the sample must be the map classes.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.intervals import DEFAULT, INTERVALS
from jointseg_jax.evaluation.accuracy.matrix_files import read_matrix
from jointseg_jax.evaluation.accuracy.outcome import Setting, outcome, table
from jointseg_jax.evaluation.accuracy.samples import of_matrix
from jointseg_jax.storage.files import read_json, write_json
from jointseg_jax.storage.folders import check_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the estimates and writes them as JSON; returns the exit status."""
    parser = cli.Arguments(
        prog="python -m jointseg_jax.evaluation.estimate", description="Accuracy and area from a sample."
    )
    parser.add_argument("--counts", type=pathlib.Path, help="CSV: error matrix, map classes in rows, in sample counts")
    parser.add_argument("--areas", type=pathlib.Path, help="CSV: mapped area of every class, in any unit")
    parser.add_argument("--interval", choices=INTERVALS, default=DEFAULT, help="wald for published +- figures")
    parser.add_argument("--json", type=pathlib.Path, help="file for the estimates")

    def work() -> None:
        given = parser.parse_args(arguments)
        if given.counts is None or given.areas is None:
            raise InputError("--counts and --areas are needed: an error matrix and the mapped area of every class")
        if given.json is not None:
            check_file(given.json, "file of estimates", _is_ours, [given.counts, given.areas])
        record = _of_matrix(given.counts, given.areas, given.interval)
        print(table(record))
        if given.json is not None:
            write_json(given.json, record)
            print(f"written to {given.json}")

    return cli.status_of(work)


def _of_matrix(counts: pathlib.Path, areas: pathlib.Path, interval: str) -> dict[str, Any]:
    classes, matrix, mapped = read_matrix(counts, areas)
    record = outcome(of_matrix(matrix, mapped), Setting(classes, float(mapped.sum()), "", interval, mapped))
    return {**record, "matrix": matrix.astype(int).tolist(), "sample_units": int(matrix.sum())}


def _is_ours(path: pathlib.Path) -> bool:
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and {"overall_accuracy", "classes", "method"} <= set(record)


if __name__ == "__main__":
    sys.exit(main())
