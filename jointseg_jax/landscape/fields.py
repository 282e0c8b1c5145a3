"""Farmland: parcels and their crops, greenhouses, fish ponds, orchards."""

from itertools import pairwise

import numpy as np
import shapely

from jointseg_jax.landscape import geometry, trees
from jointseg_jax.landscape.geometry import Frame
from jointseg_jax.landscape.model import ALWAYS, NEVER, YEARS, Landscape, Patch
from jointseg_jax.landscape.noise import choose

# What stands on fields in the season of the image, with weights; a cell of farmland has one crop that dominates.
CROPS = {
    "crop": 5.0, "paddy": 2.0, "ripe": 2.2, "young crop": 2.2, "maize": 2.0, "ploughed": 2.4,
    "stubble": 1.6, "fallow": 1.2, "vegetables": 1.6, "soil": 0.5,
}  # fmt: skip
ROTATION = 0.35  # chance that a field bears another crop two years later


def _tone(rng: np.random.Generator, around: float = 0.0, spread: float = 0.5) -> float:
    return float(np.clip(rng.normal(around, spread), -1, 1))


def _sow(
    land: Landscape, rng: np.random.Generator, parcel: shapely.Polygon, angle: float, dominant: str, loyalty: float
) -> None:
    """Give a parcel its crops over the years."""
    changes = [ALWAYS, *(year for year in YEARS[1:] if rng.random() < ROTATION), NEVER]
    for since, until in pairwise(changes):
        look = dominant if rng.random() < loyalty else choose(rng, CROPS)
        land.patches.append(Patch(parcel, look, angle, _tone(rng), since, until))


def _parcels(rng: np.random.Generator, cell: shapely.Polygon, angle: float) -> list[shapely.Polygon]:
    """Divide a convex cell into strips side by side, a patchwork, or a few large fields."""
    style = rng.random()
    if style < 0.4:
        return geometry.grid(rng, cell, angle, rng.uniform(75, 150), rng.uniform(13, 30), missing=0.1)[0]
    size = rng.uniform(1100, 3200) if style < 0.8 else rng.uniform(7000, 16000)
    return geometry.divide(rng, cell, size, angle, 0.04)[0]


def farmland(
    land: Landscape,
    rng: np.random.Generator,
    cell: shapely.Polygon,
    warp: geometry.Warp,
    keep_dry: shapely.Geometry | None,
) -> None:
    """Cover a cell with fields, separated by grassy ridges.

    Fish ponds are dug outside of `keep_dry` only, and nowhere if it is None.
    """
    angle = geometry.longest_side(cell) + rng.choice([0.0, np.pi / 2])
    kind, dominant, loyalty = rng.random(), choose(rng, CROPS), rng.uniform(0.25, 0.75)
    land.patch(warp(cell), "ridge", rng.uniform(-0.3, 0.5))
    for ring in _parcels(rng, cell, angle):
        gap = rng.choice([0.3, 0.4, 0.6, 1.0])
        for parcel in geometry.polygons_of(warp(ring).buffer(-gap, join_style="mitre"), 25):
            frame = geometry.frame_of(parcel)
            if kind < 0.07 and frame.width > 12 and rng.random() < 0.85:
                _greenhouses(land, rng, parcel, frame)
            elif 0.07 <= kind < 0.15 and keep_dry is not None and frame.width > 12 and not parcel.intersects(keep_dry):
                land.patch(parcel.buffer(1.0), "track", -0.3)
                land.flood(parcel.buffer(-2.0), "fish pond", rng.uniform(-0.8, 1))
            elif 0.15 <= kind < 0.22 and rng.random() < 0.8:
                _orchard(land, rng, parcel, frame)
            else:
                _sow(land, rng, parcel, frame.angle, dominant, loyalty)


def _greenhouses(land: Landscape, rng: np.random.Generator, parcel: shapely.Polygon, frame: Frame) -> None:
    """Cover a parcel with plastic tunnels side by side; some stand open, the crop showing."""
    land.patch(parcel, "soil", rng.uniform(-0.3, 0.8), frame.angle)
    pitch, body, tone = rng.uniform(8.5, 11.5), rng.uniform(6.0, 8.0), rng.uniform(-0.5, 0.6)
    length = frame.length - 3
    for v in np.arange(-frame.width / 2 + body / 2 + 0.8, frame.width / 2 - body / 2, pitch):
        tunnel = frame.polygon(0, v, length, body).intersection(parcel)
        if rng.random() < 0.14:
            land.patch(tunnel, "vegetables", rng.uniform(-0.5, 0.5), frame.angle)
            continue
        shade = _tone(rng, tone, 0.25)
        land.patch(tunnel, "plastic side", shade, frame.angle)
        for u in (-0.375, -0.125, 0.125, 0.375):
            sheet = frame.polygon(u * length, v + 0.1 * body, 0.247 * length, 0.62 * body).intersection(parcel)
            land.patch(sheet, "plastic", _tone(rng, shade, 0.15), frame.angle)


def _orchard(land: Landscape, rng: np.random.Generator, parcel: shapely.Polygon, frame: Frame) -> None:
    """Plant fruit trees in rows."""
    land.patch(parcel, "orchard", rng.uniform(-0.6, 0.8), frame.angle)
    us = np.arange(-frame.length / 2 + 2, frame.length / 2 - 1, rng.uniform(3.2, 5.0))
    vs = np.arange(-frame.width / 2 + 2, frame.width / 2 - 1, rng.uniform(4.6, 6.5))
    local = np.stack(np.meshgrid(us, vs), axis=-1).reshape(-1, 2)
    points = frame.place(local + rng.normal(0, 0.25, local.shape))
    points = points[shapely.contains_xy(parcel, *points.T) & (rng.random(len(points)) > 0.06)]
    crown = rng.uniform(1.2, 1.9) * rng.uniform(0.8, 1.15, len(points))
    land.plant(trees.crowns(points, crown, rng.uniform(0.1, 0.7, len(points)), 1.4))
