"""Measures one tile before it is decoded: shifts and jumps between its dates, density of its ground, a sample."""

import time
import zlib
from typing import Any

import numpy as np

from jointseg_jax.change.estimation import Sample, class_means, estimate_doubt, first_chain
from jointseg_jax.change.ground import Squares, square_of
from jointseg_jax.change.inputs import MOST_SIDE, Image, Lies, how_it_lies, read_input, read_moved
from jointseg_jax.change.stable import jump
from jointseg_jax.change.work import Context, MonitorTile, windows
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.rasters import PROBABILITY_STEPS
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.storage import typed
from jointseg_jax.storage.files import atomic_path

ROWS, COLS = 640, 2560  # pixels of 1 m that are read at once, of each date: whole 10 m pixels
SAMPLED = 8192  # sequences of each tile


def measure_tile(context: Context, tile: MonitorTile) -> dict[str, Any]:
    """Measures a tile: writes the density of its squares and a sample of sequences, and the row of the ledger.

    Returns:
        The row: `lies` (per date, see `inputs.Lies`), `jumps` (see `stable.jump`), `doubt` per date, `pixels` and
        `probability` (sum) by class of ground, `seconds`.

    Raises:
        InputError: a map is damaged or missing.
    """
    begin = time.perf_counter()
    monitor, handles = context.monitor, Handles()
    try:
        images, notes = _images(context, tile, handles)
        lies = _lies(context, tile, images, notes, handles)
        coarse, sample, squares = _read_maps(context, tile, lies, handles)
    finally:
        handles.close()
    levels, region, density = sample
    count, total = squares.of_classes(context.ground)
    kinds = context.ground.classes(region, density)
    path = context.sample_file(tile.name)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, density=squares.density(), levels=levels, classes=kinds)
    doubt = np.zeros(len(monitor.dates))
    if monitor.settings.doubt:
        known = Sample(probabilities_of(levels), kinds, np.zeros(levels.shape, np.float32))
        means = class_means(known, context.ground.count)
        doubt = estimate_doubt(known, first_chain(tuple(d.time for d in monitor.dates), means), means)
    chosen = monitor.labels.index(next(iter(lies.values())).reference)
    row = {
        "tile": tile.name,
        "lies": {label: typed.plain(found) for label, found in lies.items()},
        "jumps": {label: jump(coarse, at, chosen, images) for at, label in enumerate(monitor.labels) if at != chosen},
        "doubt": [float(d) for d in doubt],
        "pixels": [int(c) for c in count],
        "probability": [float(t) for t in total],
        "seconds": time.perf_counter() - begin,
    }
    return context.measured.add(tile.name, row, {"sample": path})


def probabilities_of(levels: np.ndarray) -> np.ndarray:
    """Probabilities of stored levels; NaN for nodata."""
    return np.where(levels == IGNORE, np.nan, levels / np.float32(PROBABILITY_STEPS)).astype(np.float32)


def _images(context: Context, tile: MonitorTile, handles: Handles) -> tuple[list[Image | None], list[str]]:
    """The input of every date, or None and the reason."""
    images: list[Image | None] = []
    notes = []
    for year in context.years:
        try:
            images.append(read_input(year, tile.name, tile.epsg, tile.bounds, handles))
            notes.append("")
        except InputError as error:
            images.append(None)
            notes.append(f"the input is not reachable: {error}")
    return images, notes


def _lies(
    context: Context, tile: MonitorTile, images: list[Image | None], notes: list[str], handles: Handles
) -> dict[str, Lies]:
    """How each date lies on the tile's reference: the first in the monitor's order that has data there."""
    monitor = context.monitor
    labels = monitor.labels
    present = [i for i in map(labels.index, monitor.reference) if context.years[i].near(tile.epsg, tile.bounds)]
    readable = [i for i in present if images[i] is not None] or present
    chosen = readable[0]
    found = {labels[chosen]: Lies(labels[chosen], note=notes[chosen])}
    first = images[chosen]
    for at, label in enumerate(labels):
        moving = images[at]
        if at == chosen:
            continue
        if not monitor.settings.register:
            found[label] = Lies(labels[chosen], note="not asked for")
        elif first is None or moving is None:
            found[label] = Lies(labels[chosen], note=notes[at] or notes[chosen])
        else:
            found[label] = how_it_lies(labels[chosen], first, moving)
    return found


def _read_maps(
    context: Context, tile: MonitorTile, lies: dict[str, Lies], handles: Handles
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray], Squares]:
    """Reads all probabilities once.

    Returns:
        Means of 10 m pixels over the window of the inputs [dates, h, w]; the sample: levels uint8 [dates, n], region
        and class of density uint8 [n]; the squares.
    """
    labels, regions = context.monitor.labels, context.regions_in(tile)
    squares = Squares(tile.bounds, square_of(context.monitor.settings.grid), len(context.monitor.regions))
    height, width = tile.shape
    means = np.full((len(labels), height // FINE_FACTOR, width // FINE_FACTOR), np.nan, np.float32)
    rng = np.random.default_rng(zlib.crc32(tile.name.encode()))
    picked = np.sort(rng.choice(height * width, min(SAMPLED, height * width), replace=False))
    levels = np.full((len(labels), len(picked)), IGNORE, np.uint8)
    region = np.zeros(len(picked), np.uint8)
    for window in windows(tile.shape, ROWS, COLS):
        box = tile.rectangle(window)
        p = np.stack(
            [
                read_moved(year, tile.epsg, box, lies[label].moved, handles)
                for year, label in zip(context.years, labels, strict=True)
            ]
        )
        where = regions.of_pixels(window)
        squares.add(window, p, where)
        rows, cols = picked // width - window.row, picked % width - window.col
        inside = (rows >= 0) & (rows < window.height) & (cols >= 0) & (cols < window.width)
        seen = p[:, rows[inside], cols[inside]]
        levels[:, inside] = np.where(np.isfinite(seen), np.round(seen * PROBABILITY_STEPS), IGNORE)
        region[inside] = where[rows[inside], cols[inside]]
        _add_means(means, window, p)
    densities = squares.density()
    rows, cols = picked // width, picked % width
    density = np.array(
        [squares.of_pixels(densities, Window(r, c, 1, 1))[0, 0] for r, c in zip(rows, cols, strict=True)], np.uint8
    )
    return _middle(means), (levels, region, density), squares


def _add_means(means: np.ndarray, window: Window, p: np.ndarray) -> None:
    """Writes the means of a window's 10 m pixels."""
    n = FINE_FACTOR
    h, w = window.height // n, window.width // n
    blocks = p[:, : h * n, : w * n].reshape(len(p), h, n, w, n)
    known = np.isfinite(blocks)
    count = known.sum((2, 4))
    total = np.where(known, blocks, 0).sum((2, 4))
    row, col = window.row // n, window.col // n
    means[:, row : row + h, col : col + w] = np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _middle(means: np.ndarray) -> np.ndarray:
    """The part of the means that the images show, see `read_input`."""
    height, width = means.shape[1:]
    tall, wide = min(height, MOST_SIDE), min(width, MOST_SIDE)
    row, col = (height - tall) // 2, (width - wide) // 2
    return means[:, row : row + tall, col : col + wide]
