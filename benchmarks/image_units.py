"""Measures what the fit of the image's units is worth, between dates of one place whose true gain is 1.

    python benchmarks/image_units.py $JOINTSEG_DATA/sentinel2/boadella --without=2020-01-18,2020-01-23

Takes every ordered pair of Sentinel-2 L2A rasters in a folder as "image" and "input", in red, green and blue at 10 m.
Prints, by the explained variance, by which factor the gain is off: that of `image_units.fit_lines`, and that of a
least-squares line through all blocks. Then what few blocks do: crops of them, by which factor their gain differs
from that of all blocks of the pair, and how often their line is taken without a look at the edges, also with one of the
pair mirrored (other ground). Then how alike the edges of the pairs are, in place and mirrored, for crops of several
sizes. `--without` leaves out dates that are overcast.

    python benchmarks/image_units.py --pictures=$JOINTSEG_DATA/dubai

Takes 1 m pictures, makes an input of 10 m from each with a known gain, hides a part of the picture behind black pixels
that nothing marks, along two edges or in the corners as a turned picture has them, and prepares them. Prints by which
share the red gain changes, beside that of a least-squares line through all 10 m pixels.
"""

import argparse
import itertools
import json
import pathlib
import sys
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.configs import common
from jointseg_jax.data import dataset
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.site.image_units import Line, fit_lines
from jointseg_jax.data.prepare.site.structure import compare
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.writer import Layout, write_raster

BANDS = (4, 3, 2)  # red, green, blue of the 12 bands of L2A
BLOCK = 6
BINS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.01)
SIZES = (36, 60, 100, 10_000)
FEW = ((2, 2), (1, 5), (2, 3), (2, 4), (2, 5), (3, 4), (4, 4), (5, 5), (8, 8), (16, 16))
CROPS = 12  # per pair of dates and size
TELLING = 0.2  # as in `image_units`: below it the edges are looked at
SIDE = 1000  # of the pictures, metres
BLACK = (0, 1, 5, 10, 20)  # per cent of the picture
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


def few(dates: list[np.ndarray]) -> list[dict[str, object]]:
    """What crops of few blocks make of the gain."""
    rng = np.random.default_rng(0)
    made = []
    pairs = [(_grid(a), _grid(b)) for a, b in itertools.permutations(dates, 2)]
    whole = [fit_lines(_flat(a), _flat(b))[0] for a, b in pairs]
    for rows, columns in FEW:
        off, taken, other = [], [], []
        for (a, b), lines in zip(pairs, whole, strict=True):
            for _ in range(CROPS):
                top, left = rng.integers(0, (a.shape[0] - rows + 1, a.shape[1] - columns + 1))
                cut = np.s_[top : top + rows, left : left + columns]
                found, _ = fit_lines(_flat(a[cut]), _flat(b[cut]))
                taken.append(_taken(found))
                other.append(_taken(fit_lines(_flat(a[cut]), _flat(b[::-1, ::-1][cut]))[0]))
                if taken[-1]:
                    off += [f.gain / line.gain for f, line in zip(found, lines, strict=True)]
        made.append(
            {"blocks": rows * columns, "n": len(taken), "taken": float(np.mean(taken)), "factor": factor(off)}
            | {"other ground taken": float(np.mean(other))}
        )
    return made


def _grid(values: np.ndarray) -> np.ndarray:
    return np.asarray(block_mean(values, BLOCK))


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1])


def _taken(lines: Sequence[Line]) -> bool:
    return all(line.rising and line.gain > 0 and line.explained >= TELLING for line in lines)


def collars(folder: pathlib.Path) -> list[dict[str, object]]:
    """The change of the red gain by black pixels that nothing marks, over the pictures in a folder."""
    sources = sorted(folder.glob("*/image.vrt"))
    if not sources:
        raise InputError(f"{folder} has no */image.vrt: give a folder of pictures of 1 m")
    fitted: dict[tuple[str, int], list[float]] = {}
    plain: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        table = ["site,region,date,folder"]
        for number, source in enumerate(sources):
            with open_raster(source) as raster:
                picture = np.moveaxis(raster.read(), 0, -1)[:SIDE, :SIDE]
            for shape, share in itertools.product(("edges", "corners"), BLACK):
                name = f"{source.parent.name}_{shape}_{share}"
                slope = _write_site(root / name, picture, _black(shape, share), number)
                plain.setdefault((shape, share), []).append(slope)
                table.append(f"{name},,,{name}")
        (root / "sites.csv").write_text("\n".join(table) + "\n")
        prepare(_config(root, tuple(row.split(",")[0] for row in table[1:])), say=lambda _: None)
        sites = dataset.load(root / "dataset").sites
        for name, site in sites.items():
            _, where, black = name.split("_")
            fitted.setdefault((where, int(black)), []).append(site.image_gain[0])
    made: list[dict[str, object]] = []
    for shape, share in itertools.product(("edges", "corners"), BLACK[1:]):
        row: dict[str, object] = {"black": share, "where": shape, "pictures": len(sources)}
        for what, found in (("fit", fitted), ("least squares", plain)):
            change = 100 * np.abs(np.asarray(found[shape, share]) / np.asarray(found[shape, 0]) - 1)
            row[what] = {"median": float(np.median(change)), "largest": float(change.max())}
        made.append(row)
    return made


def _black(shape: str, share: int) -> np.ndarray:
    """Where a picture is hidden, bool [side, side]: `share` per cent of it."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    if shape == "edges":  # along top and left
        apart = np.minimum(rows, columns)
    else:
        apart = np.minimum(np.minimum(rows + columns, 2 * SIDE - 2 - rows - columns), SIDE - 1 - np.abs(rows - columns))
    return np.asarray(apart < np.percentile(apart, share)) if share else np.zeros((SIDE, SIDE), bool)


def _write_site(folder: pathlib.Path, picture: np.ndarray, hidden: np.ndarray, seed: int) -> float:
    """Writes picture and input; returns the gain by a least-squares line through all 10 m pixels, in red."""
    rng = np.random.default_rng(seed)
    coarse = make_lattice("EPSG:32650", 500_040, 3_400_020, 10, SIDE // 10, SIDE // 10)
    fine = make_lattice("EPSG:32650", 500_040, 3_400_020, 1, SIDE, SIDE)
    seen = np.asarray(block_mean(picture.astype(np.float32), 10)) / 255 * 0.4 + 0.02
    seen = np.concatenate([seen, seen[..., :1] * 1.5], -1) * rng.normal(1, 0.02, (*seen.shape[:2], 4))
    stored = np.round(seen * 10_000 + 1000).astype(np.uint16)
    tags = {"RADIO_ADD_OFFSET": -1000}
    write_raster(folder / "s2.tif", stored, Layout(coarse, "uint16", ("B04", "B03", "B02", "B08"), 0, tags))
    shown = np.where(hidden[..., None], 0, picture).astype(np.uint8)
    write_raster(folder / "image.tif", shown, Layout(fine, "uint8", ("R", "G", "B"), rgb=True))
    x = np.asarray(block_mean(shown.astype(np.float32), 10))[..., 0].ravel()
    return float(np.polyfit(x, seen[..., 0].ravel(), 1)[0])


def _config(root: pathlib.Path, names: tuple[str, ...]) -> object:
    config = common.dataset("pictures")
    config.path, config.source.root = str(root / "dataset"), str(root)
    config.source.layers.s2 = ("s2.tif",)
    config.source.label = ""
    config.inputs, config.modalities = ("s2",), common.sentinel2()
    config.split.table.train = names
    return config


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
    parser.add_argument("folder", type=pathlib.Path, nargs="?")
    parser.add_argument("--pictures", type=pathlib.Path, help="folder of pictures of 1 m, */image.vrt")
    parser.add_argument("--without", default="", help="parts of file names to leave out, separated by commas")
    return cli.status_of(lambda: report(parser.parse_args(arguments)))


def report(flags: argparse.Namespace) -> None:
    """Prints what the flags ask for."""
    found: dict[str, Sequence[Mapping[str, object]]] = {}
    if flags.folder is not None:
        dates = read(flags.folder, tuple(filter(None, flags.without.split(","))))
        found |= {"gains": gains(dates), "few": few(dates), "edges": edges(dates)}
    if flags.pictures is not None:
        found["collars"] = collars(flags.pictures)
    if not found:
        raise InputError("there is nothing to measure: give a folder of dates, --pictures, or both")
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
