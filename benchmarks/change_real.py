"""Counts what comes out as change on real Sentinel-2 where next to nothing was built: false change, raw and decoded.

    python benchmarks/change_real.py --data=$JOINTSEG_DATA/sentinel2 --workdir=RUN --output=/tmp/real --side=64

RUN is a network on three display bands. Two places are cut, `side` pixels of 10 m square: the overlap of two patches of
`korea` (2023-09, 2024-12; each with a stretch of its own), and the middle of `boadella` on nine dates (one hazy, one
overcast, one partly cloudy), warped to UTM with one stretch for all dates. No label is used: nothing is said of
accuracy. Prints shares of the ground, writes a picture of every place, and JSON in the last line.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from odc.geo.geobox import GeoBox

from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.change.flicker import flickers
from jointseg_jax.change.monitor_record import Settings, read_record
from jointseg_jax.change.run_monitor import run_monitor
from jointseg_jax.change.year_map import open_year
from jointseg_jax.evaluation.change.decoded import read_states
from jointseg_jax.evaluation.change.kinds import filled, majority, thresholded
from jointseg_jax.jobs.executors import Serial
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.area.map_area import map_area
from jointseg_jax.mapping.area.plan_area import plan_area
from jointseg_jax.rasters.aligned import open_aligned
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
from jointseg_jax.training.trained import Trained, load_trained

_WHITE = 0.25  # reflectance that becomes 255
KOREA = {"2023-09": "202309_patchN_9.tif", "2024-12": "202412_patchN_3.tif"}
PLACES = {"korea": ("EPSG:32652", 346_000, 3_821_900), "boadella": ("EPSG:32631", 485_900, 4_689_300)}  # middles


def cut(path: pathlib.Path, lattice: GeoBox, bands: tuple[int, ...], white: float | None) -> np.ndarray:
    """Red, green and blue of a raster on a lattice, uint8 [h, w, 3]; `white` scales reflectance x 10000."""
    with open_aligned(path, lattice, warp=True) as raster:
        values, inside = raster.read(Window(0, 0, *lattice.shape), bands)
    if white is not None:
        values = np.clip(values / (1e4 * white), 0, 1) * 254 + 1
    return np.where(inside[..., None], np.maximum(values, 1), 0).astype(np.uint8)


def images(data: pathlib.Path, place: str, lattice: GeoBox) -> dict[str, np.ndarray]:
    """The images of a place by date."""
    if place == "korea":
        return {date: cut(data / "korea" / "images" / name, lattice, (1, 2, 3), None) for date, name in KOREA.items()}
    files = sorted((data / "boadella").glob("Boadella_*.tif"))
    return {f.stem.removeprefix("Boadella_"): cut(f, lattice, (4, 3, 2), _WHITE) for f in files}


def measure(
    data: pathlib.Path, root: pathlib.Path, trained: Trained, place: str, side: int
) -> tuple[dict[str, Any], dict[str, np.ndarray], Mapping[str, np.ndarray]]:
    """Figures of a place, its states by method [dates, h, w], and its images."""
    crs, x, y = PLACES[place]
    left, top = x - 5 * side, y + 5 * side
    lattice = make_lattice(crs, left, top, 10, side, side)
    shown, folders = images(data, place, lattice), {}
    for date, image in shown.items():
        folders[date] = root / place / date / "map"
        if not (folders[date] / "collection.json").exists():
            scene = root / place / date / "scenes" / f"{place}_{date}.tif"
            write_raster(scene, image, Layout(lattice, "uint8", ("R", "G", "B"), 0, rgb=True))
            settings = product_plan.Settings(radiometry="display")
            plan = plan_area(trained, scene.parent, None, folders[date], settings, say=lambda line: None)
            map_area(trained, plan, folders[date], Serial(), say=lambda line: None)
    run_monitor(folders, root / place / "monitor", Settings(0), Serial(), say=print)
    epsg, box = int(crs.removeprefix("EPSG:")), (left, top - 10 * side, left + 10 * side, top)
    handles = Handles()
    maps = [open_year(folder).read(epsg, box, handles) for folder in folders.values()]
    single = filled(thresholded(maps, read_record(root / place / "monitor").dates[0].threshold))
    states = {"naive": single, "majority": majority(single)}
    states["decoded"] = read_states(root / place / "monitor").read(epsg, box, handles)
    handles.close()
    figures = {
        name: {
            "changed_share": float((s[1:] != s[:-1]).any(0).mean()),
            "first_to_last_share": float((s[0] != s[-1]).mean()),
            "flicker_share": float(flickers(s).mean()),
            "impervious_share": [round(float((one == 1).mean()), 4) for one in s],
        }
        for name, s in states.items()
    }
    return figures, states, shown


def picture(path: pathlib.Path, states: Mapping[str, np.ndarray], shown: Mapping[str, np.ndarray]) -> None:
    """The images, the single maps, the decoded states by date."""
    from matplotlib.figure import Figure

    count = len(shown)
    figure = Figure((2.2 * count + 0.6, 7.2), layout="constrained")
    grid = figure.subplots(3, count, squeeze=False)
    for column, (date, image) in enumerate(shown.items()):
        for row, values in enumerate((image, states["naive"][column], states["decoded"][column])):
            grid[row][column].imshow(values, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
            grid[row][column].set(xticks=[], yticks=[])
        grid[0][column].set_title(date, fontsize=9)
    for row, name in enumerate(("input, 10 m", "single map", "decoded")):
        grid[row][0].set_ylabel(name)
    figure.savefig(path, dpi=90)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the shares, and JSON in the last line; returns the exit status."""
    parser = cli.Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for images and maps, kept")
    parser.add_argument("--side", type=cli.number(whole(24, 300)), default=64, help="10 m pixels")
    parser.add_argument("--places", default=",".join(PLACES))

    def work() -> None:
        given = parser.parse_args(arguments)
        use_compilation_cache()
        trained, found = load_trained(str(given.workdir)), {}
        for place in given.places.split(","):
            found[place], states, shown = measure(given.data, given.output, trained, place, given.side)
            picture(given.output / f"{place}.png", states, shown)
            for method, figures in found[place].items():
                print(place, method, " ".join(f"{k} {v}" for k, v in figures.items()))
        print(json.dumps(found))

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
