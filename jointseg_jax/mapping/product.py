"""The map of a scene as files: classes, probability, super-resolved image, and a picture to look at."""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np

from jointseg_jax import __version__
from jointseg_jax.mapping.predictor import Predictor, Tile
from jointseg_jax.rasters import pictures
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE, Modality
from jointseg_jax.rasters.lattice import Window, refine
from jointseg_jax.rasters.reader import explained_read, open_raster, own_mask
from jointseg_jax.rasters.scene import Scene
from jointseg_jax.rasters.writer import Layout, RasterWriter, cog_writer

PROBABILITY_STEPS = 200  # the product stores round(200 p)
_PICTURE_SIDE = 1000  # pixels
_CELL = 560  # pixels of each panel of the quick-look
_DETAIL = 40  # coarse pixels on the side of its detail


@dataclasses.dataclass(frozen=True)
class Product:
    """What was written, and how much of it is what."""

    files: dict[str, pathlib.Path]
    valid_pixels: int
    impervious_pixels: int


def classes_of(tile: Tile, threshold: float) -> np.ndarray:
    """The class map of a tile: 0, 1, and 255 where the input is invalid. uint8 [10h, 10w]."""
    return np.where(tile.fine_valid, (tile.probability >= threshold).astype(np.uint8), np.uint8(IGNORE))


def write_product(
    predictor: Predictor,
    scene: Scene,
    folder: str | os.PathLike[str],
    decisions: dict[str, str],
    on_tile: Callable[[int, int], None] | None = None,
) -> Product:
    """Maps a scene.

    Writes `impervious.tif` (uint8: 0, 1, 255 nodata), `probability.tif` (uint8: round(200 p), 255 nodata),
    `image.tif` (where the network has an SR branch; encoded as the input's image bands) and `quicklook.png`. Each file
    appears only when it is whole.

    Args:
        predictor: the network and its tiling.
        scene: to map.
        folder: for the files.
        decisions: how the scene was read; written into the tags.
        on_tile: called with tiles done and tiles in all.
    """
    folder = pathlib.Path(folder)
    trained = predictor.trained
    calibration = trained.meta.calibration
    fine = refine(scene.lattice, FINE_FACTOR)
    tags = {
        "SOFTWARE": f"jointseg-jax {__version__}",
        "MODEL": f"{trained.name}, step {trained.step}, {trained.weights} weights",
        "LABEL": trained.meta.contract.label,
        "TEMPERATURE": calibration.temperature,
        "THRESHOLD": calibration.threshold,
        "HALO": f"{predictor.halo} input pixels",
        **{k.upper(): v for k, v in decisions.items()},
    }
    files = {"impervious": folder / "impervious.tif", "probability": folder / "probability.tif"}
    valid = impervious = 0
    with ExitStack() as stack:
        classes_layout = Layout(fine, "uint8", (trained.meta.contract.label,), IGNORE, tags, colormap=pictures.COLORMAP)
        classes_out = stack.enter_context(cog_writer(files["impervious"], classes_layout, overviews="mode"))
        probability_layout = Layout(
            fine,
            "uint8",
            ("probability",),
            IGNORE,
            {**tags, "PROBABILITY": f"value / {PROBABILITY_STEPS}"},
            scale=1 / PROBABILITY_STEPS,
        )
        probability_out = stack.enter_context(cog_writer(files["probability"], probability_layout, overviews="average"))
        image_out = None
        if predictor.images and trained.model.has_sr:
            files["image"] = folder / "image.tif"
            image_out = stack.enter_context(_image_writer(files["image"], scene, predictor, tags))
        total = -(-scene.shape[0] // predictor.tile) * -(-scene.shape[1] // predictor.tile)
        for number, tile in enumerate(predictor.run(scene), start=1):
            window = tile.window.scale(FINE_FACTOR)
            classes = classes_of(tile, calibration.threshold)
            classes_out.write(classes, window)
            scaled = np.round(tile.probability * PROBABILITY_STEPS).astype(np.uint8)
            probability_out.write(np.where(classes == IGNORE, np.uint8(IGNORE), scaled), window)
            if image_out is not None:
                image_out.write(_encode(tile, trained.meta.contract.primary), window)
            valid += int((classes != IGNORE).sum())
            impervious += int((classes == 1).sum())
            if on_tile is not None:
                on_tile(number, total)
    files["quicklook"] = folder / "quicklook.png"
    pictures.save_png(files["quicklook"], quicklook(scene, files))
    return Product(files, valid, impervious)


def _image_writer(
    path: pathlib.Path, scene: Scene, predictor: Predictor, tags: dict[str, Any]
) -> AbstractContextManager[RasterWriter]:
    primary = predictor.trained.meta.contract.primary
    taken = scene.layers[primary.name][0]
    own_units = taken.modality.units == primary.units and taken.adjustment is None
    layout = Layout(
        refine(scene.lattice, FINE_FACTOR),
        primary.dtype,
        scene.contract.image_bands,
        primary.nodata,
        {**tags, "UNITS": primary.units if own_units else f"as if {primary.units} of the training data"},
        scale=primary.scale,
        offset=primary.scale * primary.offset,
        rgb=True,
    )
    return cog_writer(path, layout, overviews="average", predictor=True)


def _encode(tile: Tile, modality: Modality) -> np.ndarray:
    """The last stage's image as a dataset would store it."""
    top = np.iinfo(modality.dtype).max
    stored = np.clip(np.round(tile.images[-1] / modality.scale - modality.offset), 1, top)
    return np.where(tile.fine_valid[..., None], stored, modality.nodata or 0).astype(modality.dtype)


def quicklook(scene: Scene, files: dict[str, pathlib.Path]) -> np.ndarray:
    """Input, super-resolved image and map: the whole scene above, a detail of it below. uint8 [h, w, 3]."""
    height, width = scene.shape
    whole = Window(0, 0, height, width)
    rows, titles = [], ["input 10 m"] + (["super-resolved 1 m"] if "image" in files else []) + ["impervious"]
    limits = None
    for window in (whole, _detail(scene, files["impervious"])):
        layer = scene.layers[scene.contract.primary.name][0]
        stored, valid = _read_small(layer.path, window, layer.indexes)
        values = layer.decode(stored)[..., list(scene.contract.image_index)]
        valid &= layer.modality.valid(stored)
        limits = limits or pictures.stretch_limits(values, valid)
        side = min(_PICTURE_SIDE, max(window.height, window.width) * FINE_FACTOR)
        scale = side / max(window.height, window.width)
        size = (max(1, round(window.height * scale)), max(1, round(window.width * scale)))
        cells = [pictures.resize_nearest(pictures.stretch(values, limits, valid), *size)]
        if "image" in files:
            shown, inside = _read_small(str(files["image"]), window.scale(FINE_FACTOR))
            cells.append(
                pictures.resize_nearest(pictures.stretch(_decoded(files["image"], shown), limits, inside), *size)
            )
        classes, _ = _read_small(str(files["impervious"]), window.scale(FINE_FACTOR))
        cells.append(pictures.resize_nearest(pictures.colour_classes(classes[..., 0]), *size))
        rows.append(cells)
    return pictures.panels(rows, titles, side=_CELL)


def _read_small(path: str, window: Window, indexes: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """A window decimated to at most `_PICTURE_SIDE`: stored numbers [h, w, bands] and the file's own mask [h, w]."""
    with open_raster(path) as raster:
        shrink = max(1.0, max(window.height, window.width) / _PICTURE_SIDE)
        height, width = max(1, round(window.height / shrink)), max(1, round(window.width / shrink))
        bands = list(indexes or range(1, raster.count + 1))
        at = ((window.row, window.row + window.height), (window.col, window.col + window.width))
        with explained_read(raster, window):
            values = raster.read(bands, window=at, out_shape=(len(bands), height, width))
        mask = own_mask(raster, window, (height, width))
    return np.moveaxis(values, 0, -1), mask


def _decoded(path: pathlib.Path, stored: np.ndarray) -> np.ndarray:
    with open_raster(path) as raster:
        return stored.astype(np.float32) * np.float32(raster.scales[0]) + np.float32(raster.offsets[0])


def _detail(scene: Scene, path: pathlib.Path) -> Window:
    """A square of `_DETAIL` coarse pixels where the map is most mixed."""
    height, width = scene.shape
    side = min(_DETAIL, height, width)
    rows, cols = -(-height // side), -(-width // side)
    classes, _ = _read_small(str(path), Window(0, 0, height * FINE_FACTOR, width * FINE_FACTOR))
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
