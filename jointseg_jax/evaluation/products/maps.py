"""Our own maps as they lie on disk: a mapped area, the map of a scene, or one raster of classes."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.products.catalogue import Product
from jointseg_jax.evaluation.products.given import Given, stated_years
from jointseg_jax.mapping.records.read_product import read_product
from jointseg_jax.mapping.records.tile_items import COLLECTION_FILE
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.metric import check_metric
from jointseg_jax.rasters.raster_files import lattice_of
from jointseg_jax.rasters.reader import Handles, read_mask, read_window

MAP_FILE = "impervious.tif"
WINDOW = 1000  # pixels on a side of a window that is read at once: a cell of 1 km
_OURS = Product("map", "map", built=(1,), other=(0,), counts="class 1 of the map")


@dataclasses.dataclass(frozen=True)
class OurMap:
    """A map of classes at 1 m.

    Attributes:
        name: for tables.
        files: its rasters with their lattices; no ground is mapped in two of them.
        years: first and last year of its scenes; None if unknown.
    """

    name: str
    files: tuple[tuple[pathlib.Path, GeoBox], ...]
    years: tuple[int, int] | None

    @property
    def title(self) -> str:
        """Name and years, as far as they are known."""
        if self.years is None:
            return self.name
        first, last = self.years
        return f"{self.name} {first}" if first == last else f"{self.name} {first} to {last}"

    def product(self) -> Given:
        """The map as a product among others."""
        year = self.years[1] if self.years and self.years[0] == self.years[1] else None
        product = dataclasses.replace(_OURS, name=self.name, title=self.name)
        return Given(product, tuple(f for f, _ in self.files), year, ours=True)


def read_map(path: str | os.PathLike[str], year: int | None = None) -> OurMap:
    """Finds the rasters of a map.

    Args:
        path: folder that jointseg predict wrote, or a raster of classes 0 and 1.
        year: of its scenes; None for that in its records or, without records, in its name, if there is one.

    Raises:
        InputError: there is no map, or it does not lie in metres of a UTM zone.
    """
    path = pathlib.Path(path)
    years = None if year is None else (year, year)
    if (path / COLLECTION_FILE).exists():
        tiles = read_product(path).tiles
        dates = [tile.interval for tile in tiles]
        if years is None and all(dates):
            known = [day.year for interval in dates if interval for day in interval]
            years = (min(known), max(known))
        files = [path / tile.files["impervious"].path for tile in tiles]
    elif path.is_dir():
        files = [path / MAP_FILE]
        if not files[0].exists():
            raise InputError(
                f"{path} has neither {COLLECTION_FILE} nor {MAP_FILE}: give a folder that jointseg predict wrote"
            )
    else:
        files = [path]
    placed = []
    for file in files:
        lattice = lattice_of(file)
        check_metric(lattice, None, str(file), classes=True)
        placed.append((file, lattice))
    named = path.absolute().parent if path.name == MAP_FILE else path.absolute()
    if years is None and (stated := stated_years(named.name)):
        years = (min(stated), max(stated))
    return OurMap(named.name, tuple(placed), years)


def read_classes(path: pathlib.Path, window: Window, handles: Handles) -> np.ndarray:
    """Classes 0 and 1 of a window, 255 where there is none; raises `InputError` for other values."""
    dataset = handles.get(str(path))
    values = read_window(dataset, window, (1,))[0][..., 0]
    values = np.where(read_mask(dataset, window, (1,)), values, IGNORE)
    strange = np.setdiff1d(values, (0, 1, IGNORE))
    if len(strange):
        raise InputError(
            f"{path} has the value {strange[0]:g}, but a map has 0, 1 and {IGNORE}: give the raster of classes, or "
            "compare it as a product, as in --product=mine:FILE,built=1"
        )
    return values.astype(np.uint8)


def windows(lattice: GeoBox) -> Iterator[Window]:
    """Windows that cover a raster, from its corner on."""
    height, width = lattice.shape
    for row in range(0, height, WINDOW):
        for col in range(0, width, WINDOW):
            yield Window(row, col, min(WINDOW, height - row), min(WINDOW, width - col))
