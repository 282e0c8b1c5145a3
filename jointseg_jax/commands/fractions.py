"""Fractions of larger cells and their intervals, from the 10 m fractions that `jointseg predict --uncertainty` wrote.

jointseg fractions --input=MAP/fraction.tif --side=100 --output=fraction_100m.tif
jointseg fractions --input=PRODUCT/mosaics/fraction_32650.vrt --side=30 --output=OUT.tif
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = cli.Arguments(prog="jointseg fractions", description=__doc__)
    parser.add_argument("--input", type=pathlib.Path, required=True, help="fraction.tif, or a mosaic of it")
    parser.add_argument("--side", choices=("30", "100"), required=True, help="of the cells, metres")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="the raster to write")

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.mapping.tools.fractions import fractions

        fractions(given.input, int(given.side), given.output)

    return cli.status_of(work)
