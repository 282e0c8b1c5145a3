"""How fast the loader reads, by format, threads and workers: python benchmarks/loader.py --dataset=DIR --site=NAME

Copies a prepared dataset with the rasters of one site in other blocks and compressions, reads the same random training
patches of each through `PatchReader`, and prints a table. Reads come from the page cache: decoding is measured, not a
disk. "Memory map" is the least that any format can cost: the same windows of raw arrays, copied and not converted.
On a busy machine CPU milliseconds count, not windows per second.
"""

import argparse
import itertools
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import rasterio
import rasterio.shutil
from absl import flags

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import check_output  # noqa: E402
from jointseg_jax import cli  # noqa: E402
from jointseg_jax.bounds.number import whole  # noqa: E402
from jointseg_jax.data.dataset import Dataset, load  # noqa: E402
from jointseg_jax.data.patches import PatchReader  # noqa: E402
from jointseg_jax.data.pipeline import training_batches  # noqa: E402
from jointseg_jax.errors import InputError  # noqa: E402
from jointseg_jax.rasters.contract import COARSE_SPACING  # noqa: E402
from jointseg_jax.storage.files import write_json  # noqa: E402

FORMATS = ((256, "zstd"), (128, "zstd"), (512, "zstd"), (256, "none"), (256, "lzw"), (256, "deflate"))  # block, codec


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, type=pathlib.Path, help="folder of a prepared dataset")
    parser.add_argument("--site", required=True, help="whose patches are read")
    parser.add_argument("--windows", type=cli.number(whole(1)), default=128, help="patches read per row")
    parser.add_argument("--batch", type=cli.number(whole(1)), default=16, help="of the rows with workers")
    parser.add_argument("--threads", type=counts, default=(1, 2), help="such as 1,2,4")
    parser.add_argument("--workers", type=counts, default=(0, 2), help="processes, such as 0,2")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file")
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain's workers read absl flags
    return cli.status_of(lambda: measure(parser.parse_args(arguments)))


def counts(text: str) -> tuple[int, ...]:
    return tuple(cli.number(whole(0))(part) for part in text.split(","))


def measure(given: argparse.Namespace) -> None:
    """Reads the patches of every row, and prints the table."""
    if given.output:
        check_output(given.output)
    data = load(given.dataset, hold=False)
    reader = PatchReader(data, "train", data.contract)
    own = np.flatnonzero(data.patches("train")["site"] == given.site)
    if not len(own):
        raise InputError(f"--site={given.site} has no training patches in {given.dataset}: name a site that has some")
    patches = np.random.default_rng(0).choice(own, given.windows).tolist()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for block, codec in FORMATS:
            folder = pathlib.Path(scratch) / f"{block}-{codec}"
            size = rewritten(data, given.site, folder, block, codec)
            copied = load(folder, hold=False)
            rows.append(
                {"format": f"GeoTIFF {block} {codec}", "threads": 1, "workers": 0, "megabytes": size}
                | timed(PatchReader(copied, "train", copied.contract), patches, 1)
            )
            shutil.rmtree(folder)
        rows.append(mapped(data, given.site, pathlib.Path(scratch), patches))
    for threads in given.threads:
        fresh = PatchReader(data, "train", data.contract)
        rows.append({"format": "as prepared", "threads": threads, "workers": 0} | timed(fresh, patches, threads))
    steps = max(1, given.windows // given.batch)
    for workers in given.workers:
        row = {"format": "augmented batches of all sites", "threads": 2, "workers": workers}
        rows.append(row | batches(data, steps, given.batch, workers))
    if given.output:
        write_json(given.output, {"rows": rows, "patch": reader.size})
    print(table(rows, reader))


def rasters(data: Dataset, name: str) -> list[str]:
    """The files of a site that a patch is read from."""
    site = data.sites[name]
    return [path for path in (*itertools.chain(*site.layers.values()), site.image, site.label) if path]


def rewritten(data: Dataset, name: str, folder: pathlib.Path, block: int, codec: str) -> float:
    """A copy of a dataset, of whose rasters those of one site alone, in another format; returns their megabytes."""
    shutil.copytree(data.root, folder, ignore=shutil.ignore_patterns("*.tif", "inputs", "raw"))
    size = 0
    for path in rasters(data, name):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        options = {"tiled": True, "blockxsize": block, "blockysize": block, "compress": codec}
        rasterio.shutil.copy(data.root / path, folder / path, driver="GTiff", **options)
        size += (folder / path).stat().st_size
    return size / 1e6


def timed(reader: PatchReader, patches: Sequence[int], threads: int) -> dict[str, float]:
    """Reads patches by some threads, after a first one that opens the files."""
    reader.read(patches[0])
    with ThreadPoolExecutor(threads) as pool:
        return clocked(lambda: list(pool.map(reader.read, patches)), len(patches))


def batches(data: Dataset, steps: int, batch: int, workers: int) -> dict[str, float]:
    """Reads augmented batches as a training does, after a first one that starts the workers."""
    reader = PatchReader(data, "train", data.contract)
    source = training_batches(reader, batch=batch, seed=0, start=0, threads=2, workers=workers)
    next(source)
    return clocked(lambda: [next(source) for _ in range(steps)], steps * batch)


def mapped(data: Dataset, name: str, scratch: pathlib.Path, patches: Sequence[int]) -> dict[str, Any]:
    """Copies the windows of the patches out of memory maps of a site's rasters."""
    maps = []
    for number, path in enumerate(rasters(data, name)):
        with rasterio.open(data.root / path) as raster:
            np.save(scratch / f"{number}.npy", np.moveaxis(raster.read(), 0, -1))
            maps.append((round(raster.res[0]), np.load(scratch / f"{number}.npy", mmap_mode="r")))
    windows = int(COARSE_SPACING) * data.patches("train")[["row", "col", "height", "width"]].to_numpy().astype(int)

    def read(patch: int) -> list[np.ndarray]:
        row, col, height, width = (int(v) for v in windows[patch])  # metres
        return [
            np.array(values[row // m : -(-(row + height) // m), col // m : -(-(col + width) // m)])
            for m, values in maps
        ]

    row = {"format": "memory map", "threads": 1, "workers": 0, "megabytes": sum(v.nbytes for _, v in maps) / 1e6}
    return row | clocked(lambda: [read(patch) for patch in patches], len(patches))


def clocked(work: Callable[[], Any], windows: int) -> dict[str, float]:
    """Windows per second, and CPU milliseconds per window of this process and its children."""
    begin, before = time.perf_counter(), cpu()
    work()
    return {"windows_per_s": windows / (time.perf_counter() - begin), "cpu_ms": 1e3 * (cpu() - before) / windows}


def cpu() -> float:
    own = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in [own, *own.children(recursive=True)])


def table(rows: Sequence[dict[str, Any]], reader: PatchReader) -> str:
    height, width = reader.size
    lines = [
        f"patches of {height} x {width} input pixels",
        "",
        "| format | threads | workers | MB | windows/s | CPU ms per window |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for r in rows:
        size = f"{r['megabytes']:.1f}" if "megabytes" in r else ""
        speed = f"{r['windows_per_s']:.1f} | {r['cpu_ms']:.1f}"
        lines.append(f"| {r['format']} | {r['threads']} | {r['workers']} | {size} | {speed} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
