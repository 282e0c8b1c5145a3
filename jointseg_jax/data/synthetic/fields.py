"""Farmland: parcels and their crops, greenhouses, fish ponds, orchards."""

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, layout
from jointseg_jax.data.synthetic.model import ALWAYS, NEVER, YEARS, Landscape, Patch

# What stands on fields in the season of the image, with weights; a cell of farmland has one crop that dominates.
CROPS: tuple[tuple[str, float], ...] = (
    ("crop", 5.0), ("paddy", 2.0), ("ripe", 2.2), ("young crop", 2.2), ("maize", 2.0), ("ploughed", 2.4),
    ("stubble", 1.6), ("fallow", 1.2), ("vegetables", 1.6), ("soil", 0.5),
)  # fmt: skip
ROTATION = 0.35  # chance that a field bears another crop two years later


def crop(rng: np.random.Generator) -> str:
    """Draw a crop."""
    weights = np.cumsum([w for _, w in CROPS])
    return CROPS[int(np.searchsorted(weights, rng.random() * weights[-1]))][0]


def _sow(
    land: Landscape, rng: np.random.Generator, parcel: shapely.Polygon, angle: float, dominant: str, loyalty: float
) -> None:
    """Give a parcel its crops over the years."""
    start = ALWAYS
    look = dominant if rng.random() < loyalty else crop(rng)
    for year in YEARS[1:]:
        if rng.random() < ROTATION:
            land.patches.append(Patch(parcel, look, angle, float(np.clip(rng.normal(0, 0.5), -1, 1)), start, year))
            look, start = (dominant if rng.random() < loyalty else crop(rng)), year
    land.patches.append(Patch(parcel, look, angle, float(np.clip(rng.normal(0, 0.5), -1, 1)), start, NEVER))


def parcels(rng: np.random.Generator, ring: np.ndarray, style: str, angle: float) -> list[np.ndarray]:
    """Divide a convex ring into parcels: "strips" side by side, a "patchwork", or a few large "farm" fields."""
    if style == "strips":
        cells, _ = layout.grid(rng, ring, angle, rng.uniform(75, 150), rng.uniform(13, 30), missing=0.1)
        return cells
    size = rng.uniform(1100, 3200) if style == "patchwork" else rng.uniform(7000, 16000)
    return layout.divide(rng, ring, size, angle, 0.05 if style == "patchwork" else 0.02)[0]


def farmland(
    land: Landscape, rng: np.random.Generator, ring: np.ndarray, warp: geometry.Warp, keep_dry: shapely.Geometry | None
) -> None:
    """Cover a cell with fields, separated by grassy ridges.

    Fish ponds are dug outside of `keep_dry` only, and nowhere if it is None.
    """
    sides = np.roll(ring, -1, axis=0) - ring
    longest = sides[int(np.argmax(np.hypot(*sides.T)))]
    angle = float(np.arctan2(longest[1], longest[0])) + rng.choice([0.0, np.pi / 2])
    style = str(rng.choice(["strips", "strips", "patchwork", "patchwork", "farm"]))
    kind = rng.random()
    dominant, loyalty = crop(rng), rng.uniform(0.25, 0.75)
    land.patches.append(Patch(warp.ring(ring), "ridge", tone=rng.uniform(-0.3, 0.5)))
    for cell in parcels(rng, ring, style, angle):
        if len(cell) < 3 or geometry.ring_area(cell) < 40:
            continue
        gap = rng.choice([0.3, 0.4, 0.6, 1.0])
        for parcel in geometry.polygons_of(warp.ring(cell).buffer(-gap, join_style="mitre"), 25):
            frame = geometry.frame_of(parcel)
            if kind < 0.07 and frame.width > 12 and rng.random() < 0.85:
                greenhouses(land, rng, parcel, frame)
            elif 0.07 <= kind < 0.15 and keep_dry is not None and frame.width > 12 and not parcel.intersects(keep_dry):
                land.patches.append(Patch(parcel.buffer(1.0), "track", tone=-0.3))
                land.water.append(Patch(parcel.buffer(-2.0), "fish pond", tone=float(rng.uniform(-0.8, 1))))
            elif 0.15 <= kind < 0.22 and rng.random() < 0.8:
                orchard(land, rng, parcel, frame)
            else:
                _sow(land, rng, parcel, frame.angle, dominant, loyalty)


def greenhouses(land: Landscape, rng: np.random.Generator, parcel: shapely.Polygon, frame: geometry.Frame) -> None:
    """Cover a parcel with plastic tunnels side by side; some stand open, the crop showing."""
    land.patches.append(Patch(parcel, "soil", frame.angle, float(rng.uniform(-0.3, 0.8))))
    pitch, body = rng.uniform(8.5, 11.5), rng.uniform(6.0, 8.0)
    tone = rng.uniform(-0.5, 0.6)
    for v in np.arange(-frame.width / 2 + body / 2 + 0.8, frame.width / 2 - body / 2, pitch):
        tunnel = frame.polygon(0, v, frame.length - 3, body).intersection(parcel)
        if rng.random() < 0.14:
            land.patches.append(Patch(tunnel, "vegetables", frame.angle, float(rng.uniform(-0.5, 0.5))))
            continue
        shade = float(np.clip(tone + rng.normal(0, 0.25), -1, 1))
        land.patches.append(Patch(tunnel, "plastic side", frame.angle, shade))
        for u in np.arange(-0.5, 0.5, 0.25):
            sheet = frame.polygon(
                (u + 0.125) * (frame.length - 3), v + 0.1 * body, 0.247 * (frame.length - 3), 0.62 * body
            )
            land.patches.append(
                Patch(
                    sheet.intersection(parcel),
                    "plastic",
                    frame.angle,
                    float(np.clip(shade + rng.normal(0, 0.15), -1, 1)),
                )
            )


def orchard(land: Landscape, rng: np.random.Generator, parcel: shapely.Polygon, frame: geometry.Frame) -> None:
    """Plant fruit trees in rows."""
    land.patches.append(Patch(parcel, "orchard", frame.angle, float(rng.uniform(-0.6, 0.8))))
    row, step = rng.uniform(4.6, 6.5), rng.uniform(3.2, 5.0)
    us = np.arange(-frame.length / 2 + 2, frame.length / 2 - 1, step)
    vs = np.arange(-frame.width / 2 + 2, frame.width / 2 - 1, row)
    local = np.stack(np.meshgrid(us, vs), axis=-1).reshape(-1, 2) + rng.normal(0, 0.25, (len(us) * len(vs), 2))
    points = frame.place(local)
    points = points[shapely.contains_xy(parcel, points[:, 0], points[:, 1]) & (rng.random(len(points)) > 0.06)]
    crown = rng.uniform(1.2, 1.9) * rng.uniform(0.8, 1.15, len(points))
    land.plant(np.column_stack([points, crown, 1.6 * crown + 0.5, rng.uniform(0.1, 0.7, len(points))]))
