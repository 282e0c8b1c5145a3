"""Compares a map with other products of built or impervious ground, and with another map of ours.

jointseg compare-products MAP --product=worldcover:ESA_WorldCover_10m_2021_v200_N30E117_Map.tif
    [--product=mine:FILE,built=1+2,unknown=0,year=2021] [--reference=DATASET] [--other=MAP2] [--regions=FILE]
    [--sample=DESIGN --answers=answers.csv] [--year=2021] [--output=DIR] [--rasters]

MAP is a folder that `jointseg predict` wrote, or a raster of classes. `--list` prints the table of known products.
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds


def _parser() -> cli.Arguments:
    parser = cli.Arguments(prog="jointseg compare-products", description=__doc__)
    parser.add_argument("map", nargs="?", help="folder that `jointseg predict` wrote, or a raster of classes 0 and 1")
    parser.add_argument("--product", action="append", default=[], help="NAME:FILE[,KEY=VALUE...], repeatable")
    parser.add_argument("--products", type=pathlib.Path, help="CSV of products: name, path and keys")
    parser.add_argument("--other", action="append", default=[], help="another map of ours, repeatable")
    parser.add_argument("--reference", type=pathlib.Path, help="prepared dataset, or raster of labels 0, 1, 255")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="of the dataset")
    parser.add_argument("--sample", type=pathlib.Path, help="folder of `jointseg sample`, with --answers")
    parser.add_argument("--answers", type=pathlib.Path, help="CSV of the sample's page")
    parser.add_argument("--regions", type=pathlib.Path, help="vector file of polygons")
    parser.add_argument("--name", help="column with the regions' names")
    parser.add_argument("--year", type=cli.number(bounds.YEAR), help="of the map, if its records do not say")
    parser.add_argument("--output", type=pathlib.Path, help="folder for the record, the tables and the pictures")
    parser.add_argument("--rasters", action="store_true", help="write the differences as GeoTIFFs, too")
    parser.add_argument("--list", action="store_true", help="print the table of known products, and end")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables and writes the files; returns the exit status."""
    parser = _parser()

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.evaluation.compare_products import catalogue, compare_given

        if given.list:
            print(catalogue())
        else:
            compare_given(given)

    return cli.status_of(work)
