"""Writes the map of a scene: classes, probability, super-resolved image, confidence and quick-look."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import numpy as np

from jointseg_jax import __version__
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor import confidence as confidences
from jointseg_jax.mapping.predictor.flips import MEMBERS
from jointseg_jax.mapping.predictor.predictor import Clock, Predictor, Readable, Tile, cores
from jointseg_jax.mapping.product.quicklook import quicklook
from jointseg_jax.mapping.product.tally import BandStatistics, Sums, Tally
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE
from jointseg_jax.rasters.lattice import refine
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.radiometry.band_names import rgb_order
from jointseg_jax.rasters.scene import Scene
from jointseg_jax.rasters.writer import Layout, cog_writer
from jointseg_jax.storage import typed

PROBABILITY_STEPS = 200  # the product stores round(200 p)
FILES = ("impervious.tif", "probability.tif", "image.tif", "confidence.tif", "quicklook.png")


@dataclasses.dataclass(frozen=True)
class Product:
    """The written files and the figures of the map.

    Attributes:
        files: name -> path.
        statistics: of each raster among the files, one per band.
        owned_pixels: 1 m pixels that the caller asked for.
        valid_pixels: owned pixels with valid input.
        impervious_pixels: valid pixels mapped as impervious.
        owned_m2, valid_m2, impervious_m2: the same as areas on the ellipsoid; None on a lattice without a CRS.
        seconds: spent on "read", "compute" and "write", which overlap.
    """

    files: dict[str, pathlib.Path]
    statistics: dict[str, tuple[BandStatistics, ...]]
    owned_pixels: int
    valid_pixels: int
    impervious_pixels: int
    owned_m2: float | None
    valid_m2: float | None
    impervious_m2: float | None
    seconds: dict[str, float]


def classes_of(tile: Tile, threshold: float) -> np.ndarray:
    """The class map of a tile: 0, 1, and 255 where the input is invalid. uint8 [10h, 10w]."""
    return np.where(tile.fine_valid, (tile.probability >= threshold).astype(np.uint8), np.uint8(IGNORE))


@dataclasses.dataclass(frozen=True)
class _Raster:
    """One raster of a product: its layout, the resampling of its overviews, and its values for a tile [h, w, ...]."""

    layout: Layout
    overviews: str
    stored: Callable[[Tile], np.ndarray]
    differencing: bool = False

    @property
    def nodata(self) -> float:
        """The value of unknown pixels."""
        return 0 if self.layout.nodata is None else self.layout.nodata

    def of(self, tile: Tile, known: np.ndarray) -> np.ndarray:
        """The values to write for a tile: its own where `known` [h, w], nodata elsewhere."""
        stored = self.stored(tile)
        mask = known if stored.ndim == 2 else known[..., None]
        return np.where(mask, stored, self.nodata).astype(self.layout.dtype)


def write_product(
    predictor: Predictor,
    scene: Readable,
    folder: str | os.PathLike[str],
    decisions: dict[str, str],
    on_tile: Callable[[int, int], None] | None = None,
    *,
    owned: np.ndarray | None = None,
    quick: bool = True,
    confidence: bool = False,
) -> Product:
    """Maps a scene and writes its files.

    Writes `impervious.tif` (uint8: 0, 1, 255 nodata), `probability.tif` (uint8: round(200 p), 255 nodata),
    `image.tif` (if the network has an SR branch; encoded like the input's image bands) and `quicklook.png`. Each file
    appears only when it is complete.

    Args:
        predictor: the network and its tiling.
        scene: to map; a `Scene` or an object with the same interface.
        folder: for the files.
        decisions: how the scene was interpreted; written into the tags.
        on_tile: called with the number of finished tiles and of all tiles.
        owned: bool `[10h, 10w]`: the 1 m pixels to map; all others become nodata in every raster, and tiles without
            any are not computed. None for all.
        quick: whether to draw the quick-look, of a `Scene` only: it shows the files of the layers.
        confidence: whether to write `confidence.tif` (uint8: round(200 c), 255 nodata), see `predictor.confidence`.

    Raises:
        InputError: the scene is unreadable, the product cannot be written, or the quality of the confidence was never
            measured.
        ValueError: `owned` has another type or shape.
    """
    folder = pathlib.Path(folder)
    fine = refine(scene.lattice, FINE_FACTOR)
    shape = (int(fine.shape[0]), int(fine.shape[1]))
    if owned is not None and (owned.dtype != bool or owned.shape != shape):
        raise ValueError(f"owned must be bool {shape}, not {owned.dtype} {owned.shape}")
    rasters = _rasters(predictor, scene, decisions, confidence)
    files = {name: folder / f"{name}.tif" for name in rasters}
    clock = Clock()
    sums = {name: Sums(len(raster.layout.bands)) for name, raster in rasters.items()}
    tally = Tally(fine)
    windows = cores(*scene.shape, predictor.tile)
    threshold = predictor.trained.meta.calibration.threshold
    wanted = [w for w in windows if owned is None or owned[w.scale(FINE_FACTOR).slices()].any()]
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(
                cog_writer(files[name], raster.layout, overviews=raster.overviews, predictor=raster.differencing)
            )
            for name, raster in rasters.items()
        }
        tiles = stack.enter_context(closing(predictor.run_windows(scene, wanted, clock)))
        for number, tile in enumerate(tiles, start=1):
            with clock.time("write"):
                window = tile.window.scale(FINE_FACTOR)
                mine = np.ones((window.height, window.width), bool) if owned is None else owned[window.slices()]
                known = mine & tile.fine_valid
                for name, raster in rasters.items():
                    stored = raster.of(tile, known)
                    writers[name].write(stored, window)
                    sums[name].add(stored, known)
                positive = int((known & (tile.probability >= threshold)).sum())
                tally.add(window, int(mine.sum()), int(known.sum()), positive)
            if on_tile is not None:
                on_tile(number, len(wanted))
        finishing = time.perf_counter()
    clock.write += time.perf_counter() - finishing  # overviews and compression, when the writers close
    if quick and isinstance(scene, Scene):
        files["quicklook"] = folder / "quicklook.png"
        drawing.save_png(files["quicklook"], quicklook(scene, files))
    asked, valid, impervious = tally.figures()
    return Product(
        files,
        {name: total.figures(shape[0] * shape[1]) for name, total in sums.items()},
        owned_pixels=asked.pixels,
        valid_pixels=valid.pixels,
        impervious_pixels=impervious.pixels,
        owned_m2=asked.square_metres,
        valid_m2=valid.square_metres,
        impervious_m2=impervious.square_metres,
        seconds=typed.plain(clock),
    )


def _confidence(tile: Tile) -> np.ndarray:
    assert tile.spread is not None
    return confidences.levels(tile.spread)


def _rasters(predictor: Predictor, scene: Readable, decisions: dict[str, str], confidence: bool) -> dict[str, _Raster]:
    """Builds the rasters of a product."""
    trained = predictor.trained
    primary, calibration = trained.meta.contract.primary, trained.meta.calibration
    fine, classes = refine(scene.lattice, FINE_FACTOR), trained.meta.contract.class_names
    tags: dict[str, Any] = {
        "SOFTWARE": f"jointseg-jax {__version__}",
        "MODEL": f"{trained.name}, step {trained.step}, {trained.weights} weights",
        "LABEL": trained.meta.contract.label,
        "TEMPERATURE": calibration.temperature,
        "THRESHOLD": calibration.threshold,
        "HALO": f"{predictor.halo} input pixels",
        "COMPUTED_IN": predictor.dtype,
        "AUGMENTATION": f"mean of {MEMBERS} flips and quarter turns" if predictor.augment else "none",
        **{k.upper(): v for k, v in decisions.items()},
    }
    rasters = {
        "impervious": _Raster(
            Layout(
                fine,
                "uint8",
                (trained.meta.contract.label,),
                IGNORE,
                {**tags, "CLASSES": "; ".join(f"{value} {name}" for value, name in enumerate(classes))},
                colormap=drawing.COLORMAP,
            ),
            "mode",
            lambda tile: classes_of(tile, calibration.threshold),
        ),
        "probability": _Raster(
            Layout(
                fine,
                "uint8",
                ("probability",),
                IGNORE,
                {**tags, "PROBABILITY": f"value / {PROBABILITY_STEPS}"},
                scale=1 / PROBABILITY_STEPS,
            ),
            "average",
            lambda tile: np.round(tile.probability * PROBABILITY_STEPS),
        ),
    }
    if predictor.images and trained.model.has_sr:
        units = primary.units if scene.own_units else f"as if {primary.units} of the training data"
        rasters["image"] = _Raster(
            Layout(
                fine,
                primary.dtype,
                scene.contract.image_bands,
                primary.nodata,
                {**tags, "UNITS": units},
                scale=primary.scale,
                offset=primary.scale * primary.offset,
                rgb=rgb_order(scene.contract.image_bands) == (0, 1, 2),
            ),
            "average",
            lambda tile: primary.encode(tile.images[-1]),
            differencing=True,
        )
    if confidence:
        if not predictor.augment:
            raise InputError("confidence is the agreement of flips and quarter turns of the input: add --augment")
        record = confidences.measured(trained, predictor.dtype)
        rasters["confidence"] = _Raster(
            Layout(
                fine,
                "uint8",
                ("confidence",),
                IGNORE,
                {**tags, **confidences.tags(record)},
                scale=1 / confidences.LEVELS,
            ),
            "average",
            _confidence,
        )
    return rasters
