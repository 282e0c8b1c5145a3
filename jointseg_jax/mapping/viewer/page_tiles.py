"""The tiles on the page: outlines, figures, scenes and their dates."""

from collections.abc import Sequence
from typing import Any

from jointseg_jax.geo.antimeridian import union_bbox
from jointseg_jax.geo.footprints import footprint
from jointseg_jax.mapping.product.tile_record import TileRow, scene_interval
from jointseg_jax.mapping.viewer.page_table import as_geojson

_SPECKS = 0.01  # share of the whole box below which tiles can hardly be seen


def extent(boxes: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """The ground of a page, and what it shows first.

    Args:
        boxes: of the tiles, west, south, east, north in degrees; east is less than west across 180 degrees.

    Returns:
        `bounds` of all tiles; `view`: the same, or the largest tile if the tiles are specks in a large area. East is
        above west, so it may exceed 180.
    """
    bounds = _unrolled(union_bbox(boxes))
    tiles = [_unrolled(box) for box in boxes]
    view = max(tiles, key=_size) if sum(map(_size, tiles)) < _SPECKS * _size(bounds) else bounds
    around = 360.0 if view[0] < bounds[0] - 1e-9 else 0.0
    return {"bounds": bounds, "view": [view[0] + around, view[1], view[2] + around, view[3]]}


def _unrolled(box: Sequence[float]) -> list[float]:
    west, south, east, north = box
    return [west, south, east if east >= west else east + 360, north]


def _size(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def page_tiles(tiles: Sequence[TileRow]) -> dict[str, Any]:
    """The tiles of a product and the scenes that they were mapped from.

    Returns:
        `tiles`: name, outline in degrees, km2 mapped, share of the label (None if nothing was mapped), and index and
        share of its scenes. `scenes`: id, and the days from which and to which it was taken, "" if unknown.
    """
    numbers: dict[str, int] = {}
    scenes: list[dict[str, str]] = []
    found = []
    for tile in tiles:
        used = []
        for scene in tile.scenes:
            name, share = str(scene["id"]), scene.get("share")
            if name not in numbers:
                numbers[name] = len(scenes)
                interval = scene_interval(scene, tile.tile)
                first, last = ("", "") if interval is None else (day.date().isoformat() for day in interval)
                scenes.append({"id": name, "first": first, "last": last})
            used.append([numbers[name], share if isinstance(share, int | float) else None])
        outline = as_geojson(footprint(tile.epsg, tile.bounds).simplify(1e-6))
        about = {"name": tile.tile, "outline": outline, "mapped_km2": tile.valid_m2 / 1e6, "share": tile.share}
        found.append({**about, "scenes": used})
    return {"tiles": found, "scenes": scenes}
