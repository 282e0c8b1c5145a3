"""Reads the maps of one date: the product of an area, or the map of one scene, through the same functions."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from jointseg_jax.change.near import Bounds, Near
from jointseg_jax.errors import InputError
from jointseg_jax.geo.utm_zones import zone_of_epsg
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.product.rasters import PROBABILITY_STEPS
from jointseg_jax.mapping.product.tile_record import TileRow, parse_row
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.header import Header, read_header
from jointseg_jax.rasters.lattice import Window, is_north_up
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import sha256
from jointseg_jax.storage.folders import MARKER

_SCENE, _AREA = "map of a scene", "map of an area"
_COMPARED = ("radiometry", "augment", "dtype", "dates")
_ROWS = 64  # of the ledger that are kept: more than a tile and its neighbours


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a raster of probabilities lies: bounds in metres of its zone; `owned_m2` of its ground."""

    epsg: int
    bounds: Bounds
    owned_m2: float


@dataclasses.dataclass(frozen=True)
class YearMap:
    """The maps of one date.

    Attributes:
        folder: absolute.
        kind: "area" or "scene".
        network: name, step, weights and digest.
        settings: that must be the same in all maps, as text.
        grid: side of a tile's square in metres; 0 for a scene.
        places: by tile; of a scene one, named `scene`.
        empty: tiles of the plan that no scene reaches.
    """

    folder: pathlib.Path
    kind: str
    network: str
    settings: Mapping[str, str]
    grid: int
    places: Mapping[str, Place]
    empty: frozenset[str] = frozenset()

    @functools.cached_property
    def ledger(self) -> Ledger:
        """Of the product of an area."""
        return Ledger(self.folder / product_plan.LEDGER, self.folder, say=lambda line: None)

    def unfinished(self) -> list[str]:
        """Names of tiles that are planned but not mapped."""
        return [] if self.kind == "scene" else sorted(set(self.places) - set(self._rows))

    def digest(self) -> str:
        """SHA-256 over the checksums of all its probabilities, as the ledger has them."""
        if self.kind == "scene":
            return sha256(self.folder / "probability.tif")
        found = {name: digest for name, (digest, _) in self._rows.items()}
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()

    def mapped_m2(self) -> float:
        """Ground with data; of a scene all its ground."""
        if self.kind == "scene":
            return sum(place.owned_m2 for place in self.places.values())
        return sum(area for _, area in self._rows.values())

    @functools.cached_property
    def _rows(self) -> dict[str, tuple[str, float]]:
        """Of every finished tile the checksum of its probabilities, and the ground with data."""
        rows = self.ledger.done()
        return {name: (row["files"]["probability"]["sha256"], float(row["valid_m2"])) for name, row in rows.items()}

    @functools.cached_property
    def row(self) -> Callable[[str], TileRow | None]:
        """Gives the ledger's row of a tile, None if it is not mapped; those read last are kept."""

        def read(name: str) -> TileRow | None:
            row = self.ledger.row(name)
            return None if row is None else parse_row(name, row)

        return functools.lru_cache(_ROWS)(read)

    @functools.cached_property
    def _index(self) -> tuple[list[str], Near]:
        names = sorted(self.places)
        return names, Near([(self.places[n].epsg, self.places[n].bounds) for n in names])

    def near(self, epsg: int, bounds: Bounds) -> list[str]:
        """Names of the places that overlap a rectangle."""
        names, index = self._index
        return [names[i] for i in index.of(epsg, bounds)]

    def probability_file(self, name: str) -> pathlib.Path | None:
        """The raster of a place; None if it is not mapped.

        Raises:
            InputError: it is missing, or has another size than its ledger says.
        """
        if self.kind == "scene":
            return self.folder / "probability.tif"
        row = self.row(name)
        if row is None:
            return None
        file = row.files["probability"]
        path = self.folder / file.path
        again = f"run `jointseg predict` again with --check on {self.folder}, which maps tile {name} again"
        if not path.is_file():
            raise InputError(f"{path} is listed in its ledger but missing: {again}")
        if path.stat().st_size != file.bytes:
            raise InputError(f"{path} has {path.stat().st_size} bytes, but its ledger says {file.bytes}: {again}")
        return path

    def header(self) -> Header | None:
        """The header of one of its rasters of probabilities; None if none can be read."""
        for name in sorted(self.places):
            with contextlib.suppress(InputError):  # of a damaged one: its tile will say so
                if (path := self.probability_file(name)) is not None:
                    return read_header(path)
        return None

    def read(self, epsg: int, bounds: Bounds, handles: Handles) -> np.ndarray:
        """The probabilities of a rectangle in whole metres of a zone: float32 [rows, cols] of 1 m, NaN for nodata.

        Raises:
            InputError: a raster is damaged or missing.
        """
        west, south, east, north = (round(b) for b in bounds)
        stored = np.full((north - south, east - west), IGNORE, np.uint8)
        for name in self.near(epsg, bounds):
            path, (left, _, _, top) = self.probability_file(name), self.places[name].bounds
            if path is None:
                continue
            window = Window(round(top) - north, west - round(left), north - south, east - west)
            values, inside = read_window(handles.get(str(path)), window)
            values = values[..., 0]
            take = inside & (values != IGNORE)  # a pixel has one owner; others hold nodata there
            stored[take] = values[take]
        return _LEVELS[stored]


_LEVELS = np.where(np.arange(256) <= PROBABILITY_STEPS, np.arange(256) / PROBABILITY_STEPS, np.nan).astype(np.float32)


def open_year(folder: pathlib.Path) -> YearMap:
    """Opens the maps in a folder that `jointseg predict` wrote.

    Raises:
        InputError: there are none, or they lie on no 1 m lattice of a UTM zone.
    """
    folder = folder.absolute()
    if (folder / product_plan.PLAN).is_file():
        return _open_area(folder)
    try:
        marker = typed.parse(
            formats.read_record(folder / MARKER, formats.FOLDER), _Marker, formats.FOLDER, folder / MARKER, partial=True
        )
    except FileNotFoundError:
        marker = None
    if marker is None or marker.kind != _SCENE or not (folder / "probability.tif").is_file():
        raise InputError(
            f"{folder} is no map that `jointseg predict` wrote: give the folder that was its --output, with "
            "plan.geojson or probability.tif"
        )
    return _open_scene(folder, marker.run)


@dataclasses.dataclass(frozen=True)
class _Marker:
    kind: str
    run: dict[str, str]


def _open_area(folder: pathlib.Path) -> YearMap:
    plan = product_plan.read_plan(folder)
    places = {t.name: Place(t.zone.epsg, (t.left, t.bottom, t.right, t.top), t.owned_m2) for t in plan.tiles}
    network, settings = plan.network, plan.settings
    empty = frozenset(t.name for t in plan.tiles if not t.candidates)
    return YearMap(
        folder,
        "area",
        f"{network['name']}, step {network['step']}, {network['weights']} weights {network['sha256'][:12]}",
        {name: str(getattr(settings, name)) for name in _COMPARED},
        settings.grid,
        {name: place for name, place in places.items() if name not in empty},
        empty,
    )


def _open_scene(folder: pathlib.Path, run: Mapping[str, str]) -> YearMap:
    path = folder / "probability.tif"
    lattice = read_header(path).lattice
    epsg = None if lattice.crs is None else lattice.crs.epsg
    box = tuple(float(v) for v in lattice.boundingbox.bbox)
    whole = all(abs(v - round(v)) < 1e-3 for v in box) and abs(abs(lattice.affine.a) - 1) < 1e-9
    if zone_of_epsg(epsg) is None or not is_north_up(lattice) or not whole:
        raise InputError(
            f"{path} lies on no lattice of whole metres in a UTM zone of WGS 84: map the scene again without "
            "--keep-grid, or warp it to its UTM zone first"
        )
    assert epsg is not None
    west, south, east, north = (float(round(v)) for v in box)
    settings = {name: run.get(name, "None") for name in _COMPARED}
    return YearMap(
        folder,
        "scene",
        run.get("network", "unknown").partition(", temperature")[0],
        settings,
        0,
        {"scene": Place(epsg, (west, south, east, north), (east - west) * (north - south))},
    )


def squares(place: Place, grid: int) -> Iterator[tuple[str, Place]]:
    """Cuts the map of a scene by the grid of its zone, as an area is cut; yields names and parts."""
    zone = zone_of_epsg(place.epsg)
    assert zone is not None, place
    west, south, east, north = place.bounds
    for col in range(int(west // grid), int(-(-east // grid))):
        for row in range(int(south // grid), int(-(-north // grid))):
            box = (
                max(west, col * grid),
                max(south, row * grid),
                min(east, (col + 1) * grid),
                min(north, (row + 1) * grid),
            )
            area = (box[2] - box[0]) * (box[3] - box[1])
            yield f"{zone.name}_{col:04d}_{row:04d}", Place(place.epsg, box, area)
