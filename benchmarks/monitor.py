"""Speed and memory of `jointseg monitor` on made-up maps of four years.

python -m benchmarks.monitor --sides 1280 2560 5120 [--four-tiles]

Every side runs in a process of its own. The maps are those of single scenes, whose inputs are not recorded: the time to
register dates is not part of the figures. CPU seconds count all threads, whatever else the machine does.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from jointseg_jax import cli
from jointseg_jax.bounds.number import whole

YEARS = ("2017", "2019", "2021", "2023")
EPSG, GRID = 32650, 10240
LEFT, TOP = 49 * GRID, 332 * GRID
_PIECE = 512  # pixels of 1 m, which are repeated


def write_maps(folder: pathlib.Path, side: int, back: int = 0) -> dict[str, pathlib.Path]:
    """Writes maps of a square whose upper left corner lies `back` metres left of and above that of a tile."""
    from jointseg_jax.rasters.lattice import Window, make_lattice
    from jointseg_jax.rasters.writer import Layout, cog_writer
    from jointseg_jax.storage.folders import claim

    rng, built = np.random.default_rng(0), np.zeros((_PIECE, _PIECE))
    run = {"network": "made up", "radiometry": "contract", "augment": "False", "dtype": "None"}
    found = {}
    for year in YEARS:
        for _ in range(40 if year == YEARS[0] else 2):
            row, col = rng.integers(0, _PIECE - 30, 2)
            built[row : row + rng.integers(8, 30), col : col + rng.integers(8, 30)] = 1
        noise = ndimage.gaussian_filter(rng.standard_normal(built.shape), 2) * 8
        logits = 10 * (ndimage.gaussian_filter(built, 1.2) - 0.5) + noise
        piece = np.round(200 / (1 + np.exp(-logits))).astype(np.uint8)
        found[year] = folder / year
        lattice = make_lattice(f"EPSG:{EPSG}", LEFT - back, TOP + back, 1, side, side)
        layout = Layout(lattice, "uint8", ("probability",), 255, {"THRESHOLD": 0.5})
        with claim(found[year], "map of a scene", run=run, names=("probability.tif",)):
            with cog_writer(found[year] / "probability.tif", layout, overviews="average") as writer:
                for row in range(0, side, _PIECE):
                    for col in range(0, side, _PIECE):
                        high, wide = min(_PIECE, side - row), min(_PIECE, side - col)
                        writer.write(piece[:high, :wide], Window(row, col, high, wide))
    return found


def measure(maps: pathlib.Path) -> dict[str, float]:
    from jointseg_jax.change.monitor_record import Settings
    from jointseg_jax.change.run_monitor import run_monitor
    from jointseg_jax.jobs.executors import Serial
    from jointseg_jax.storage.files import read_json

    folders = {year: maps / year for year in YEARS}
    begin, cpu = time.perf_counter(), time.process_time()
    run_monitor(folders, maps / "out", Settings(0), Serial(), say=lambda line: None)
    km2 = read_json(maps / "out" / "metrics.json")["regions"]["all"]["valid_km2"]
    cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
    size = sum(p.stat().st_size for p in (maps / "out").rglob("*") if p.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"km2": km2, "cpu_seconds": cpu, "wall_seconds": wall, "peak_gb": peak, "mb_per_km2": size / 1e6 / km2}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = cli.Arguments(description=__doc__)
    sides = cli.number(whole(_PIECE, 20480))
    parser.add_argument("--sides", type=sides, nargs="+", default=[1280, 2560, 5120], help="of the area, metres")
    parser.add_argument("--four-tiles", action="store_true", help="the middle is a corner of four tiles")
    parser.add_argument("--maps", type=pathlib.Path, help=argparse.SUPPRESS)
    return cli.status_of(lambda: report(parser.parse_args(arguments)))


def report(given: argparse.Namespace) -> None:
    if given.maps:
        print(json.dumps(measure(given.maps)))
        return
    for side in given.sides:
        with tempfile.TemporaryDirectory() as folder:
            write_maps(pathlib.Path(folder), side, side // 2 if given.four_tiles else 0)
            line = [sys.executable, "-m", "benchmarks.monitor", "--maps", folder]
            done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{found['km2']:.2f} km2: {found['cpu_seconds']:.1f} CPU s, {found['wall_seconds']:.1f} s, peak "
            f"{found['peak_gb']:.2f} GB, {found['mb_per_km2']:.2f} MB of files per km2",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
