"""Writes a layer that a network takes and that is made from another.

    jointseg derive power s1_linear.tif s1.tif
    jointseg derive elevation dem.tif terrain.tif

`power` makes backscatter in dB from linear power, `elevation` makes slope, northness and eastness from elevation in
metres on a north-up UTM lattice. `jointseg prepare` does the same by `dataset.modalities.NAME.stored`.
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = cli.Arguments(prog="jointseg derive", description=__doc__)
    parser.add_argument("what", choices=("power", "elevation"), help="what the input holds")
    parser.add_argument("source", type=pathlib.Path, help="the raster")
    parser.add_argument("target", type=pathlib.Path, help="the raster to write")

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.mapping.tools.derive import derive

        derive(given.what, given.source, given.target)

    return cli.status_of(work)
