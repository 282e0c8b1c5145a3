"""The tiles of a map: what they are read from, their cores, their values, and the time that they take."""

import dataclasses
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.rasters.blocks import repeat_pixels
from jointseg_jax.rasters.contract import FINE_FACTOR, Contract
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.scene import ImageLayer

Inputs = dict[str, dict[str, np.ndarray]]


class Readable(Protocol):
    """An input for mapping: a `Scene`, or an object with the same interface; see there."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def lattice(self) -> GeoBox: ...  # noqa: D102

    @property
    def shape(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def contract(self) -> Contract: ...  # noqa: D102

    @property
    def image(self) -> ImageLayer | None: ...  # noqa: D102

    @property
    def own_units(self) -> bool: ...  # noqa: D102

    def read(self, window: Window, handles: Handles) -> Inputs: ...  # noqa: D102


@dataclasses.dataclass(frozen=True)
class Tile:
    """The map of one tile.

    Attributes:
        window: its core on the 10 m lattice, inside the scene.
        probability: calibrated probability of the impervious class, float32 `[10h, 10w]`.
        valid: bool `[h, w]`: whether the first modality is valid.
        images: one per stage, float32 `[h_k, w_k, 3]` in the units of the input; empty without an SR branch.
        spread: with augmentation, the standard deviation of the probability over its eight members, float32 `[10h,
            10w]`; at most 1/2.
        support: on request, how much of the 1 m image is measured, 0..1, float32 `[10h, 10w]`, see `models.support`.
    """

    window: Window
    probability: np.ndarray
    valid: np.ndarray
    images: tuple[np.ndarray, ...]
    spread: np.ndarray | None = None
    support: np.ndarray | None = None

    @property
    def fine_valid(self) -> np.ndarray:
        """`valid` at 1 m, bool `[10h, 10w]`."""
        return repeat_pixels(self.valid, FINE_FACTOR)


@dataclasses.dataclass
class Clock:
    """Seconds spent on each part of mapping; the parts overlap, so the total is less than their sum.

    Attributes:
        read: reading the input and copying it to the devices.
        compute: running the network.
        write: copying the result back; the consumer may add its own time.
    """

    read: float = 0.0
    compute: float = 0.0
    write: float = 0.0

    @contextmanager
    def time(self, part: str) -> Generator[None, None, None]:
        """Adds the time of the block to a part; one thread at a time may time a part."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, part, getattr(self, part) + time.perf_counter() - begin)


def cores(height: int, width: int, tile: int) -> list[Window]:
    """The cores that cover a scene of height x width, row by row; the last of a row or column may be smaller."""
    return [
        Window(row, col, min(tile, height - row), min(tile, width - col))
        for row in range(0, height, tile)
        for col in range(0, width, tile)
    ]


def fitted(tile: int, batch: int | None, height: int, width: int) -> tuple[int, int | None]:
    """Fits tile and batch to a scene of height x width; this does not change the map.

    A scene that is smaller, or at most an eighth larger than a tile, is one tile: a second one would cost more.
    """
    side = max(height, width)
    tile = side if side <= tile + tile // 8 else tile
    count = -(-height // tile) * -(-width // tile)
    return tile, None if batch is None else min(batch, count)
