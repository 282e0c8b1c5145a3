"""Writes the ground of a dataset's sites as polygons: jointseg outlines --dataset=DIR --split=test --output=FILE.gpkg.

They serve as --aoi of `jointseg predict`, and as regions by their column `region`. Sites of one place and several years
give one polygon.
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the file; returns the exit status."""
    parser = cli.Arguments(prog="jointseg outlines", description=__doc__)
    parser.add_argument("--dataset", type=pathlib.Path, required=True, help="prepared dataset")
    parser.add_argument("--split", choices=("train", "validation", "test"), help="only sites with ground in it")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="vector file: .gpkg or .geojson")

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.data.outlines import outlines, write_outlines

        found = outlines(given.dataset, given.split)
        write_outlines(given.output, found)
        print(f"{given.output}: {len(found)} places in {found['region'].nunique()} regions")

    return cli.status_of(work)
