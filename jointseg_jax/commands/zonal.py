"""Shares of the mapped class by polygon: jointseg zonal --product=DIR --polygons=FILE --output=TABLE.csv.

TABLE.gpkg, TABLE.geojson and TABLE.parquet hold the polygons, too. A pixel belongs to a polygon that holds its centre,
and counts with its geodesic area.
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the table and prints a summary; returns the exit status."""
    parser = cli.Arguments(prog="jointseg zonal", description=__doc__)
    parser.add_argument("--product", type=pathlib.Path, required=True, help="folder with collection.json")
    parser.add_argument("--polygons", type=pathlib.Path, required=True, help="vector file: GeoPackage, GeoJSON, ...")
    parser.add_argument("--name", help="column with the polygons' names; by default all columns are kept")
    parser.add_argument(
        "--output", type=pathlib.Path, required=True, help="table: .csv, or .gpkg, .geojson, .parquet with the polygons"
    )

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.mapping.records.read_product import read_product
        from jointseg_jax.mapping.tools.zonal import read_polygons, zonal
        from jointseg_jax.mapping.tools.zonal_table import check_output, write_table

        check_output(given.output, [given.polygons])
        record = read_product(given.product)
        polygons = read_polygons(given.polygons, given.name, record.label)
        table = zonal(given.product, record.tiles, polygons, record.label)
        write_table(given.output, table, polygons)
        missed = int((table["pixels"] == 0).sum())
        print(
            f"table   {given.output}: {len(table)} polygons, {table['mapped_km2'].sum():.3f} km2 mapped in them; "
            f"{missed} contain no mapped pixel"
        )

    return cli.status_of(work)
