"""Makes the scenes of the config `dubai` from the published set "Semantic segmentation of aerial imagery".

    jointseg dubai FOLDER
    JOINTSEG_DATA=FOLDER jointseg prepare --config=dubai

FOLDER is the unpacked download (docs/data.md has its address and layout). FOLDER/dubai/sceneK/image.tif and
landcover.tif are written, for the tiles 1 to 7.
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the scenes and prints the next command; returns the exit status."""
    parser = cli.Arguments(prog="jointseg dubai", description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="of the unpacked download")

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.data.dubai import make_scenes

        make_scenes(given.folder)
        print(f"next: JOINTSEG_DATA={given.folder} jointseg prepare --config=dubai")

    return cli.status_of(work)
