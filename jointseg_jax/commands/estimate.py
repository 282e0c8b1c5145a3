"""Estimates accuracy and area of a map, with standard errors and intervals, from a probability sample.

jointseg estimate --design=DESIGN --answers=answers.csv --json=OUT [--product=DIR]
jointseg estimate --counts=matrix.csv --areas=areas.csv --json=OUT

DESIGN is a folder of `jointseg sample`, the answers come from its page. The matrix holds sample counts, map classes in
rows and reference classes in columns; the areas are the mapped area of every class, in any unit, and the strata of that
sample must be the map classes.
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli

INTERVALS = ("bayes", "wald")


def _parser() -> cli.Arguments:
    parser = cli.Arguments(prog="jointseg estimate", description=__doc__)
    sample = parser.add_argument_group("a sample that was drawn by `jointseg sample`")
    sample.add_argument("--design", type=pathlib.Path, help="folder of the design")
    sample.add_argument("--answers", type=pathlib.Path, help="CSV of the page: id, class, ...")
    sample.add_argument("--second", type=pathlib.Path, help="CSV of a second interpreter, for their agreement")
    sample.add_argument("--poststratify", action="store_true", help="scale to the mapped area of every class")
    sample.add_argument("--labels", type=pathlib.Path, help="write the labelled points: .gpkg or .geojson")
    sample.add_argument("--product", type=pathlib.Path, help="write the figures into its collection and model card")
    matrix = parser.add_argument_group("an error matrix")
    matrix.add_argument("--counts", type=pathlib.Path, help="CSV: map classes in rows, in sample counts")
    matrix.add_argument("--areas", type=pathlib.Path, help="CSV: mapped area of every class, in any unit")
    parser.add_argument("--interval", choices=INTERVALS, default=INTERVALS[0], help="wald for published +- figures")
    parser.add_argument("--json", type=pathlib.Path, help="file for the estimates")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the estimates and writes them as JSON; returns the exit status."""
    parser = _parser()

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.evaluation.estimate import estimate

        estimate(given)

    return cli.status_of(work)
