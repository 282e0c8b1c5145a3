"""Fractions of larger cells and their intervals, from the 10 m fractions that jointseg predict --uncertainty wrote.

The corners of the cells are multiples of the side in the coordinates of the map. So a cell is the same in every map of
its ground, and a mosaic has whole cells where tiles meet. A cell is unknown if less than half of it is known.
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from jointseg_jax import cli
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor.uncertainty import LEVELS, Interval, bounds, tagged_intervals
from jointseg_jax.rasters.contract import COARSE_SPACING, IGNORE
from jointseg_jax.rasters.header import read_header
from jointseg_jax.rasters.lattice import Window, crs_text, make_lattice, spacing_of
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import read_window
from jointseg_jax.rasters.writer import Layout, cog_writer

SIDES = (30, 100)  # metres
_ROWS = 100  # cells at a time


def fractions(source: pathlib.Path, side: int, target: pathlib.Path) -> None:
    """Writes the fractions of cells, uint8 levels as in `fraction.tif`: predicted, lowest and highest true.

    Args:
        source: `fraction.tif` of a map, or the mosaic of a product.
        side: of the cells, one of `SIDES`.
        target: a cloud-optimised GeoTIFF.

    Raises:
        InputError: the source is no such raster, or is the target.
    """
    if source.resolve() == target.resolve():
        raise InputError(f"{target} is the input: give the output another name")
    tags, table = _intervals(source, f"{side}m")
    with open_raster(source) as raster:
        lattice = dataset_lattice(raster)
        if lattice.crs is None or spacing_of(lattice) != COARSE_SPACING:
            raise InputError(
                f"{source} does not have pixels of 10 m in metres of a UTM zone, which cells of {side} m consist of: "
                "map the scene without --keep-grid"
            )
        count = round(side / COARSE_SPACING)
        box, (height, width) = lattice.boundingbox, lattice.shape
        left, top = side * np.floor(box.left / side), side * np.ceil(box.top / side)
        col, row = (round(v / COARSE_SPACING) for v in (left - box.left, box.top - top))
        rows, cols = -(-(height - row) // count), -(-(width - col) // count)
        cells = make_lattice(crs_text(lattice), left, top, side, rows, cols)
        layout = Layout(cells, "uint8", ("fraction", "low", "high"), IGNORE, tags, scale=1 / LEVELS)
        with cog_writer(target, layout, overviews="average") as writer:
            for first in range(0, rows, _ROWS):
                number = min(_ROWS, rows - first)
                window = Window(row + first * count, col, number * count, cols * count)
                stored, inside = read_window(raster, window, (1,))
                values = np.where(inside, stored[..., 0], IGNORE).reshape(number, count, cols, count)
                writer.write(_of_cells(values, table), Window(first, 0, number, cols))


def _of_cells(values: np.ndarray, table: Sequence[Interval]) -> np.ndarray:
    """Levels of the pixels of cells, [rows, n, cols, n], to levels of the cells, uint8 [rows, cols, 3]."""
    known = (values != IGNORE).sum((1, 3))
    total = np.where(values == IGNORE, 0, values).sum((1, 3), dtype=np.int64)
    level = np.round(total / np.maximum(known, 1)).astype(np.int64)
    found = np.stack([level, *bounds(table, level)], -1)
    enough = 2 * known >= values.shape[1] * values.shape[3]
    return np.where(enough[..., None], found, IGNORE).astype(np.uint8)


def _intervals(source: pathlib.Path, side: str) -> tuple[dict[str, str], tuple[Interval, ...]]:
    """The tags and intervals of a raster, or of the first tile of a mosaic, which has no tags itself."""
    with open_raster(source) as raster:
        files = [pathlib.Path(file) for file in raster.files]
    tags = next((tags for file in files if "UNCERTAINTY" in (tags := read_header(file).tags)), {})
    try:
        return dict(tags), tagged_intervals(tags, side)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{source} has no intervals of {side} in its tags: give the fraction.tif (or its mosaic) that "
            "`jointseg predict --uncertainty` wrote"
        ) from error


if __name__ == "__main__":
    cli.run_command("fractions")
