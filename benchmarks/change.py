"""Measures how well blocks whose ground changed are found, on dates of one place where next to nothing did.

    python benchmarks/change.py $JOINTSEG_DATA/sentinel2/boadella --without=2020-01-13,2020-01-18,2020-01-23

Takes every pair of Sentinel-2 L2A rasters in a folder as "image" and "input", in red, green and blue at 10 m, pastes
other ground (the place mirrored) into a share of the image's blocks, and judges all blocks by `site.change.agreement`.
For several sides, prints the threshold that so many of the unchanged blocks fall below, and the share of pasted blocks
that does; then the same for the distance of a block's mean from the line of the image's units.
"""

import argparse
import itertools
import json
import pathlib
import sys
from collections.abc import Sequence

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from benchmarks.image_units import read
from jointseg_jax import cli
from jointseg_jax.data.prepare.site.change import agreement
from jointseg_jax.data.prepare.site.image_units import fit_lines

SIDES = (6, 12, 24)  # 10 m pixels
ALARMS = (0.01, 0.02, 0.05, 0.1)
SHARE = 0.2  # of blocks that are pasted


def distance(a: np.ndarray, b: np.ndarray, number: np.ndarray) -> np.ndarray:
    """How far block means lie from the fitted line, in median deviations, the largest over bands; negative."""
    count = np.bincount(number.ravel())
    x, y = (
        np.stack([np.bincount(number.ravel(), v[..., k].ravel()) / count for k in range(v.shape[-1])], -1)
        for v in (a, b)
    )
    lines, _ = fit_lines(x, y)
    apart = np.abs(y - np.array([line.gain for line in lines]) * x - np.array([line.offset for line in lines]))
    return -(apart / np.maximum(np.median(apart, 0), 1e-9)).max(-1)


def measure(dates: list[np.ndarray], side: int, rng: np.random.Generator) -> list[dict[str, object]]:
    """False alarms and detections at one side of the blocks."""
    found: dict[str, tuple[list, list]] = {"pattern": ([], []), "distance from the line": ([], [])}
    unjudged = blocks = 0
    for (a, b), mirror in itertools.product(itertools.combinations(dates, 2), (np.flipud, np.fliplr)):
        ok = np.ones(a.shape[:2], bool)
        number = agreement(a, b, ok, side)[1]
        pasted = rng.random(number.max() + 1) < SHARE
        image = np.where(pasted[number][..., None], mirror(a), a)
        alike = agreement(image, b, ok, side)[0].ravel()
        for name, values in (("pattern", alike), ("distance from the line", distance(image, b, number))):
            for which, kept in zip((~pasted, pasted), found[name], strict=True):
                kept.append(np.where(np.isnan(values), np.inf, values)[which])
        unjudged, blocks = unjudged + int(np.isnan(alike).sum()), blocks + len(alike)
    rows = []
    for name, (same, other) in found.items():
        same_all, other_all = np.concatenate(same), np.concatenate(other)
        for alarm in ALARMS:
            least = float(np.quantile(same_all, alarm, method="lower"))
            detected = float((other_all < least).mean())
            rows.append({"side_m": 10 * side, "by": name, "false alarms": alarm, "below": least, "detected": detected})
    rows.append({"side_m": 10 * side, "by": "pattern", "without one": unjudged / blocks, "blocks": blocks})
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table, and JSON in the last line; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--without", default="", help="parts of file names to leave out, separated by commas")
    return cli.status_of(lambda: report(parser.parse_args(arguments)))


def report(flags: argparse.Namespace) -> None:
    """Prints what the flags ask for."""
    dates = read(flags.folder, tuple(filter(None, flags.without.split(","))))
    rng = np.random.default_rng(0)
    rows = [row for side in SIDES for row in measure(dates, side, rng)]
    for row in rows:
        print("  ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    print(json.dumps(rows))


if __name__ == "__main__":
    sys.exit(main())
