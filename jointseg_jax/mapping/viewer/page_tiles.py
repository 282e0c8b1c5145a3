"""The tiles on the page: outlines, figures, scenes and their dates."""

from collections.abc import Sequence
from typing import Any

from jointseg_jax.geo.footprints import footprint
from jointseg_jax.mapping.product.tile_record import TileRow, scene_interval
from jointseg_jax.mapping.viewer.page_table import as_geojson


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
