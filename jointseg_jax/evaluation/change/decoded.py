"""Reads the states of a monitor, the folder that `jointseg monitor` wrote, over any ground."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from jointseg_jax.change.near import Bounds, Near
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.change.kinds import Kinds
from jointseg_jax.geo.utm_zones import zone_of_epsg
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.header import read_header
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window

STATES = "states.tif"
ROWS = 512  # read at once


@dataclasses.dataclass(frozen=True)
class Tile:
    """A tile of a monitor: its raster of states, and its bounds (west, south, east, north) in metres of a zone."""

    path: pathlib.Path
    epsg: int
    bounds: Bounds


@dataclasses.dataclass(frozen=True)
class States:
    """The decoded states of an area.

    Attributes:
        kinds: of change between its dates.
        tiles: that were decoded.
    """

    kinds: Kinds
    tiles: tuple[Tile, ...]

    @functools.cached_property
    def _index(self) -> Near:
        return Near([(tile.epsg, tile.bounds) for tile in self.tiles])

    def read(self, epsg: int, bounds: Bounds, handles: Handles) -> np.ndarray:
        """The states of a rectangle in whole metres of a zone: uint8 [dates, rows, cols], 255 where there are none."""
        west, south, east, north = (round(b) for b in bounds)
        found = np.full((len(self.kinds.labels), north - south, east - west), IGNORE, np.uint8)
        for number in self._index.of(epsg, bounds):
            tile = self.tiles[number]
            left, _, _, top = tile.bounds
            window = Window(round(top) - north, west - round(left), north - south, east - west)
            values, inside = read_window(handles.get(str(tile.path)), window)
            take = inside & (values != IGNORE).all(-1)
            found[:, take] = values[take].T
        return found

    def windows(self, handles: Handles) -> Iterator[tuple[Tile, Window, np.ndarray]]:
        """All tiles in strips: tile, window of its raster, and states."""
        for tile in self.tiles:
            west, south, east, north = tile.bounds
            height, width = round(north - south), round(east - west)
            for top in range(0, height, ROWS):
                window = Window(top, 0, min(ROWS, height - top), width)
                yield tile, window, np.moveaxis(read_window(handles.get(str(tile.path)), window)[0], -1, 0)


def read_states(folder: str | os.PathLike[str]) -> States:
    """Finds the tiles of a monitor.

    Raises:
        InputError: there are none, or they differ in their dates.
    """
    folder = pathlib.Path(folder)
    paths = sorted(folder.glob(f"tiles/*/*/{STATES}"))
    if not paths:
        raise InputError(
            f"{folder} has no decoded tile (tiles/ZONE/NAME/{STATES}): give the --output of `jointseg monitor`"
        )
    tiles, bands = [], set()
    for path in paths:
        header = read_header(path)
        box, crs = header.lattice.boundingbox, header.lattice.crs
        epsg = None if crs is None else crs.epsg
        if epsg is None or zone_of_epsg(epsg) is None:
            raise InputError(f"{path} lies in no UTM zone, so it is damaged: run `jointseg monitor` again with --check")
        tiles.append(Tile(path, epsg, (box.left, box.bottom, box.right, box.top)))
        bands.add(header.bands)
    if len(bands) != 1:
        raise InputError(f"tiles of {folder} have different dates {sorted(bands)}: run `jointseg monitor` again")
    return States(Kinds(bands.pop()), tuple(tiles))
