"""Decodes one tile, from the maps of all dates to files and the row of the ledger; every executor runs this."""

import contextlib
import itertools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from jointseg_jax import __version__
from jointseg_jax.change.decoding import Decoded, decode
from jointseg_jax.change.flicker import changes, flickers
from jointseg_jax.change.ground import Squares, square_of
from jointseg_jax.change.inputs import read_moved
from jointseg_jax.change.layers import layers_of
from jointseg_jax.change.monitor_record import TILES
from jointseg_jax.change.work import Context, MonitorTile, windows
from jointseg_jax.errors import InputError
from jointseg_jax.geo.ellipsoid import PixelAreas
from jointseg_jax.geo.utm_zones import zone_of_epsg
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import RasterWriter, cog_writer

ROWS, COLS = 512, 2048  # pixels of 1 m that are decoded at once


def decode_tile(context: Context, tile: MonitorTile) -> dict[str, Any]:
    """Decodes a tile: writes its files and the row of the ledger, which it returns.

    Raises:
        InputError: a map is damaged or missing, the tile was not measured, or a file cannot be written.
    """
    begin = time.perf_counter()
    monitor = context.monitor
    measured = context.measured.row(tile.name)
    if measured is None:
        raise InputError(f"tile {tile.name} of {context.folder} was not measured yet: run the same command again")
    with np.load(context.sample_file(tile.name)) as stored:
        density = stored["density"]
    moved = {label: tuple(lies["moved"]) for label, lies in measured["lies"].items()}
    doubt = np.array(measured["doubt"])
    squares, regions = Squares(tile.bounds, square_of(monitor.settings.grid)), context.regions_in(tile)
    zone = zone_of_epsg(tile.epsg)
    assert zone is not None, tile
    folder = context.folder / TILES / zone.name / tile.name
    west, _, _, north = tile.bounds
    lattice = make_lattice(f"EPSG:{tile.epsg}", west, north, 1, *tile.shape)
    layers = layers_of(lattice, monitor.labels, {"SOFTWARE": f"jointseg-jax {__version__}"})
    files = {name: folder / f"{name}.tif" for name in layers}
    figures, handles = Figures(PixelAreas(lattice), monitor.regions, len(monitor.dates)), Handles()
    with contextlib.ExitStack() as stack:
        stack.callback(handles.close)
        writers: dict[str, RasterWriter] = {
            name: stack.enter_context(cog_writer(files[name], layer.layout, overviews=layer.overviews))
            for name, layer in layers.items()
        }
        for window in windows(tile.shape, ROWS, COLS):
            box = tile.rectangle(window)
            p = np.stack(
                [
                    read_moved(year, tile.epsg, box, moved[label], handles)
                    for year, label in zip(context.years, monitor.labels, strict=True)
                ]
            )
            where = regions.of_pixels(window)
            kinds = context.ground.classes(where, squares.of_pixels(density, window))
            found = decode(
                p,
                np.array(monitor.priors),
                monitor.transitions,
                monitor.settings.irreversible,
                classes=kinds,
                doubt=doubt,
                sharpness=monitor.sharpness,
            )
            for name, layer in layers.items():
                writers[name].write(layer.stored(found), window)
            for at, (year, label) in enumerate(zip(context.years, monitor.labels, strict=True)):
                if any(moved[label]):  # the maps count as they were delivered
                    p[at] = year.read(tile.epsg, box, handles)
            figures.add(window, p, where, found, [date.threshold for date in monitor.dates])
    row = {
        **_place(tile),
        **_sources(context, tile),
        "owned_m2": tile.owned_m2,
        **figures.record(),
        "lies": measured["lies"],
        "jumps": measured["jumps"],
        "doubt": measured["doubt"],
        "seconds": time.perf_counter() - begin,
    }
    return context.decoded.add(tile.name, row, files)


def _place(tile: MonitorTile) -> dict[str, Any]:
    return {"tile": tile.name, "epsg": tile.epsg, "bounds": list(tile.bounds)}


def _sources(context: Context, tile: MonitorTile) -> dict[str, Any]:
    """Which maps a tile was decoded from, and when the ground was seen."""
    maps, times, missing = {}, {}, []
    for year, label in zip(context.years, context.monitor.labels, strict=True):
        if year.kind == "area":
            row = year.row(tile.name)
            if row is None:
                missing.append(label)
                continue
            times[label] = [time.isoformat() for time in row.interval] if row.interval else None
            maps[label] = row.files["probability"].sha256
        elif not year.near(tile.epsg, tile.bounds):
            missing.append(label)
    return {"years": list(context.monitor.labels), "missing": missing, "maps": maps, "times": times}


class Figures:
    """Accumulates areas and counts of a tile."""

    def __init__(self, areas: PixelAreas, regions: tuple[str, ...], dates: int):
        """Empty.

        Args:
            areas: of the tile's pixels.
            regions: names.
            dates: their number.
        """
        self._areas, self._regions = areas, ("", *regions)
        n = len(self._regions)
        self._valid, self._impervious = np.zeros(n), np.zeros((dates, n))
        self._gain, self._loss = np.zeros((2, max(dates - 1, 0), n))
        self._flicker = dict.fromkeys(("pixels", "raw", "decoded", "raw_changed", "decoded_changed"), 0)

    def add(self, window: Window, p: np.ndarray, region: np.ndarray, found: Decoded, thresholds: list[float]) -> None:
        """Adds a window: its probabilities [dates, h, w], regions [h, w] and what was decoded."""
        area, states = self._areas.pixel(window), found.states
        valid = found.year_index != IGNORE

        def square_metres(mask: np.ndarray) -> np.ndarray:
            return np.bincount(region[mask], minlength=len(self._regions)) * area

        self._valid += square_metres(valid)
        for date, state in enumerate(states):
            self._impervious[date] += square_metres(state == 1)
        for step, (before, after) in enumerate(itertools.pairwise(states)):
            self._gain[step] += square_metres((before == 0) & (after == 1))
            self._loss[step] += square_metres((before == 1) & (after == 0))
        level = np.array(thresholds, np.float32)[:, None, None]
        raw = np.where(np.isfinite(p), p >= level, IGNORE).astype(np.uint8)
        for name, count in {
            "pixels": valid,
            "raw": flickers(raw),
            "decoded": flickers(states),
            "raw_changed": changes(raw) > 0,
            "decoded_changed": (found.year_index > 0) & valid,
        }.items():
            self._flicker[name] += int(count.sum())

    def record(self) -> dict[str, Any]:
        """The figures as JSON values; square metres on the ellipsoid by region, "" outside all."""
        regions: Mapping[str, Any] = {
            name: {
                "valid_m2": float(self._valid[k]),
                "impervious_m2": self._impervious[:, k].tolist(),
                "gain_m2": self._gain[:, k].tolist(),
                "loss_m2": self._loss[:, k].tolist(),
            }
            for k, name in enumerate(self._regions)
        }
        return {"valid_m2": float(self._valid.sum()), "regions": regions, "flicker": dict(self._flicker)}
