"""Builds the page: python -m jointseg_jax.mapping.viewer --product=DIR [--input=RASTER ...] [--table=TABLE.csv].

PRODUCT/viewer/index.html    open it; everything it needs lies beside it, and it asks for nothing else
PRODUCT/viewer/layers/       PNG pyramids: the 10 m input, the classes, the probability, the super-resolved image
"""

import csv
import json
import pathlib
import shutil
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import numpy as np

from jointseg_jax import door
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError
from jointseg_jax.jobs.files import read_json
from jointseg_jax.mapping.footprint import bbox, footprint
from jointseg_jax.mapping.mosaics import mosaic_path
from jointseg_jax.mapping.product import PROBABILITY_STEPS
from jointseg_jax.mapping.records import union_bbox
from jointseg_jax.mapping.rows import TileRow
from jointseg_jax.mapping.zonal import product_tiles
from jointseg_jax.rasters.pictures import COLORMAP, colour_probability, stretch, stretch_limits
from jointseg_jax.rasters.pyramid import Paint, count_over, write_pyramid
from jointseg_jax.rasters.reader import open_raster
from jointseg_jax.rasters.small import read_small

FOLDER = "viewer"
_DEEPEST = 17  # about 1 m
_MOST_TILES = 20_000  # per layer at the last level, unless a level is asked for
_LEVELS = 9  # below which a product is a dot
_TITLES = {
    "input": "input, 10 m",
    "impervious": "impervious surface, 1 m",
    "probability": "probability, 1 m",
    "image": "super-resolved, 1 m",
}


def build(
    product: pathlib.Path,
    *,
    inputs: Sequence[pathlib.Path] = (),
    bands: tuple[int, int, int] = (1, 2, 3),
    table: pathlib.Path | None = None,
    deepest: int | None = None,
    say: Callable[[str], None] = print,
) -> pathlib.Path:
    """Builds the page of a product; an older one is replaced when the new one is whole.

    Args:
        product: folder with records.
        inputs: the 10 m rasters it was made of, in any CRS; the left side of the slider.
        bands: red, green and blue in them, one-based.
        table: of `mapping.zonal`.
        deepest: last zoom level; by default 17, or less for a large product.
        say: receives what was written.

    Returns:
        The page.

    Raises:
        InputError: something is missing or cannot be read.
    """
    bounds.ZOOM.insist("--max-zoom", deepest)
    bounds.BANDS.insist("--bands", bands)
    tiles = product_tiles(product)
    boxes = [bbox(footprint(t.epsg, t.bounds)) for t in tiles]
    content = _table(table) if table else None
    last = deepest if deepest is not None else _last_level(boxes, say)
    zooms = (max(0, last - _LEVELS), last)
    building = product / f".partial-{FOLDER}"
    shutil.rmtree(building, ignore_errors=True)  # of a run that was killed
    try:
        _copy_page(building)
        layers = []
        for name, rasters, paint in _layers(product, tiles, inputs, bands):
            count = write_pyramid(building / "layers" / name, rasters, boxes, zooms, paint)
            say(f"layer   {name}: {count} pictures")
            layers.append({"id": name, "title": _TITLES[name]})
        about = _about(product, tiles, boxes, zooms, layers, content)
        text = json.dumps(about, ensure_ascii=True, allow_nan=False)
        (building / "product.js").write_text(f"window.PRODUCT = {text};\n", encoding="utf-8")
        target = product / FOLDER
        shutil.rmtree(target, ignore_errors=True)
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    say(f"page    {target / 'index.html'}")
    return target / "index.html"


def _last_level(boxes: Sequence[Sequence[float]], say: Callable[[str], None]) -> int:
    last = _DEEPEST
    while last > 8 and count_over(boxes, last) > _MOST_TILES:
        last -= 1
    if last < _DEEPEST:
        say(
            f"level   {last} is the last, so that a layer keeps below {_MOST_TILES} pictures; --max-zoom={_DEEPEST} "
            f"shows 1 m with {count_over(boxes, _DEEPEST)}"
        )
    return last


def _copy_page(folder: pathlib.Path) -> None:
    with resources.as_file(resources.files("jointseg_jax.mapping.viewer").joinpath("static")) as static:
        shutil.copytree(static, folder)


def _layers(
    product: pathlib.Path, tiles: Sequence[TileRow], inputs: Sequence[pathlib.Path], bands: tuple[int, int, int]
) -> list[tuple[str, list[tuple[pathlib.Path, tuple[int, ...]]], Paint]]:
    """Name, rasters with their bands, and how they are painted, of every layer there is."""
    zones = sorted({t.epsg for t in tiles})
    found: list[tuple[str, list[tuple[pathlib.Path, tuple[int, ...]]], Paint]] = []
    if inputs:
        found.append(("input", [(p, bands) for p in inputs], _stretched(inputs, bands)))
    for name, paint in (("impervious", _paint_classes), ("probability", _paint_probability), ("image", None)):
        paths = [p for p in (mosaic_path(product, name, epsg) for epsg in zones) if p.is_file()]
        if paths:
            wanted = (1, 2, 3) if name == "image" else (1,)
            found.append((name, [(p, wanted) for p in paths], paint or _stretched(paths, wanted)))
    return found


def _paint_classes(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    table = np.zeros((256, 4), np.uint8)
    for value, colour in COLORMAP.items():
        table[value] = colour
    return np.where(valid[..., None], table[values[..., 0]], np.uint8(0))


def _paint_probability(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    rgb = colour_probability(values[..., 0] / PROBABILITY_STEPS)
    return np.dstack([rgb, np.where(valid, 255, 0).astype(np.uint8)])


def _stretched(paths: Sequence[pathlib.Path], bands: tuple[int, ...]) -> Paint:
    """One stretch for all rasters of a layer, so that no border shows between them."""
    pixels = []
    for path in paths:
        with open_raster(path) as raster:
            if max(bands) > raster.count:
                raise InputError(
                    f"{path} has {raster.count} bands, of which {list(bands)} are to be shown: see --bands"
                )
        values, valid = read_small(path, bands)
        pixels.append(values[valid & np.isfinite(values).all(-1)].astype(np.float64))
    together = np.concatenate(pixels)
    if not len(together):
        raise InputError(f"{', '.join(map(str, paths))} hold no valid pixel to show")
    limits = stretch_limits(together[None])

    def paint(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        seen = valid & np.isfinite(values).all(-1)
        rgb = stretch(np.where(seen[..., None], values, 0).astype(np.float64), limits)
        return np.dstack([rgb, np.where(seen, 255, 0).astype(np.uint8)])

    return paint


def _table(path: pathlib.Path) -> dict[str, Any]:
    """Columns, rows and boxes of a table of `mapping.zonal`."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        boxes = [[float(r[k]) for k in ("west", "south", "east", "north")] for r in rows]
        own = [c for c in (rows[0] if rows else {}) if c not in ("west", "south", "east", "north", "pixels")]
        return {"columns": own, "rows": [[r[c] for c in own] for r in rows], "boxes": boxes}
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is no table of `python -m jointseg_jax.mapping.zonal` ({error})") from error


def _about(
    product: pathlib.Path,
    tiles: Sequence[TileRow],
    boxes: list[list[float]],
    zooms: tuple[int, int],
    layers: list[dict[str, str]],
    table: dict[str, Any] | None,
) -> dict[str, Any]:
    collection = read_json(product / "collection.json")
    mapped, impervious = sum(t.valid_m2 for t in tiles), sum(t.impervious_m2 for t in tiles)
    west, south, east, north = union_bbox(boxes)
    return {
        "title": collection["title"],
        "description": collection["description"],
        "bounds": [west, south, east if east >= west else east + 360, north],
        "zooms": list(zooms),
        "layers": layers,
        "colours": {str(v): "#" + "".join(f"{c:02x}" for c in rgba[:3]) for v, rgba in COLORMAP.items()},
        "mapped_km2": mapped / 1e6,
        "impervious_km2": impervious / 1e6,
        "tiles": len(tiles),
        "boxes": boxes,
        "table": table,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what was written; returns the exit status."""
    parser = door.Arguments(prog="python -m jointseg_jax.mapping.viewer", description="A page for a product.")
    parser.add_argument("--product", type=pathlib.Path, required=True, help="folder with a collection.json")
    parser.add_argument("--input", type=pathlib.Path, nargs="*", default=[], help="the 10 m rasters it was made of")
    parser.add_argument(
        "--bands", type=door.number(bounds.BAND), nargs=3, default=[1, 2, 3], help="red, green, blue in them"
    )
    parser.add_argument("--table", type=pathlib.Path, help="CSV of jointseg_jax.mapping.zonal")
    parser.add_argument("--max-zoom", type=door.number(bounds.ZOOM), help="17 shows 1 m")

    def work() -> None:
        given = parser.parse_args(arguments)
        red, green, blue = given.bands
        build(given.product, inputs=given.input, bands=(red, green, blue), table=given.table, deepest=given.max_zoom)

    return door.status_of(work)
