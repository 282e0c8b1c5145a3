"""Measures how well the shift of later dates and of 20 m bands is measured, on dates of one place.

    python benchmarks/registration.py $JOINTSEG_DATA/sentinel2/boadella --without=2020-01-13,2020-01-18,2020-01-23

Takes Sentinel-2 L2A rasters of 12 bands at 10 m in a folder. For crops of several sizes, prints which share of shifts
is told from chance (`registration.SURE`), and how far they lie off the truth, in metres: of pairs of dates, the shift
over the whole ground; of 20 m bands of one date (averaged from 10 m) against its red, green and blue, no shift.
"""

import argparse
import itertools
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.data.prepare.site.registration import SURE, Shift, find_shift
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.opening import open_raster

SIDES = (36, 60, 100, 180)  # 10 m pixels
COARSE = {"red edge, 20 m": (4, 5, 6, 8), "SWIR, 20 m": (10, 11)}
FARTHEST = 50.0  # metres


def crops(height: int, width: int, side: int) -> Iterator[tuple[slice, slice]]:
    """Squares side by side."""
    for row in range(0, height - side + 1, side):
        for col in range(0, width - side + 1, side):
            yield np.s_[row : row + side, col : col + side]


def measure(one: np.ndarray, two: np.ndarray) -> Shift | None:
    """The shift between two pictures without gaps."""
    return find_shift(one, two, np.ones(one.shape, bool), edges_only=True)


def row(what: str, side: int, found: list[tuple[Shift | None, tuple[float, float]]], spacing: float) -> dict:
    """Errors of shifts, given with the true ones in pixels."""
    told = [
        spacing * np.hypot(s.down - true[0], s.right - true[1])
        for s, true in found
        if s is not None and s.quality >= SURE * s.chance and spacing * np.hypot(s.down, s.right) <= FARTHEST
    ]
    about = {"what": what, "side_m": side * 10, "n": len(found), "told": len(told) / len(found)}
    if not told:
        return about
    off = float(np.mean(np.array(told) > 0.3 * spacing))
    return {**about, "median_m": float(np.median(told)), "p90_m": float(np.percentile(told, 90)), "off": off}


def report(flags: argparse.Namespace) -> None:
    """Prints what the flags ask for."""
    without = tuple(filter(None, flags.without.split(",")))
    dates = []
    for path in sorted(flags.folder.glob("*.tif")):
        if not any(part in path.name for part in without):
            with open_raster(path) as raster:
                dates.append(np.moveaxis(raster.read(), 0, -1).astype(np.float32))
    if len(dates) < 2:
        raise InputError(f"{flags.folder} has fewer than two rasters to compare: give a folder of dates of one place")
    height, width = (min(v.shape[axis] for v in dates) // 2 * 2 for axis in (0, 1))
    dates = [v[:height, :width] for v in dates]
    visible = [v[..., 1:4].mean(-1) for v in dates]
    rows = []
    truth = {}
    for a, b in itertools.combinations(range(len(dates)), 2):
        whole = measure(visible[a], visible[b])
        truth[a, b] = (0.0, 0.0) if whole is None else (whole.down, whole.right)
    for side in SIDES:
        found = [
            (measure(visible[a][at], visible[b][at]), true)
            for (a, b), true in truth.items()
            for at in crops(height, width, side)
        ]
        rows.append(row("later date, 10 m", side, found, 10.0))
    for what, bands in COARSE.items():
        pairs = [
            (block_mean(v, 2), block_mean(d[..., list(bands)].mean(-1), 2)) for v, d in zip(visible, dates, strict=True)
        ]
        for side in SIDES:
            found = [
                (measure(a[at], b[at]), (0.0, 0.0))
                for a, b in pairs
                for at in crops(height // 2, width // 2, side // 2)
            ]
            rows.append(row(what, side, found, 20.0))
    for line in rows:
        print("  ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()))
    print(json.dumps(rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table, and JSON in the last line; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--without", default="", help="parts of file names to leave out, separated by commas")
    return cli.status_of(lambda: report(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
