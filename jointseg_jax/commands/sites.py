"""Draws training sites at random over an area of interest: jointseg sites --area=FILE --sites=1000 --output=DIR.

DIR/sites.csv    site, region, date (empty), folder, density, lon, lat: fill in the dates and put each site's rasters
                 into its folder, then it is the table of `jointseg prepare`
    sites.gpkg   the sites as squares, for ordering images and clipping products
    sites.png    a map
    sample.json  the arguments and the numbers by stratum

Strata are the regions (the values of a column of FILE) and, with a raster such as a built-up share, the classes between
the breaks; each stratum gets the same number while it has room. The sites are at least the distance apart.
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws the sites and prints their numbers; returns the exit status."""
    parser = cli.Arguments(prog="jointseg sites", description=__doc__)
    parser.add_argument("--area", type=pathlib.Path, required=True, help="polygons: GeoPackage, GeoJSON, ...")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="new folder")
    parser.add_argument("--sites", type=cli.number(bounds.SITES), required=True, help="number of sites")
    parser.add_argument("--region", help="column of the polygons that names the region; by default all are one")
    parser.add_argument("--density", type=pathlib.Path, help="raster, such as a built-up share; its first band counts")
    parser.add_argument("--breaks", default="", help="between its classes: 5,20,50")
    parser.add_argument("--distance", type=cli.number(bounds.DISTANCE), default=3000.0, help="metres between centres")
    parser.add_argument("--side", type=cli.number(bounds.SIDE), default=2000.0, help="of a site, metres")
    parser.add_argument("--seed", type=cli.number(bounds.SEED), default=0, help="of the draw")

    def work() -> None:
        given = parser.parse_args(arguments)
        try:
            breaks = tuple(float(text) for text in given.breaks.split(",") if text.strip())
        except ValueError:
            raise InputError(f"--breaks={given.breaks} must be numbers with commas, such as 5,20,50") from None
        from jointseg_jax.data.sample import WARNING, Request, sample

        table = sample(Request(**{**vars(given), "breaks": breaks}))
        for (region, density), count in table.groupby(["region", "density"], sort=False).size().items():
            print(f"sites   {count} in {region}{f', density {density}' if density else ''}")
        print(f"sites   {len(table)} in {given.output / 'sites.csv'}, map in {given.output / 'sites.png'}")
        print(f"note    {WARNING}")

    return cli.status_of(work)
