"""Draws the quick-look: input, super-resolved image and map of a scene, whole and in detail."""

import pathlib

import numpy as np

from jointseg_jax.geo.place import middle_of
from jointseg_jax.rasters.contract import COARSE_SPACING, FINE_FACTOR, IGNORE
from jointseg_jax.rasters.decimated import decimated_shape, glance, read_small
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.radiometry.band_names import rgb_order
from jointseg_jax.rasters.reader import open_raster
from jointseg_jax.rasters.scene import Scene
from jointseg_jax.sources.dates import without_times
from jointseg_jax.sources.raster_tags import date_and_cloud

_PICTURE_SIDE = 1000  # pixels
_CELL = 560  # pixels of each panel
_DETAIL = 40  # coarse pixels on the side of the detail


def quicklook(scene: Scene, files: dict[str, pathlib.Path]) -> np.ndarray:
    """Draws input, super-resolved image and map: all of a scene, and below a detail if it is large. uint8 [h, w, 3]."""
    height, width = scene.shape
    whole = Window(0, 0, height, width)
    rows, titles = [], ["input 10 m"] + (["super-resolved 1 m"] if "image" in files else [])
    titles.append(scene.contract.label)
    order = list(rgb_order(scene.contract.image_bands))
    limits = None
    windows = [whole] + ([_detail(scene, files["impervious"])] if max(height, width) > _DETAIL else [])
    for window in windows:
        layer = scene.layers[scene.contract.primary.name][0]
        with open_raster(layer.path) as raster:
            stored, valid = glance(layer, raster, window, decimated_shape((window.height, window.width), _PICTURE_SIDE))
        values = layer.decode(stored)[..., list(scene.contract.image_index)][..., order]
        limits = limits or drawing.stretch_limits(values, valid)
        side = min(_PICTURE_SIDE, max(window.height, window.width) * FINE_FACTOR)
        scale = side / max(window.height, window.width)
        size = (max(1, round(window.height * scale)), max(1, round(window.width * scale)))
        cells = [drawing.resize_nearest(drawing.stretch(values, limits, valid), *size)]
        if "image" in files:
            shown, inside = read_small(files["image"], window.scale(FINE_FACTOR))
            image = drawing.stretch(_decoded(files["image"], shown)[..., order], limits, inside)
            cells.append(drawing.resize_nearest(image, *size))
        classes, _ = read_small(files["impervious"], window.scale(FINE_FACTOR))
        cells.append(drawing.resize_nearest(drawing.colour_classes(classes[..., 0]), *size))
        if window == whole and len(windows) > 1:
            part = [round(scale * edge) for edge in windows[1]]
            cells = [drawing.outlined(cell, *part) for cell in cells]
        rows.append(cells)
    ground = [COARSE_SPACING * max(window.height, window.width) for window in windows]
    legend = [
        (drawing.IMPERVIOUS_COLOUR, scene.contract.label), (drawing.PERVIOUS_COLOUR, "other"),
        (drawing.NODATA_COLOUR, "not mapped"),
    ]  # fmt: skip
    first = scene.layers[scene.contract.primary.name][0]
    date, _ = date_and_cloud(pathlib.Path(first.path), scene.name)
    name = ", ".join(part for part in (scene.name, middle_of(scene.lattice), without_times(date)) if part)
    head = f"{name}: all of it above, the framed detail below" if len(windows) > 1 else name
    return drawing.framed(drawing.panels(rows, titles, side=_CELL, metres=ground), head, legend)


def _decoded(path: pathlib.Path, stored: np.ndarray) -> np.ndarray:
    with open_raster(path) as raster:
        return stored.astype(np.float32) * np.float32(raster.scales[0]) + np.float32(raster.offsets[0])


def _detail(scene: Scene, path: pathlib.Path) -> Window:
    """A square of `_DETAIL` coarse pixels where the classes are most mixed."""
    height, width = scene.shape
    side = min(_DETAIL, height, width)
    rows, cols = -(-height // side), -(-width // side)
    classes, _ = read_small(path, Window(0, 0, height * FINE_FACTOR, width * FINE_FACTOR))
    best, at = -1.0, (0, 0)
    for row in range(rows):
        for col in range(cols):
            top, left = min(row * side, height - side), min(col * side, width - side)
            scale_r, scale_c = classes.shape[0] / height, classes.shape[1] / width
            part = classes[
                int(top * scale_r) : int((top + side) * scale_r), int(left * scale_c) : int((left + side) * scale_c), 0
            ]
            share = float((part == 1).mean()) if part.size else 0.0
            mixed = min(share, 1 - share) * float((part != IGNORE).mean() if part.size else 0.0)
            if mixed > best:
                best, at = mixed, (top, left)
    return Window(*at, side, side)
