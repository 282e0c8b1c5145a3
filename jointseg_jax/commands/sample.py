"""Draws a probability sample of a mapped area, for estimating accuracy and area, and writes the page to label it.

jointseg sample --product=DIR --output=DESIGN --input scenes/*.tif

The strata are the map's classes; --density, --polygons and --buffer divide them further, --earlier makes a map of
change of two products, --change takes the kinds of change that jointseg monitor decoded. The size follows from a target
standard error of overall accuracy (Olofsson et al. 2014, equation 13).
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.bounds.number import real, whole


def _parser() -> cli.Arguments:
    parser = cli.Arguments(prog="jointseg sample", description=__doc__)
    parser.add_argument("--product", type=pathlib.Path, required=True, help="folder with collection.json")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the design")
    size = parser.add_argument_group("size")
    size.add_argument("--target-se", type=cli.number(real(above=0, most=0.2)), default=0.02, help="of overall accuracy")
    size.add_argument("--expected", default="0.9", help="conjectured user's accuracies, one or one per class")
    size.add_argument("--points", type=cli.number(whole(2, 1_000_000)), help="units in all, instead of --target-se")
    size.add_argument("--minimum", type=cli.number(whole(2, 100_000)), default=50, help="units per stratum")
    size.add_argument("--seed", type=cli.number(bounds.SEED), default=0, help="of the draw")
    strata = parser.add_argument_group("strata")
    strata.add_argument("--density", default="", help="divide tiles by their share: bounds such as 0.05,0.25")
    strata.add_argument(
        "--polygons", type=pathlib.Path, help="divide by the polygons of a vector file (reads all tiles)"
    )
    strata.add_argument("--name", help="column with the polygons' names")
    strata.add_argument(
        "--buffer", type=cli.number(whole(0, 500)), default=0, help="metres around the second class (reads all tiles)"
    )
    strata.add_argument("--earlier", type=pathlib.Path, help="earlier product of the area: a map of change")
    strata.add_argument(
        "--change", type=pathlib.Path, help="output of jointseg monitor, the last of whose maps is --product"
    )
    strata.add_argument("--block", type=cli.number(whole(2, 10_000)), help="draw blocks with a side of so many metres")
    strata.add_argument("--block-points", type=cli.number(whole(1, 20)), default=3, help="points on a side of a block")
    shown = parser.add_argument_group("page")
    shown.add_argument("--tolerance", type=cli.number(whole(0, 20)), default=1, help="positional tolerance, metres")
    shown.add_argument("--no-page", action="store_true", help="leave the page out, to label elsewhere")
    shown.add_argument("--input", type=pathlib.Path, nargs="*", default=[], help="10 m rasters to show")
    shown.add_argument("--imagery", type=pathlib.Path, nargs="*", default=[], help="other pictures to show")
    shown.add_argument("--definitions", type=pathlib.Path, help="CSV with columns class, definition")
    shown.add_argument("--chip", type=cli.number(whole(20, 2_000)), default=120, help="side of a picture, metres")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws the sample, writes its files and prints the strata; returns the exit status."""
    parser = _parser()

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.evaluation.sample import draw_sample

        draw_sample(given)

    return cli.status_of(work)
