"""Renders rasters in any CRS as a pyramid of PNG web tiles, z/x/y.png, in Web Mercator.

Only the deepest level is read from the rasters. A tile of another level is the mean of the four tiles below it, so a
picture of classes shows shares when zoomed out.

The stored numbers of the deepest level can be written beside the pictures. A browser lets no page that was opened from
disk read the pixels of a picture in another file, but it runs scripts; so each is a script with the numbers as a PNG.
"""

import base64
import contextlib
import io
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from affine import Affine
from PIL import Image
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import open_raster, own_mask, read_window
from jointseg_jax.storage.files import atomic_path, write_text

SIDE = 256
_UNKNOWN = 255
_HALF = math.pi * 6378137.0  # metres: half the world's circumference in EPSG:3857
_TOP = 85.05112878  # degrees: where Web Mercator ends

Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]
TileNumber = tuple[int, int, int]


def tile_of(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """Column and row of the tile that holds a place."""
    count = 2**zoom
    sine = math.sin(math.radians(min(max(lat, -_TOP), _TOP)))
    x = (lon + 180) / 360 * count
    y = (0.5 - math.log((1 + sine) / (1 - sine)) / (4 * math.pi)) * count
    return min(max(int(x), 0), count - 1), min(max(int(y), 0), count - 1)


def tiles_over(boxes: Sequence[Sequence[float]], zoom: int) -> set[TileNumber]:
    """The tiles of a level that touch some boxes (west, south, east, north); west > east crosses 180 degrees."""
    return {(zoom, x, y) for cols, rows in _ranges(boxes, zoom) for x in cols for y in rows}


def count_over(boxes: Sequence[Sequence[float]], zoom: int) -> int:
    """An upper bound on the number of tiles of a level that touch some boxes, without listing them."""
    return sum(len(cols) * len(rows) for cols, rows in _ranges(boxes, zoom))


def _ranges(boxes: Sequence[Sequence[float]], zoom: int) -> Iterator[tuple[range, range]]:
    """The columns and rows of the tiles of a level that touch each box, or each side of 180 degrees of it."""
    for west, south, east, north in boxes:
        for w, e in [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]:
            (left, top), (right, bottom) = tile_of(w, north, zoom), tile_of(e, south, zoom)
            yield range(left, right + 1), range(top, bottom + 1)


@contextlib.contextmanager
def _on_level(path: pathlib.Path, zoom: int) -> Iterator[WarpedVRT]:
    """A raster warped to the pixels of a whole-world level; nearest neighbour, to keep stored numbers."""
    size = SIDE * 2**zoom
    transform = Affine(2 * _HALF / size, 0, -_HALF, 0, -2 * _HALF / size, _HALF)
    with open_raster(path) as raster:
        alpha = raster.nodata is None
        with WarpedVRT(
            raster, crs="EPSG:3857", transform=transform, width=size, height=size, resampling=Resampling.nearest,
            add_alpha=alpha,
        ) as warped:  # fmt: skip
            yield warped


def write_pyramid(
    folder: pathlib.Path,
    rasters: Sequence[tuple[pathlib.Path, tuple[int, ...]]],
    boxes: Sequence[Sequence[float]],
    zooms: tuple[int, int],
    paint: Paint,
    numbers: pathlib.Path | None = None,
) -> int:
    """Renders rasters, later ones on top; skips empty tiles.

    Args:
        folder: gets z/x/y.png.
        rasters: path and one-based bands.
        boxes: areas to render, degrees.
        zooms: first and last level.
        paint: stored numbers [h, w, bands] and where they are valid -> uint8 RGBA [h, w, 4].
        numbers: gets z/x/y.js of the last level, with the stored numbers of uint8 rasters of 1 to 3 bands; 255 where
            they are not valid. None for none.

    Returns:
        Number of tiles written.

    Raises:
        InputError: a raster cannot be read.
    """
    first, last = zooms
    there: set[TileNumber] = set()
    with contextlib.ExitStack() as stack:
        views = [(stack.enter_context(_on_level(path, last)), bands) for path, bands in rasters]
        for tile in sorted(tiles_over(boxes, last)):
            picture = np.zeros((SIDE, SIDE, 4), np.uint8)
            stored = np.full((SIDE, SIDE, len(views[0][1])), _UNKNOWN, np.uint8)
            window = Window(tile[2] * SIDE, tile[1] * SIDE, SIDE, SIDE)
            for view, bands in views:
                valid = own_mask(view, window)
                if valid.any():
                    values = read_window(view, window, bands)[0]
                    over = paint(values, valid)
                    picture = np.where(over[..., 3:] > 0, over, picture)
                    if numbers is not None:
                        stored = np.where(valid[..., None], values, stored).astype(np.uint8)
            if picture[..., 3].any():
                _save(folder, tile, picture)
                if numbers is not None:
                    _save_numbers(numbers, tile, stored)
                there.add(tile)
    written = len(there)
    for zoom in range(last - 1, first - 1, -1):
        there = {(zoom, x // 2, y // 2) for _, x, y in there}
        for tile in sorted(there):
            _save(folder, tile, _mean_of_four(folder, tile))
        written += len(there)
    return written


def tile_path(folder: pathlib.Path, tile: TileNumber) -> pathlib.Path:
    """The path of a tile."""
    zoom, x, y = tile
    return folder / str(zoom) / str(x) / f"{y}.png"


def _save(folder: pathlib.Path, tile: TileNumber, picture: np.ndarray) -> None:
    with atomic_path(tile_path(folder, tile)) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _save_numbers(folder: pathlib.Path, tile: TileNumber, stored: np.ndarray) -> None:
    """Writes the script of a tile: a call with its name and a PNG, grey for one band, else RGB."""
    bands = stored.shape[-1]
    pixels = stored[..., 0] if bands == 1 else np.pad(stored, ((0, 0), (0, 0), (0, 3 - bands)))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    name, content = f"{folder.name}/{tile[0]}/{tile[1]}/{tile[2]}", base64.b64encode(file.getvalue()).decode()
    write_text(tile_path(folder, tile).with_suffix(".js"), f'window.NUMBERS("{name}","{content}");\n')


def runs_in(folder: pathlib.Path) -> dict[str, dict[str, list[int]]]:
    """The tiles that a folder holds, as runs: zoom -> column -> first and last row of each run, one after the other."""
    found: dict[str, dict[str, list[int]]] = {}
    tiles = ((int(p.parts[-3]), int(p.parts[-2]), int(p.stem)) for p in folder.glob("*/*/*.png"))
    for zoom, x, y in sorted(tiles):
        runs = found.setdefault(str(zoom), {}).setdefault(str(x), [])
        if runs and runs[-1] == y - 1:
            runs[-1] = y
        else:
            runs += [y, y]
    return found


def _mean_of_four(folder: pathlib.Path, tile: TileNumber) -> np.ndarray:
    """A tile as the mean of the four below, colours weighted by opacity."""
    zoom, x, y = tile
    whole = np.zeros((2 * SIDE, 2 * SIDE, 4), np.float32)
    for dx in (0, 1):
        for dy in (0, 1):
            path = tile_path(folder, (zoom + 1, 2 * x + dx, 2 * y + dy))
            if path.exists():
                with Image.open(path) as image:
                    whole[dy * SIDE : (dy + 1) * SIDE, dx * SIDE : (dx + 1) * SIDE] = np.asarray(image)
    whole[..., :3] *= whole[..., 3:] / 255
    small = block_mean(whole, 2)
    small[..., :3] *= 255 / np.maximum(small[..., 3:], 1e-6)
    return np.clip(np.round(small), 0, 255).astype(np.uint8)
