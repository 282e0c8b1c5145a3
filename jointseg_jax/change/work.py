"""What every process of a monitor's run loads once: its record, its maps, its regions and its tiles."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import shapely

from jointseg_jax.change.ground import Ground, RegionsInTile
from jointseg_jax.change.monitor_record import LEDGER, Monitor, read_record
from jointseg_jax.change.near import Bounds
from jointseg_jax.change.year_map import Place, YearMap, open_year, squares
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.storage.files import read_json
from jointseg_jax.training.devices.compilation_cache import use_compilation_cache

MEASURED, REGIONS = "inputs", "inputs/regions.json"


@dataclasses.dataclass(frozen=True)
class MonitorTile:
    """A tile: the rectangle that the dates' tiles of this name span, in metres of its zone."""

    name: str
    epsg: int
    bounds: Bounds
    owned_m2: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of 1 m."""
        west, south, east, north = self.bounds
        return round(north - south), round(east - west)

    def rectangle(self, window: Window) -> Bounds:
        """The bounds of a window of the tile."""
        west, _, _, north = self.bounds
        left, top = west + window.col, north - window.row
        return left, top - window.height, left + window.width, top


def tiles_of(years: list[YearMap], grid: int) -> dict[str, MonitorTile]:
    """The tiles of all dates, by name; maps of scenes are cut by the grid."""
    found: dict[str, MonitorTile] = {}
    for year in years:
        places: list[tuple[str, Place]] = (
            [part for place in year.places.values() for part in squares(place, grid)]
            if year.kind == "scene"
            else list(year.places.items())
        )
        for name, place in places:
            known = found.get(name)
            box = place.bounds if known is None else _hull(known.bounds, place.bounds)
            owned = place.owned_m2 if known is None else max(known.owned_m2, place.owned_m2)
            found[name] = MonitorTile(name, place.epsg, box, owned)
    return dict(sorted(found.items()))


def _hull(a: Bounds, b: Bounds) -> Bounds:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def windows(shape: tuple[int, int], rows: int, cols: int) -> Iterator[Window]:
    """Cuts a tile into windows of at most so many rows and columns."""
    for row in range(0, shape[0], rows):
        for col in range(0, shape[1], cols):
            yield Window(row, col, min(rows, shape[0] - row), min(cols, shape[1] - col))


class Context:
    """The record, maps, regions and tiles of a monitor."""

    def __init__(self, folder: pathlib.Path):
        """Reads the record and the plans of the maps.

        Raises:
            InputError: one of them is damaged or not there any more.
        """
        self.folder = folder
        self.monitor: Monitor = read_record(folder)
        self.years = [open_year(pathlib.Path(date.folder)) for date in self.monitor.dates]
        self.tiles = tiles_of(self.years, self.monitor.settings.grid)
        self.measured = Ledger(folder / MEASURED / "ledger", folder, say=lambda line: None)
        self.decoded = Ledger(folder / LEDGER, folder, say=lambda line: None)

    @property
    def ground(self) -> Ground:
        """The classes of ground."""
        return self.monitor.ground

    @functools.cached_property
    def _regions(self) -> Mapping[str, shapely.Geometry]:
        if not self.monitor.regions:
            return {}
        shapes = read_json(self.folder / REGIONS)
        return {name: shapely.geometry.shape(shapes[name]) for name in self.monitor.regions}

    def regions_in(self, tile: MonitorTile) -> RegionsInTile:
        """The regions of a tile's pixels."""
        return RegionsInTile(dict(self._regions), tile.epsg, tile.bounds)

    def sample_file(self, name: str) -> pathlib.Path:
        """Where the measurements of a tile lie."""
        return self.folder / MEASURED / "samples" / f"{name}.npz"


class TileWork:
    """The `Work` of a step over the tiles. Each process loads the monitor itself."""

    def __init__(self, folder: pathlib.Path, do: Callable[[Context, MonitorTile], dict[str, Any]]):
        """Loads nothing yet.

        Args:
            folder: of the monitor, with its record.
            do: works on a tile; returns the row that it wrote to its ledger.
        """
        self._folder, self._do = folder.absolute(), do
        self._context: Context | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_context": None}

    def __call__(self, unit: str, /) -> dict[str, Any]:
        """Works on the tile of this name."""
        if self._context is None:
            use_compilation_cache()
            self._context = Context(self._folder)
        return self._do(self._context, self._context.tiles[unit])
