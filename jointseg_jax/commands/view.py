"""Builds a page for a product: jointseg view --product=DIR [--input=RASTER ...] [--table=TABLE.gpkg].

PRODUCT/viewer/index.html    the page; all its files lie beside it, and it requests nothing else
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds the page and prints the written files; returns the exit status."""
    parser = cli.Arguments(prog="jointseg view", description=__doc__)
    parser.add_argument("--product", type=pathlib.Path, required=True, help="folder with collection.json")
    parser.add_argument("--input", type=pathlib.Path, nargs="*", default=[], help="the 10 m rasters it was made from")
    parser.add_argument(
        "--bands",
        type=cli.number(bounds.BAND),
        nargs=3,
        help="numbers of the red, green and blue bands in --input, from 1; by default found by name",
    )
    parser.add_argument(
        "--table", type=pathlib.Path, help="table of `jointseg zonal`; its polygons are drawn unless it is a .csv"
    )
    parser.add_argument("--max-zoom", type=cli.number(bounds.ZOOM), help="last zoom level; 17 shows 1 m")

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.mapping.viewer.build import build

        bands = None if given.bands is None else (given.bands[0], given.bands[1], given.bands[2])
        build(given.product, inputs=given.input, bands=bands, table=given.table, deepest=given.max_zoom)

    return cli.status_of(work)
