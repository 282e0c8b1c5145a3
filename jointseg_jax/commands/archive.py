"""Makes a small archive of the kind that teams have, of made-up ground: jointseg archive --output=DIR.

DIR/s2/*.SAFE     two overlapping products in two UTM zones, three days apart, each with its own clouds
    ortho/*.tif   two orthophotos in the format of 0.3 m: one 3 m too far east, one in Web Mercator
    osm.gpkg      roads, buildings and paved ground with OpenStreetMap's tags, and a boundary, which is no ground
    s1/, dem/     radar at 10 m and elevation at 1", both of the western half alone
    area.gpkg     where the middles of sites may lie
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the archive; returns the exit status."""
    parser = cli.Arguments(prog="jointseg archive", description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, required=True, help="new folder")

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.landscape.archive import SIDE, make_archive

        make_archive(given.output)
        print(f"{given.output}: an archive of made-up ground, {2 * SIDE**2 / 1e6:.1f} km2")

    return cli.status_of(work)
