"""Measures what the fit of the image's units is worth, between dates of one place whose true gain is 1.

    python benchmarks/image_units.py $JOINTSEG_DATA/sentinel2/boadella --without=2020-01-18,2020-01-23

Takes every ordered pair of Sentinel-2 L2A rasters in a folder as "image" and "input", in red, green and blue at 10 m.
Prints, by the explained variance, by which factor the gain is off: that of `image_units.fit_lines`, and that of a
least-squares line through all blocks. Then how alike the edges of the pairs are, in place and with one of them mirrored
(other ground), for crops of several sizes. `--without` leaves out dates that are overcast.
"""

import argparse
import itertools
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.data.prepare.site.image_units import fit_lines
from jointseg_jax.data.prepare.site.structure import compare
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.opening import open_raster

BANDS = (4, 3, 2)  # red, green, blue of the 12 bands of L2A
BLOCK = 6
BINS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.01)
SIZES = (36, 60, 100, 10_000)
SMALLEST = 1 / 64  # a gain of 0 is off by this factor


def read(folder: pathlib.Path, without: tuple[str, ...]) -> list[np.ndarray]:
    """Reflectance [h, w, 3] of the dates, cropped to a common size."""
    found = []
    for path in sorted(folder.glob("*.tif")):
        if not any(date in path.name for date in without):
            with open_raster(path) as raster:
                found.append(np.moveaxis(raster.read(BANDS), 0, -1).astype(np.float32) / 1e4)
    if len(found) < 2:
        raise InputError(f"{folder} has fewer than two rasters to compare: give a folder of dates of one place")
    height, width = (min(v.shape[axis] for v in found) for axis in (0, 1))
    return [v[:height, :width] for v in found]


def blocks(values: np.ndarray) -> np.ndarray:
    """Block means [blocks, bands]."""
    return np.asarray(block_mean(values, BLOCK)).reshape(-1, values.shape[-1])


def factor(gains: list[float]) -> dict[str, float]:
    """By which factor gains are off 1: the median, and what 9 of 10 stay below."""
    off = 2 ** np.abs(np.log2(np.maximum(gains, SMALLEST)))
    return {"median": float(np.median(off)), "p90": float(np.percentile(off, 90))}


def gains(dates: list[np.ndarray]) -> list[dict[str, object]]:
    """Errors of the gains by explained variance."""
    rows = []
    for a, b in itertools.permutations(dates, 2):
        x, y = blocks(a), blocks(b)
        lines, kept = fit_lines(x, y)
        for band, line in enumerate(lines):
            slope = float(np.polyfit(x[:, band], y[:, band], 1)[0])
            rows.append((line.explained if line.rising else -line.explained, line.gain, slope, kept.mean()))
    made = []
    for low, high in itertools.pairwise((-1.0, *BINS)):
        inside = [r for r in rows if low <= r[0] < high]
        if inside:
            _, ours, plain, used = zip(*inside, strict=True)
            made.append(
                {"explained": [low, high], "n": len(inside), "kept": float(np.mean(used))}
                | {"fit": factor(list(ours)), "least squares": factor(list(plain))}
            )
    return made


def edges(dates: list[np.ndarray]) -> list[dict[str, object]]:
    """How alike edges are, in place and of other ground."""
    made = []
    for size in SIZES:
        seen: dict[str, list] = {"same": [], "other": []}
        for a, b in itertools.permutations(dates, 2):
            one, two = a.mean(-1), b.mean(-1)
            for what, second in (("same", two), ("other", two[::-1]), ("other", two[:, ::-1])):
                crop = one[:size, :size], second[:size, :size]
                seen[what].append(compare(*crop, np.ones(crop[0].shape, bool)))
        for what, found in seen.items():
            apart = [s.apart for s in found]
            made.append(
                {"side": min(size, *dates[0].shape[:2]), "ground": what, "n": len(found)}
                | {"alike": float(np.mean([s.alike for s in found])), "here": min(s.here for s in found)}
                | {"apart": [float(v) for v in np.percentile(apart, (0, 5, 50, 95, 100))]}
            )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables, and JSON in the last line; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--without", default="", help="parts of file names to leave out, separated by commas")
    return cli.status_of(lambda: report(parser.parse_args(arguments)))


def report(flags: argparse.Namespace) -> None:
    """Prints what the flags ask for."""
    dates = read(flags.folder, tuple(filter(None, flags.without.split(","))))
    found: dict[str, Sequence[Mapping[str, object]]] = {
        "gains": gains(dates),
        "edges": edges(dates),
    }
    for name, rows in found.items():
        print(name)
        for row in rows:
            print("  ", "  ".join(f"{k} {_shown(v)}" for k, v in row.items()))
    print(json.dumps(found))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k} {v:.2f}" for k, v in value.items())
    if isinstance(value, list):
        return "[" + " ".join(f"{v:.2f}" for v in value) + "]"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
