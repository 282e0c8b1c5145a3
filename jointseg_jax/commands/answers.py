"""Answers a sample of change from a dataset that knows the ground: jointseg answers --design=DIR --dataset=DIR ...

For made-up ground and for tests: an interpreter labels real ground on the page. The sample is one of `jointseg sample
--change`. Points outside the dataset, and points whose label is unknown in a year, get no answer.
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the answers; returns the exit status."""
    parser = cli.Arguments(prog="jointseg answers", description=__doc__)
    parser.add_argument("--design", type=pathlib.Path, required=True, help="output of `jointseg sample --change`")
    parser.add_argument("--dataset", type=pathlib.Path, required=True, help="prepared dataset with labels of all years")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="of the dataset")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="CSV for the answers")

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.evaluation.change.known_answers import write_answers

        count, points = write_answers(given.output, given.design, given.dataset, given.split)
        print(f"{given.output}: answers to {count} of {points} points, from the labels of {given.dataset}")

    return cli.status_of(work)
