"""Reopens the input that a tile was mapped from, and measures how the dates of a tile lie on each other."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from jointseg_jax.change.near import Bounds
from jointseg_jax.change.year_map import YearMap
from jointseg_jax.data.prepare.site.registration import FARTHEST, LEAST_MOVE, SURE, find_shift
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.scenes import catalogue
from jointseg_jax.mapping.scenes.merged_scene import merge_scenes
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.contract import COARSE_SPACING, Contract
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.scene import Scene

MOST_SIDE = 1024  # pixels of a tile that are compared, in its middle
_VISIBLE = ("B02", "B03", "B04", "R", "G", "B", "red", "green", "blue")


@dataclasses.dataclass(frozen=True)
class Image:
    """The input of a tile on one date.

    Attributes:
        values: float32 [h, w, bands], 0 where invalid.
        valid: bool [h, w].
        bands: names.
        window: in 10 m pixels of the tile.
    """

    values: np.ndarray
    valid: np.ndarray
    bands: tuple[str, ...]
    window: Window

    @property
    def grey(self) -> np.ndarray:
        """The mean of the visible bands; of all where none is named so. [h, w]."""
        shown = [k for k, band in enumerate(self.bands) if band in _VISIBLE] or list(range(len(self.bands)))
        return np.asarray(self.values[..., shown].mean(-1))


@dataclasses.dataclass(frozen=True)
class Lies:
    """How a date lies on the reference date of a tile.

    Attributes:
        reference: label of that date.
        down, right: metres that bring it there; None if not measured.
        quality: correlation of the gradients, 0 to 1.
        moved: whole metres down and right by which the probabilities are moved.
        residual: metres that remain.
        note: why nothing was measured or moved; empty otherwise.
    """

    reference: str
    down: float | None = None
    right: float | None = None
    quality: float | None = None
    moved: tuple[int, int] = (0, 0)
    residual: float | None = None
    note: str = ""


def read_input(year: YearMap, name: str, epsg: int, bounds: Bounds, handles: Handles) -> Image:
    """Reads the input of a tile, at most `MOST_SIDE` pixels on a side, in its middle.

    Raises:
        InputError: the scenes are not recorded, not there any more, changed, or unreadable.
    """
    row = year.row(name) if year.kind == "area" else None
    if row is None:
        raise InputError("the map of one scene does not record where its input lies" if year.kind == "scene"
                         else "the tile is not mapped on this date")  # fmt: skip
    listed = [_scenes(year.folder).get(s["id"]) for s in row.scenes]
    if not listed or None in listed:
        raise InputError(f"no scene of tile {name} is listed in {year.folder / product_plan.CATALOGUE}")
    scenes = []
    for entry in listed:
        assert entry is not None
        _check_there(entry)
        first = next(iter(entry.layers.values()))[0].modality
        contract = Contract((first,), first.bands)
        own = catalogue.from_listed(dataclasses.replace(entry, layers={first.name: entry.layers[first.name]}), contract)
        scenes.append(dataclasses.replace(own.scene, contract=contract))
    west, south, east, north = bounds
    height, width = (int(side // COARSE_SPACING) for side in (north - south, east - west))
    lattice = make_lattice(f"EPSG:{epsg}", west, north, COARSE_SPACING, height, width)
    tall, wide = min(height, MOST_SIDE), min(width, MOST_SIDE)
    window = Window((height - tall) // 2, (width - wide) // 2, tall, wide)
    contract = scenes[0].contract
    read = merge_scenes(name, lattice, _alike(scenes), contract).read(window, handles)[contract.primary.name]
    seen = read["valid"].sum(0)
    values = read["values"].sum(0) / np.maximum(seen, 1)[..., None]
    return Image(values.astype(np.float32), seen > 0, contract.primary.bands, window)


@functools.lru_cache(maxsize=32)
def _scenes(folder: pathlib.Path) -> Mapping[str, catalogue.ListedScene]:
    return product_plan.read_scenes(folder)


def _check_there(entry: catalogue.ListedScene) -> None:
    for path, size, _ in entry.stamps:
        if remote.is_remote(path):
            continue
        file = pathlib.Path(path)
        if not file.is_file():
            raise InputError(f"{path} is not there any more")
        if file.stat().st_size != size:
            raise InputError(f"{path} changed since it was mapped")


def _alike(scenes: Sequence[Scene]) -> list[Scene]:
    """The scenes with the bands of the first: all scenes of a product have the same."""
    first = scenes[0].contract.primary
    return [scene for scene in scenes if scene.contract.primary.bands == first.bands]


def how_it_lies(reference: str, image: Image, moving: Image) -> Lies:
    """Measures the shift that brings a date onto the reference, and what remains after whole metres of it.

    Gradients count modulo their sign: fields fade between dates.
    """
    valid = image.valid & moving.valid
    first, second = image.grey, moving.grey
    found = find_shift(first, second, valid, edges_only=True)
    if found is None:
        return Lies(reference, note="the inputs share no structure")
    down, right = (COARSE_SPACING * v for v in (found.down, found.right))
    distance = math.hypot(down, right)
    about = Lies(reference, round(down, 2), round(right, 2), round(found.quality, 3))
    if found.quality < SURE * found.chance or distance > FARTHEST:
        return dataclasses.replace(about, note="the shift cannot be told from chance")
    if max(abs(down), abs(right)) < LEAST_MOVE:
        return dataclasses.replace(about, residual=round(distance, 2))
    moved = round(down), round(right)
    step = [v / COARSE_SPACING for v in moved]
    # The gradients at an edge of the valid ground are left out by `find_shift`; what was moved in from there is, too.
    there = ndimage.shift(moving.valid.astype(np.float32), step, order=1) == 1
    again = find_shift(first, ndimage.shift(second, step, order=3, mode="nearest"), valid & there, edges_only=True)
    if again is None:
        return dataclasses.replace(about, residual=round(distance, 2), note="not moved: no structure is left after it")
    rest = COARSE_SPACING * math.hypot(again.down, again.right)
    if rest >= distance:
        return dataclasses.replace(about, residual=round(distance, 2), note="not moved: it would lie no better")
    return dataclasses.replace(about, moved=moved, residual=round(rest, 2))


def read_moved(year: YearMap, epsg: int, bounds: Bounds, moved: Sequence[int], handles: Handles) -> np.ndarray:
    """The probabilities of a rectangle after moving them by whole metres down and right; see `YearMap.read`.

    Ground beyond the tile is read from its neighbours.
    """
    west, south, east, north = bounds
    down, right = moved
    return year.read(epsg, (west - right, south + down, east - right, north + down), handles)
