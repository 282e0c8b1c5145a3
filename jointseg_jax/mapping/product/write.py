"""Writes the map of a scene: classes, probability, super-resolved image, measures of its quality, quick-look."""

import dataclasses
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import Clock, Readable, Tile, cores
from jointseg_jax.mapping.predictor.uncertainty import Uncertainty
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.qgis_style import SUFFIX, write_styles
from jointseg_jax.mapping.product.quicklook import quicklook
from jointseg_jax.mapping.product.rasters import Raster, product_rasters
from jointseg_jax.mapping.product.tally import BandStatistics, Sums, Tally
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.lattice import refine
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.scene import Scene
from jointseg_jax.rasters.writer import cog_writer
from jointseg_jax.storage import typed

_MADE = (
    "impervious.tif", "probability.tif", "image.tif", "confidence.tif", "support.tif", "set.tif", "fraction.tif",
    "dissimilarity.tif", "quicklook.png",
)  # fmt: skip
FILES = (*_MADE, *(name.replace(".tif", SUFFIX) for name in _MADE if name.endswith(".tif")))


@dataclasses.dataclass(frozen=True)
class Product:
    """The written files and the figures of the map.

    Attributes:
        files: name -> path.
        statistics: of each raster among the files, one per band.
        valid_pixels: 1 m pixels that the caller asked for, with valid input.
        impervious_pixels: valid pixels mapped as impervious.
        owned_m2: area on the ellipsoid of the pixels that the caller asked for; None on a lattice without a CRS.
        valid_m2, impervious_m2: likewise, of the valid and of the impervious pixels.
        seconds: spent on "read", "compute" and "write", which overlap.
    """

    files: dict[str, pathlib.Path]
    statistics: dict[str, tuple[BandStatistics, ...]]
    valid_pixels: int
    impervious_pixels: int
    owned_m2: float | None
    valid_m2: float | None
    impervious_m2: float | None
    seconds: dict[str, float]


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
    uncertainty: Uncertainty | None = None,
) -> Product:
    """Maps a scene and writes its files.

    Writes `impervious.tif` (uint8: 0, 1, 255 nodata), `probability.tif` (uint8: round(200 p), 255 nodata),
    `image.tif` (if the network has an SR branch; encoded like the input's image bands), `support.tif` (if the predictor
    returns support; uint8: round(200 s), 255 nodata) and, with `quick`, `quicklook.png` and a style for QGIS beside
    each raster. Each file appears only when it is complete.

    Args:
        predictor: the network and its tiling.
        scene: to map; a `Scene` or an object with the same interface.
        folder: for the files.
        decisions: how the scene was interpreted; written into the tags.
        on_tile: called with the number of finished tiles and of all tiles.
        owned: bool `[10h, 10w]`: the 1 m pixels to map; all others become nodata in every raster, and tiles without
            any are not computed. None for all.
        quick: whether to draw the quick-look and write the styles, of a `Scene` only: they show its files.
        confidence: whether to write `confidence.tif` (uint8: round(200 c), 255 nodata), see `predictor.confidence`.
        uncertainty: the measured record with which to write `set.tif` (uint8: 1 for class 0 + 2 for class 1),
            `fraction.tif` (10 m; uint8: round(200 f), its lowest and highest true value) and `dissimilarity.tif`
            (10 m; uint8: round(100 d), above 100 outside the area of applicability); 255 nodata. None for none.

    Raises:
        InputError: the scene is unreadable, the product cannot be written, or the quality of the confidence was never
            measured.
        ValueError: `owned` has another type or shape.
    """
    folder = pathlib.Path(folder)
    fine = refine(scene.lattice, FINE_FACTOR)
    _check_mask(owned, (int(fine.shape[0]), int(fine.shape[1])))
    rasters = product_rasters(predictor, scene, decisions, confidence=confidence, uncertainty=uncertainty)
    files = {name: folder / f"{name}.tif" for name in rasters}
    windows = [
        window
        for window in cores(*scene.shape, predictor.tile)
        if owned is None or owned[window.scale(FINE_FACTOR).slices()].any()
    ]
    clock = Clock()
    with ExitStack() as stack:
        maps = _OpenRasters(rasters, files, fine, predictor.trained.meta.calibration.threshold, stack)
        tiles = stack.enter_context(closing(predictor.run_windows(scene, windows, clock)))
        for number, tile in enumerate(tiles, start=1):
            with clock.time("write"):
                maps.write(tile, owned)
            if on_tile is not None:
                on_tile(number, len(windows))
        finishing = time.perf_counter()
    clock.write += time.perf_counter() - finishing  # overviews and compression, when the rasters close
    if quick and isinstance(scene, Scene):
        write_styles(files, Label.of(scene.contract))
        files["quicklook"] = folder / "quicklook.png"
        drawing.save_png(files["quicklook"], quicklook(scene, files))
    return maps.product(files, typed.plain(clock))


def _check_mask(owned: np.ndarray | None, shape: tuple[int, int]) -> None:
    if owned is not None and (owned.dtype != bool or owned.shape != shape):
        raise ValueError(f"owned must be bool {shape}, not {owned.dtype} {owned.shape}")


def touched(fine: np.ndarray) -> np.ndarray:
    """A mask of the 10 m pixels that hold a set 1 m pixel: `[10h, 10w]` to bool `[h, w]`."""
    height, width = (s // FINE_FACTOR for s in fine.shape)
    return np.asarray(fine.reshape(height, FINE_FACTOR, width, FINE_FACTOR).any((1, 3)))


class _OpenRasters:
    """The files that a map is written to, and the figures of what was written."""

    def __init__(
        self,
        rasters: Mapping[str, Raster],
        files: Mapping[str, pathlib.Path],
        lattice: GeoBox,
        threshold: float,
        stack: ExitStack,
    ):
        """Opens the files.

        Args:
            rasters: by name.
            files: of the rasters.
            lattice: of 1 m.
            threshold: of the class.
            stack: closes the files.
        """
        self._rasters, self._threshold = rasters, threshold
        self._writers = {
            name: stack.enter_context(
                cog_writer(files[name], raster.layout, overviews=raster.overviews, predictor=raster.differencing)
            )
            for name, raster in rasters.items()
        }
        self._sums = {name: Sums(len(raster.layout.bands)) for name, raster in rasters.items()}
        self._tally = Tally(lattice)

    def write(self, tile: Tile, owned: np.ndarray | None) -> None:
        """Writes a tile where it is valid and owned (everywhere if None), nodata elsewhere."""
        window = tile.window.scale(FINE_FACTOR)
        mine = np.ones((window.height, window.width), bool) if owned is None else owned[window.slices()]
        known = mine & tile.fine_valid
        for name, raster in self._rasters.items():
            shown = known if raster.factor == FINE_FACTOR else tile.valid & touched(mine)
            values = raster.values_of(tile, shown)
            self._writers[name].write(values, tile.window.scale(raster.factor))
            self._sums[name].add(values, shown)
        positive = int((known & (tile.probability >= self._threshold)).sum())
        self._tally.add(window, int(mine.sum()), int(known.sum()), positive)

    def product(self, files: dict[str, pathlib.Path], seconds: dict[str, float]) -> Product:
        """Sums up what was written."""
        owned, valid, impervious = self._tally.figures()
        return Product(
            files,
            {
                name: sums.figures(math.prod(self._rasters[name].layout.lattice.shape))
                for name, sums in self._sums.items()
            },
            valid_pixels=valid.pixels,
            impervious_pixels=impervious.pixels,
            owned_m2=owned.square_metres,
            valid_m2=valid.square_metres,
            impervious_m2=impervious.square_metres,
            seconds=seconds,
        )
