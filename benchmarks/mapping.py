"""Speed, memory and disk of mapping an area: python benchmarks/mapping.py --workdir=W --input=SCENE.

Every measurement runs predict.py in a new process, on ground repeated from SCENE where --sizes exceed it. A first run
fills the compilation cache, so each timed run starts like a second one. Prints a table, and writes JSON with --output.

    parts      one scene: end to end, and seconds of reading, computing and writing inside it (they overlap)
    memory     peak resident memory against window (--tile) and scene size: does not grow with the scene
    workers    one product of four tiles by 1 and by 2 Dask workers (on GPUs at most one worker per GPU)
    cost       2.2 million km2 at the measured rate; an extrapolation, with its assumptions
"""

import argparse
import datetime
import math
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import psutil
import rasterio

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import check_output  # noqa: E402
from jointseg_jax import cli  # noqa: E402
from jointseg_jax.bounds.flags import TILE  # noqa: E402
from jointseg_jax.jobs.gpus import visible_gpus  # noqa: E402
from jointseg_jax.storage.files import read_json, write_json  # noqa: E402

BELT_KM2 = 2.2e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True, help="of a training run")
    parser.add_argument("--input", required=True, help="a raster or a folder with one raster per modality, in UTM")
    parser.add_argument("--sizes", type=sides, default="128,256,512", help="sides of the scenes, input pixels")
    parser.add_argument("--tiles", type=sides, default="32,64,128", help="windows, input pixels")
    parser.add_argument("--radiometry", default="contract")
    parser.add_argument("--one-process", action="store_true", help="leave out the measurement of Dask workers")
    parser.add_argument("--output", help="JSON file")
    return cli.status_of(lambda: measure(parser.parse_args(arguments)))


def sides(text: str) -> list[int]:
    return [cli.number(TILE)(part) for part in text.split(",")]


def measure(given: argparse.Namespace) -> None:
    sizes, windows = given.sizes, given.tiles
    if given.output:
        check_output(pathlib.Path(given.output))
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        common = [f"--workdir={given.workdir}", f"--radiometry={given.radiometry}"]
        scenes = {size: enlarged(pathlib.Path(given.input), place / f"scene-{size}", size) for size in sizes}
        usual, middle, pairs = planned(sizes, windows)
        runs = [measured(common, scenes[size], place, size, window) for size, window in pairs]
        scaled = [] if given.one_process else scaling(common, scenes[middle], place, middle, usual)
    best = max((r for r in runs if r["tile"] == usual), key=lambda r: r["km2"])
    report = {
        "command": "python benchmarks/mapping.py " + " ".join(sys.argv[1:]),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "runs": runs,
        "workers": scaled,
        "cost": cost(best),
    }
    if given.output:
        write_json(given.output, report)
    print(table(report))


def planned(sizes: Sequence[int], windows: Sequence[int]) -> tuple[int, int, list[tuple[int, int]]]:
    """The usual window, the middle size, and (size, window) of each run: every size by the usual window comes first."""
    usual, middle = 64 if 64 in windows else windows[0], sizes[len(sizes) // 2]
    pairs = [(size, usual) for size in sizes] + [(middle, window) for window in windows if window != usual]
    return usual, middle, pairs


def enlarged(source: pathlib.Path, target: pathlib.Path, size: int) -> pathlib.Path:
    """A scene of `size` x `size` input pixels: the source, mirrored as often as needed."""
    # A folder of one scene, so that predict.py maps an area: all of it.
    target = target / source.stem if source.is_dir() else target
    target.mkdir(parents=True)
    metres = 10 * size
    files = [source] if source.is_file() else sorted(source.glob("*.tif"))
    widest = max(rasterio.open(f).width for f in files if f.name.startswith(("s2.", "s2_0.")) or source.is_file())
    for file in files:
        with rasterio.open(file) as raster:
            spacing = raster.res[0]
            if spacing < 10 or raster.width > widest:
                continue  # image and label of a dataset's site
            side = round(size * 10 / spacing)
            stack, profile = raster.read(), raster.profile
            pad = [(0, 0), (0, max(0, side - stack.shape[1])), (0, max(0, side - stack.shape[2]))]
            stack = np.pad(stack, pad, "symmetric")[:, :side, :side]
            # The corner lies on the grid of tiles of the scene's size, so one tile covers the whole scene.
            left, bottom = (metres * math.ceil(v / metres) for v in (raster.bounds.left, raster.bounds.bottom))
            profile["transform"] = rasterio.Affine(spacing, 0, left, 0, -spacing, bottom + metres)
            profile.update(width=side, height=side, tiled=True, blockxsize=256, blockysize=256, compress="zstd")
            with rasterio.open(target / file.name, "w", **profile) as made:
                made.write(stack)
                made.descriptions, made.scales, made.offsets = raster.descriptions, raster.scales, raster.offsets
                made.update_tags(**raster.tags())
    return target / source.name if source.is_file() else target


def measured(common: list[str], scene: pathlib.Path, place: pathlib.Path, size: int, window: int) -> dict[str, Any]:
    """One product of a single tile over a whole scene; a run before the first of each window compiles."""
    arguments = [*common, f"--input={scene.parent}", f"--grid={10 * size}", f"--tile={window}"]
    product = place / f"timed-{size}-{window}"
    if not (place / f"warm-{window}").exists():
        run([*arguments, f"--output={place / f'warm-{window}'}"])
    wall, cpu, peak = run([*arguments, f"--output={product}"])
    rows = [read_json(f) for f in sorted((product / "ledger").glob("*.json"))]
    km2 = sum(r["valid_m2"] for r in rows) / 1e6
    parts = {k: sum(r["seconds"][k] for r in rows) for k in ("read", "compute", "write", "total")}
    size_of = {name: sum(r["files"][name]["bytes"] for r in rows) for name in rows[0]["files"]}
    return {
        "pixels": size, "tile": window, "km2": km2, "seconds": wall, "cpu_seconds": cpu, "parts": parts,
        "km2_per_s": km2 / wall, "km2_per_s_inside": km2 / parts["total"], "peak_mb": peak / 1e6, "bytes": size_of,
        "halo": read_json(product / "plan.geojson")["jointseg"]["settings"]["halo"],
    }  # fmt: skip


def scaling(
    common: list[str], scene: pathlib.Path, place: pathlib.Path, size: int, window: int
) -> list[dict[str, Any]]:
    """The same tiles by one and by two worker processes; each has its own GPU where there are GPUs."""
    found = []
    for workers in range(1, 1 + min(2, len(visible_gpus()) or 2)):
        product = place / f"workers-{workers}"
        wall, cpu, _ = run(
            [
                *common, f"--input={scene.parent}", f"--grid={5 * size}", f"--tile={window}", "--executor=dask",
                f"--workers={workers}", f"--output={product}",
            ]
        )  # fmt: skip
        rows = [read_json(f) for f in sorted((product / "ledger").glob("*.json"))]
        km2 = sum(r["valid_m2"] for r in rows) / 1e6
        found.append(
            {"workers": workers, "tiles": len(rows), "seconds": wall, "cpu_seconds": cpu, "km2_per_s": km2 / wall}
        )
    return found


def run(arguments: list[str]) -> tuple[float, float, float]:
    """Runs predict.py: wall-clock seconds, CPU seconds, and peak memory of all its processes in bytes."""
    begin = time.perf_counter()
    before = os.times()
    process = subprocess.Popen([sys.executable, "predict.py", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        try:
            own = psutil.Process(process.pid)
            peak = max(peak, sum(p.memory_info().rss for p in [own, *own.children(recursive=True)]))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.1)
    after = os.times()
    if process.returncode:
        raise SystemExit(f"error: predict.py {' '.join(arguments)} exited with status {process.returncode}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return time.perf_counter() - begin, cpu, peak


def machine() -> dict[str, Any]:
    """The machine, and how busy it was."""
    import jax

    return {
        "processor": platform.processor() or platform.machine(), "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind, "gpus": len(visible_gpus()),
        "load": os.getloadavg(), "python": platform.python_version(),
        "jax": jax.__version__,
    }  # fmt: skip


def cost(best: dict[str, Any]) -> dict[str, Any]:
    """The cost of 2.2 million km2 at the rate of the largest run."""
    rate = best["km2_per_s_inside"]
    tiles = BELT_KM2 / 10.24**2
    return {
        "km2": BELT_KM2,
        "tiles": round(tiles),
        "machine_hours": BELT_KM2 / rate / 3600,
        "km2_per_gpu_hour": 3600 * rate / len(visible_gpus()) if visible_gpus() else None,
        "processor_hours": BELT_KM2 / best["km2"] * best["cpu_seconds"] / 3600,
        "terabytes": {k: v / best["km2"] * BELT_KM2 / 1e12 for k, v in best["bytes"].items()},
        "assumptions": [
            "this network on this machine under this load: the time of another network scales with its operations",
            "machine hours exclude start-up and planning (a process starts once for hundreds of tiles)",
            "every tile is fully valid and fully owned, and compresses as well as this area",
            "comparing overlaps takes as long as here; input is read from a local disk",
            f"{tiles:,.0f} tiles of 10.24 km, {best['km2']:.3g} km2 of them measured",
        ],
    }


def table(report: dict[str, Any]) -> str:
    lines = [
        f"{report['machine']['cores']} cores, {report['machine']['device']}, load {report['machine']['load'][0]:.1f}, "
        f"{report['date']}",
        "",
        "| scene (px) | window (px) | km2 | s | CPU s | km2/s | km2/s inside | read s | compute s | write s | peak MB "
        "| MB/km2 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in report["runs"]:
        p, size = r["parts"], sum(r["bytes"].values()) / 1e6 / r["km2"]
        lines.append(
            f"| {r['pixels']} | {r['tile']} | {r['km2']:.3g} | {r['seconds']:.1f} | {r['cpu_seconds']:.1f} | "
            f"{r['km2_per_s']:.3g} | {r['km2_per_s_inside']:.3g} | {p['read']:.2f} | {p['compute']:.2f} | "
            f"{p['write']:.2f} | {r['peak_mb']:.0f} | {size:.3g} |"
        )
    if report["workers"]:
        lines += ["", "| workers | tiles | s | CPU s | km2/s |", "| --- | --- | --- | --- | --- |"]
    for r in report["workers"]:
        lines.append(
            f"| {r['workers']} | {r['tiles']} | {r['seconds']:.1f} | {r['cpu_seconds']:.1f} | {r['km2_per_s']:.3g} |"
        )
    c = report["cost"]
    lines += [
        "",
        f"extrapolated to {c['km2']:,.0f} km2: {c['machine_hours']:,.0f} hours of this machine, "
        f"{c['processor_hours']:,.0f} processor hours, "
        + ", ".join(f"{k} {v:.3g} TB" for k, v in c["terabytes"].items()),
        *([f"{c['km2_per_gpu_hour']:,.0f} km2 per GPU-hour"] if c["km2_per_gpu_hour"] else []),
        *(f"- {a}" for a in c["assumptions"]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
