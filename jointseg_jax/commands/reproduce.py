"""Runs again a step that was not finite: jointseg reproduce WORKDIR/incidents/STEP."""

import math
import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints recorded and new metrics; returns 0 if they agree, 1 if not, 2 if the dump cannot be used."""
    parser = cli.Arguments(prog="jointseg reproduce", description=__doc__)
    parser.add_argument("dump", type=pathlib.Path, help="folder WORKDIR/incidents/STEP")
    parser.add_argument("--dataset", help="folder of the dataset; by default the one that the run used")

    def work() -> int:
        given = parser.parse_args(arguments)
        from jointseg_jax.training.reproduce import reproduce

        result = reproduce(given.dump, given.dataset)
        print(f"step {result.step}")
        for name, value in result.found.items():
            print(f"  {name:<20} {value:<12.6g} recorded {result.recorded.get(name, math.nan):.6g}")
        print("the same" if result.same else "different: the data, the device or the version of JAX differs")
        for suspect in result.suspects:
            print(f"not finite by itself: {suspect}")
        if not result.suspects:
            print("every patch is finite by itself: the weights, or the sum over the batch, are not")
        return 0 if result.same else 1

    return cli.status_of(work)
