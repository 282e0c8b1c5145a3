"""Maps a scene into arrays: the numbers that `map_scene` writes into its files, without the files."""

import dataclasses
from collections.abc import Callable
from contextlib import closing

import numpy as np

from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError
from jointseg_jax.jobs.memory_limit import in_words, memory_limit
from jointseg_jax.mapping.predictor.halo import halo_for
from jointseg_jax.mapping.predictor.memory import check_room
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import cores, fitted
from jointseg_jax.mapping.product.rasters import Raster, product_rasters
from jointseg_jax.mapping.product.values import decoded, is_class
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.scene import OpenedScene
from jointseg_jax.training.trained import Trained


@dataclasses.dataclass(frozen=True)
class Mapped:
    """One raster of a map: the layout of its file, and its values.

    Attributes:
        raster: as it would be written.
        values: uint8 `[h, w]` of the classes (255 nodata); otherwise float32 `[h, w]` or `[h, w, bands]`, NaN nodata.
    """

    raster: Raster
    values: np.ndarray


def map_in_memory(
    trained: Trained,
    opened: OpenedScene,
    *,
    tile: int = 64,
    batch: int | None = None,
    augment: bool = False,
    confidence: bool = False,
    support: bool = False,
    dtype: str | None = None,
    image: bool = True,
    advance: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Mapped]:
    """Maps a scene; the arguments are those of `map_scene`, and so is the map.

    Holds the result (5 bytes per 1 m pixel, and 12 more with the image) besides the windows in work.

    Args:
        trained: the network.
        opened: the scene, see `open_scene`.
        tile: core size in coarse pixels.
        batch: see `Predictor`.
        augment: see `Predictor`.
        confidence: whether to return the confidence, which needs `augment`.
        support: whether to return the support of the super-resolved image.
        dtype: see `Predictor`.
        image: whether to return the super-resolved image.
        advance: called with the number of finished tiles and of all tiles.
        say: receives what the halo's measurement has to say.

    Returns:
        Name -> layer: "impervious", "probability", and "image", "support" and "confidence" where they are wanted and
        the network has them.

    Raises:
        InputError: the scene is unreadable, or the result does not fit into memory.
    """
    scene = opened.scene
    bounds.TILE.check("tile", tile)
    tile, batch = fitted(tile, batch, *scene.shape)
    halo = halo_for(trained, scene, say=say)
    predictor = Predictor(
        trained, halo, tile=tile, batch=batch, images=image, support=support, augment=augment, dtype=dtype
    )
    rasters = product_rasters(predictor, scene, opened.decisions, confidence=confidence)
    _check_result(scene.name, rasters)
    check_room(predictor, dates=scene.dates)
    maps = {name: Mapped(raster, _empty(raster)) for name, raster in rasters.items()}
    windows = cores(*scene.shape, tile)
    with closing(predictor.run_windows(scene, windows)) as tiles:
        for number, found in enumerate(tiles, start=1):
            known, place = found.fine_valid, found.window.scale(FINE_FACTOR).slices()
            for name, layer in maps.items():
                stored = layer.raster.values_of(found, known)
                layer.values[place] = stored if is_class(name) else _values(layer.raster, stored, known)
            advance(number, len(windows))
    return maps


def _values(raster: Raster, stored: np.ndarray, known: np.ndarray) -> np.ndarray:
    known = known if stored.ndim == 2 else known[..., None]
    return decoded(stored, known, raster.layout.scale, raster.layout.offset)


def _empty(raster: Raster) -> np.ndarray:
    height, width = raster.layout.lattice.shape
    bands = raster.layout.bands
    if raster.overviews == "mode":
        return np.full((height, width), raster.nodata, raster.layout.dtype)
    shape = (height, width) if len(bands) == 1 else (height, width, len(bands))
    return np.full(shape, np.nan, np.float32)


def _check_result(name: str, rasters: dict[str, Raster]) -> None:
    """Raises `InputError` if the result takes more than half of the memory that this process may use."""
    need = sum(_size(raster) for raster in rasters.values())
    if need > memory_limit() / 2:
        raise InputError(
            f"the map of {name} takes {in_words(need)} and this process may use {in_words(memory_limit())} in all: "
            "give a folder (output=...), into which the map is written by windows, or leave the image out (image=False)"
        )


def _size(raster: Raster) -> int:
    height, width = raster.layout.lattice.shape
    return int(height) * int(width) * (1 if raster.overviews == "mode" else 4 * len(raster.layout.bands))
