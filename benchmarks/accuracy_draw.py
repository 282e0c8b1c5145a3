"""Measures the draw of a sample from a product of any size, whose tiles share one made-up raster.

    python benchmarks/accuracy_draw.py --tiles=21000 --points=1000

Prints CPU seconds and wall seconds of reading the records, of the strata's areas, of the draw, and of the map classes
around the points, as JSON.
"""

import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from benchmarks.machine import machine
from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.evaluation.accuracy.draw import draw_points, map_classes
from jointseg_jax.evaluation.accuracy.frame import open_frame
from jointseg_jax.evaluation.accuracy.strata import Strata
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.writer import Layout, cog_writer
from jointseg_jax.storage.files import write_json

_Result = TypeVar("_Result")
STRIP = 512


def write_map(path: pathlib.Path, side: int, share: float) -> None:
    """Writes squares of the rare class in open ground, about `share` of it."""
    layout = Layout(make_lattice("EPSG:32650", 400_000, 3_400_000, 1, side, side), "uint8", ("impervious",), IGNORE)
    rng = np.random.default_rng(0)
    with cog_writer(path, layout, overviews="mode") as writer:
        for top in range(0, side, STRIP):
            height = min(STRIP, side - top)
            coarse = rng.random((-(-height // 16), -(-side // 16))) < share
            strip = np.kron(coarse, np.ones((16, 16), bool))[:height, :side].astype(np.uint8)
            writer.write(strip, Window(top, 0, height, side))


def write_product(folder: pathlib.Path, tiles: int, side: int) -> None:
    """Writes the records of a product of `tiles` squares in one zone, all with one raster; shares from 0.1 to 20 %."""
    write_map(folder / "map.tif", side, 0.05)
    rng, links, owned, across = np.random.default_rng(1), [], float(side * side), 60
    for number in range(tiles):
        col, row = number % across, number // across
        west, north = 200_000.0 + side * col, 9_000_000.0 - side * row
        name = f"50N_{col:04d}_{row:04d}"
        share = float(np.exp(rng.uniform(np.log(0.001), np.log(0.2))))
        own = {"owned_m2": owned, "valid_m2": owned, "impervious_m2": share * owned, "scenes": [{"id": "s"}]}
        own |= {"decisions": {}, "agreement": [], "model": {"sha256": "ab"}, "seconds": {}}
        properties = {f"jointseg:{key}": value for key, value in own.items()}
        properties |= {
            "proj:code": "EPSG:32650",
            "proj:bbox": [west, north - side, west + side, north],
            "datetime": None,
        }
        asset = {"href": "../map.tif", "file:checksum": "1220" + "ab" * 32, "file:size": 1}
        item = {"type": "Feature", "id": name, "properties": properties, "assets": {"impervious": asset}}
        write_json(folder / "items" / f"{name}.json", item)
        links.append({"rel": "item", "href": f"./items/{name}.json"})
    about = {"type": "Collection", "title": "made up", "links": links, "jointseg:owned_m2": owned * tiles}
    write_json(folder / "collection.json", about)


def timed(figures: dict[str, Any], name: str, work: Callable[[], _Result]) -> _Result:
    """Runs a part and notes its seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    figures[name] = {"cpu_s": round(time.process_time() - cpu, 2), "wall_s": round(time.perf_counter() - wall, 2)}
    return found


def measure(tiles: int, side: int, points: int) -> dict[str, Any]:
    """Figures of one product."""
    figures: dict[str, Any] = {"tiles": tiles, "km2": tiles * side**2 / 1e6, "points": points, **machine()}
    with tempfile.TemporaryDirectory() as folder:
        write_product(pathlib.Path(folder), tiles, side)
        frame = timed(figures, "records", lambda: open_frame(pathlib.Path(folder)))
        strata = Strata(frame)
        areas = timed(figures, "areas", strata.areas)
        sizes = np.array([points - points // 2, points // 2])
        places = timed(figures, "draw", lambda: draw_points(strata, areas, sizes, np.random.default_rng(0)))
        timed(figures, "classes", lambda: map_classes(frame, places, 1))
        figures["drawn"] = len(places)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = cli.Arguments(prog="python benchmarks/accuracy_draw.py", description="Cost of drawing a sample.")
    parser.add_argument("--tiles", type=cli.number(whole(1)), default=21_000)
    parser.add_argument("--side", type=cli.number(whole(20, multiple=10)), default=10_240, help="of a tile, metres")
    parser.add_argument("--points", type=cli.number(whole(2)), default=1000)

    def work() -> None:
        given = parser.parse_args(arguments)
        print(json.dumps(measure(given.tiles, given.side, given.points)))

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
