"""Builds the page of a product.

PRODUCT/viewer/index.html    the page; all its files lie beside it, and it requests nothing else
PRODUCT/viewer/layers/       PNG pyramids: the 10 m input and every layer of the product
PRODUCT/viewer/numbers/      the numbers that the page shows under the cursor
"""

import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from jointseg_jax.bounds import flags as bounds
from jointseg_jax.bounds.kinds import Many
from jointseg_jax.geo.antimeridian import bbox
from jointseg_jax.geo.footprints import footprint
from jointseg_jax.mapping.records.read_product import ProductRecord, read_product
from jointseg_jax.mapping.viewer.page_folder import CONTENT, page_folder
from jointseg_jax.mapping.viewer.page_layers import MAP, layers_of
from jointseg_jax.mapping.viewer.page_table import page_table
from jointseg_jax.mapping.viewer.page_tiles import extent, page_tiles
from jointseg_jax.rasters.pictures.pyramid import count_over, runs_in, write_pyramid
from jointseg_jax.storage.files import write_text

FOLDER = "viewer"
_DEEPEST = 17  # about 1 m
_MOST_TILES = 20_000  # per layer at the last level, unless a level is asked for
_LEVELS = 9  # zoom levels below the last; at a lower level a product is a dot


def build(
    product: str | os.PathLike[str],
    *,
    inputs: Sequence[str | os.PathLike[str]] = (),
    bands: tuple[int, int, int] | None = None,
    table: str | os.PathLike[str] | None = None,
    deepest: int | None = None,
    say: Callable[[str], None] = print,
) -> pathlib.Path:
    """Builds the page of a product; replaces an older page once the new one is complete.

    Args:
        product: folder with records.
        inputs: the 10 m rasters that it was made from, in any CRS; the left side of the slider.
        bands: red, green and blue in them, one-based; by default they are found by name.
        table: of `tools.zonal`, .csv; or .gpkg, .geojson or .parquet, whose polygons are drawn.
        deepest: last zoom level; by default 17, or less for a large product.
        say: receives a line for each written part.

    Returns:
        The page.

    Raises:
        InputError: an input is missing or unreadable, or the page's folder holds other files.
    """
    product = pathlib.Path(product)
    table = None if table is None else pathlib.Path(table)
    shown = [pathlib.Path(path) for path in inputs]
    bounds.ZOOM.check("--max-zoom", deepest)
    if bands is not None:
        Many(bounds.BAND).check("--bands", bands)
    record = read_product(product)
    boxes = [bbox(footprint(t.epsg, t.bounds)) for t in record.tiles]
    content = page_table(table, say) if table else None
    last = deepest if deepest is not None else last_level(boxes, say)
    zooms = (max(0, last - _LEVELS), last)
    target = product / FOLDER
    with page_folder(target, [*shown, *([table] if table else [])]) as building:
        layers = []
        for layer in layers_of(product, sorted({t.epsg for t in record.tiles}), record.label, shown, bands, say):
            numbers = building / "numbers" / layer.id if layer.style else None
            pictures = building / "layers" / layer.id
            count = write_pyramid(pictures, layer.sources, boxes, zooms, layer.paint, numbers)
            say(f"layer   {layer.id}: {count} pictures")
            layers.append({**layer.about(), "there": runs_in(pictures)})
        about = json.dumps(_about(record, boxes, zooms, layers, content), ensure_ascii=True, allow_nan=False)
        write_text(building / CONTENT, f"window.PRODUCT = {about};\n")
    say(f"page    {target / 'index.html'}")
    return target / "index.html"


def last_level(boxes: Sequence[Sequence[float]], say: Callable[[str], None], most: int = _MOST_TILES) -> int:
    """The last zoom level of a page: 1 m, or less if a layer would have more than `most` pictures.

    Args:
        boxes: of the tiles: west, south, east, north in degrees.
        say: receives a line if it is less.
        most: pictures.
    """
    last = _DEEPEST
    while last > 8 and count_over(boxes, last) > most:
        last -= 1
    if last < _DEEPEST:
        say(
            f"level   the last zoom level is {last}, to keep a layer below {most} pictures; "
            f"--max-zoom={_DEEPEST} shows 1 m with {count_over(boxes, _DEEPEST)} pictures"
        )
    return last


def _about(
    record: ProductRecord,
    boxes: list[list[float]],
    zooms: tuple[int, int],
    layers: list[dict[str, Any]],
    table: dict[str, Any] | None,
) -> dict[str, Any]:
    mapped, found = sum(t.valid_m2 for t in record.tiles), sum(t.impervious_m2 for t in record.tiles)
    return {
        "title": record.title,
        "description": record.description,
        "label": record.label.name,
        "classes": list(record.label.classes),
        **extent(boxes),
        "zooms": list(zooms),
        "layers": layers,
        "map": MAP,
        "mapped_km2": mapped / 1e6,
        "label_km2": found / 1e6,
        **page_tiles(record.tiles),
        "table": table,
    }
