"""Makes the scenes of configs/dubai.py from the published set "Semantic segmentation of aerial imagery".

    jointseg dubai FOLDER
    JOINTSEG_DATA=FOLDER jointseg prepare --config=dubai

FOLDER is the unpacked download (Humans in the Loop with the MBR Space Centre, CC0; docs/data.md has the addresses):

    FOLDER/Tile K/images/image_part_001.jpg ... image_part_009.jpg    parts of a scene, three in a row
                  masks/image_part_001.png ... image_part_009.png     a colour per class

FOLDER/dubai/sceneK/image.tif and landcover.tif are written, for the tiles 1 to 7. Tile 8 is left out, as in the
figures of docs/results.md.
"""

import pathlib
from collections.abc import Callable

import numpy as np

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.reader import read_window
from jointseg_jax.rasters.writer import Layout, write_raster

TILES = range(1, 8)
_IN_A_ROW = 3  # and rows of a tile
# The set has no georeference: a nominal one, 1 m pixels and no scene on another's ground.
_CRS, _APART, _TOP = "EPSG:32640", 20_000.0, 2_780_000.0
_LEFT = 280_000.0
# Colour in the masks -> code of `configs/scenes.py`: building, unpaved land, road, vegetation, water; 0 for unlabelled.
CODES = {
    (0x3C, 0x10, 0x98): 1,
    (0x84, 0x29, 0xF6): 2,
    (0x6E, 0xC1, 0xE4): 3,
    (0xFE, 0xDD, 0x3A): 4,
    (0xE2, 0xA9, 0x29): 5,
    (0x9B, 0x9B, 0x9B): 0,
}
_STRAY = 0.01  # share of the pixels that may have other colours; they become unlabelled


def make_scenes(folder: pathlib.Path, say: Callable[[str], None] = print) -> pathlib.Path:
    """Writes the scenes; existing ones are written again.

    Args:
        folder: that holds `Tile 1` to `Tile 7`.
        say: receives a line for each scene.

    Returns:
        The folder of the scenes.

    Raises:
        InputError: a part is missing or unreadable, parts do not join to a rectangle, or a mask has other colours.
    """
    made = folder / "dubai"
    for number in TILES:
        tile = folder / f"Tile {number}"
        image, mask = (_joined(tile / kind, suffix) for kind, suffix in (("images", "jpg"), ("masks", "png")))
        if image.shape != mask.shape:
            raise InputError(
                f"{tile} has {_size(image)} pixels of image but {_size(mask)} of mask: unpack the download again"
            )
        height, width = (side // FINE_FACTOR * FINE_FACTOR for side in image.shape[:2])  # whole 10 m pixels
        lattice = make_lattice(_CRS, _LEFT + _APART * number, _TOP, 1.0, height, width)
        codes, stray = _codes(mask[:height, :width], tile)
        scene = made / f"scene{number}"
        write_raster(scene / "image.tif", image[:height, :width], Layout(lattice, "uint8", ("R", "G", "B"), rgb=True))
        write_raster(scene / "landcover.tif", codes[..., None], Layout(lattice, "uint8", ("landcover",), 0))
        unknown = f", {stray:.2%} of another colour than the classes" if stray else ""
        say(f"{scene}: {width} x {height} m, {np.mean(codes == 0):.1%} unlabelled{unknown}")
    return made


def _joined(folder: pathlib.Path, suffix: str) -> np.ndarray:
    """The nine parts of a tile as one picture, uint8 [h, w, 3]."""
    parts = [_read(folder / f"image_part_{n:03d}.{suffix}") for n in range(1, _IN_A_ROW**2 + 1)]
    try:
        return np.concatenate(
            [np.concatenate(parts[n : n + _IN_A_ROW], axis=1) for n in range(0, len(parts), _IN_A_ROW)]
        )
    except ValueError as error:
        sizes = ", ".join(map(_size, parts))
        raise InputError(
            f"the parts in {folder} do not join to a rectangle of three rows ({sizes}): unpack the download again"
        ) from error


def _read(path: pathlib.Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(
            f"{path} is missing: give the folder of the unpacked download, which holds 'Tile 1' to 'Tile {TILES[-1]}'"
        )
    with open_raster(path) as raster:
        if raster.count < 3 or raster.dtypes[0] != "uint8":
            raise InputError(f"{path} is no 8-bit colour picture: unpack the download again")
        return read_window(raster, Window(0, 0, *raster.shape), (1, 2, 3))[0]


def _codes(mask: np.ndarray, tile: pathlib.Path) -> tuple[np.ndarray, float]:
    """Codes of a mask, uint8 [h, w], and the share of pixels in no class's colour.

    Raises:
        InputError: that share is too large for this set.
    """
    colours = mask.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    codes, known = np.zeros(colours.shape, np.uint8), np.zeros(colours.shape, bool)
    for (red, green, blue), code in CODES.items():
        here = colours == (red << 16) + (green << 8) + blue
        codes[here], known = code, known | here
    stray = 1 - float(known.mean())
    if stray > _STRAY:
        raise InputError(
            f"{stray:.0%} of the masks of {tile} have other colours than the classes of this set: give its own masks, "
            "as downloaded"
        )
    return codes, stray


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"


if __name__ == "__main__":
    cli.run_command("dubai")
