"""Blocks people live in: slabs, towers, the old town, villas."""

from itertools import pairwise

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, layout
from jointseg_jax.data.synthetic.layout import Block
from jointseg_jax.data.synthetic.model import Landscape, Patch


def greenery(
    land: Landscape, block: Block, spacing: float, share: float, radius: tuple[float, float] = (1.4, 3.6)
) -> None:
    """Scatter trees over a block's open ground; buildings and pavement push them aside when the scene is drawn."""
    x0, y0, x1, y1 = block.polygon.bounds
    count = int((x1 - x0) * (y1 - y0) / spacing**2 * share)
    points = block.rng.uniform((x0, y0), (x1, y1), (count, 2))
    inside = shapely.contains_xy(block.polygon, points[:, 0], points[:, 1])
    points = points[inside]
    size = block.rng.random(len(points))
    crown = radius[0] + (radius[1] - radius[0]) * size**1.5
    hue = np.where(block.rng.random(len(points)) < 0.15, -0.5, block.rng.uniform(0.1, 0.95, len(points)))
    land.plant(np.column_stack([points, crown, 2.0 * crown + 1, hue]), block.year)


def ground(land: Landscape, block: Block, look: str, spread: float = 0.4) -> None:
    """Lay the block's ground from the year it is built, bare soil for two years before."""
    tone = float(np.clip(block.rng.normal(0, spread), -1, 1))
    land.patches.append(Patch(block.polygon, look, block.frame().angle, tone, block.year))


def _slab_outline(
    frame: geometry.Frame, u: float, v: float, length: float, depth: float, bay: float
) -> shapely.Polygon:
    """Return a slab's outline: straight on one side, notched by stairwells on the other."""
    count = max(2, round(length / bay))
    xs = np.linspace(-length / 2, length / 2, count + 1)
    notch = 1.6
    top = []
    for a, b in pairwise(xs):
        mid, half = (a + b) / 2, 0.16 * (b - a)
        top += [
            (a, -depth / 2),
            (mid - half, -depth / 2),
            (mid - half, -depth / 2 + notch),
            (mid + half, -depth / 2 + notch),
            (mid + half, -depth / 2),
        ]
    outline = np.array([*top, (length / 2, -depth / 2), (length / 2, depth / 2), (-length / 2, depth / 2)])
    return shapely.Polygon(frame.place(outline + np.array([u, v])))


def slabs(land: Landscape, block: Block) -> None:
    """Apartment slabs in rows facing south, access lanes between them, lawns, parked cars and trees."""
    rng, frame = block.rng, block.frame(0.0)
    ground(land, block, "lawn")
    floors = int(rng.choice([6, 6, 6, 7, 7, 11, 11, 18]))
    height, depth = 3.0 * floors, rng.uniform(11, 14.5)
    pitch = depth + 5.5 + 0.72 * height
    count = max(1, int((frame.width - 8) / pitch + 0.35))
    start = -(count - 1) / 2 * pitch
    typical, bay = rng.uniform(30, 62), rng.uniform(9, 14)
    lane_width = 4.5 + 4.0 * (1 - block.green)
    side = rng.choice([-0.46, 0.46]) * frame.length
    outlines = []
    for row in range(count):
        v = start + row * pitch
        for low, high in block.row(frame, v, depth + 1.0, 3.5):
            # The lane along one side interrupts the rows.
            free = [(low, min(high, side - lane_width / 2 - 2)), (max(low, side + lane_width / 2 + 2), high)]
            for span in free:
                sizes = (0.7 * typical, typical, typical, 1.3 * typical)
                for u, length in layout.spread(rng, span, sizes, (7.0, 14.0), 17.0):
                    outlines.append(_slab_outline(frame, u, v, length, depth, bay))
    for outline, fits in zip(outlines, block.fitting(outlines, 2.5), strict=True):
        if fits:
            land.building(outline, height + rng.choice([0, 0, 0, 3]), block.year, "slab")
    rows = [start + (k - 0.5) * pitch + rng.normal(0, 0.6) for k in range(1, count)] or [start - depth / 2 - 6]
    lines = [frame.place(np.array([[-frame.length, v], [frame.length, v]])) for v in rows]
    lines.append(frame.place(np.array([[side, -frame.width], [side, frame.width]])))
    for line in block.lines(lines):
        land.road(geometry.resample(line, 12.0), lane_width, block.year, "service")
    _amenities(land, block, frame, rows)
    greenery(land, block, 7.0, 0.5 + 0.4 * block.green)


def _amenities(land: Landscape, block: Block, frame: geometry.Frame, rows: list[float]) -> None:
    """Add small squares, playgrounds and footpaths to a housing estate."""
    rng = block.rng
    for _ in range(int(rng.integers(1, 4))):
        u, v = rng.uniform(-0.42, 0.42) * frame.length, rng.choice(rows) + rng.choice([-1, 1]) * rng.uniform(7, 10)
        size = rng.uniform(6, 12)
        square = (
            frame.polygon(u, v, 1.4 * size, size)
            if rng.random() < 0.6
            else shapely.Point(frame.place(np.array([u, v]))).buffer(size / 2)
        )
        if block.fitting([square], 2.0)[0]:
            land.paved(square, block.year, str(rng.choice(["plaza", "plaza", "court", "running track"])))
    for v in rows:
        for u in np.arange(-0.45 * frame.length, 0.45 * frame.length, rng.uniform(24, 38)):
            line = frame.place(np.array([[u, v], [u, v + 9.0]]))
            path = shapely.LineString(line).buffer(0.9, cap_style="flat")
            if block.fitting([path], 1.0)[0] and rng.random() < 0.55 + 0.4 * (1 - block.green):
                land.paved(path, block.year, "path")


# Outlines of towers, metres: a cross, a square, a slab with a recess, an octagon.
TOWER_PLANS = (
    ((-13, -5), (-6, -5), (-6, -10), (6, -10), (6, -5), (13, -5), (13, 5), (6, 5), (6, 9), (-6, 9), (-6, 5), (-13, 5)),
    ((-10.5, -10.5), (10.5, -10.5), (10.5, 10.5), (-10.5, 10.5)),
    ((-15, -7), (15, -7), (15, 7), (4, 7), (4, 4), (-4, 4), (-4, 7), (-15, 7)),
    ((-11, -7), (-7, -11), (7, -11), (11, -7), (11, 7), (7, 11), (-7, 11), (-11, 7)),
)
RING = 8.0  # metres from the edge of a block of towers to its lane


def towers(land: Landscape, block: Block) -> None:
    """Point towers in a garden with winding paths, and a lane around it."""
    rng, frame = block.rng, block.frame(0.0)
    ground(land, block, "lawn")
    plan = np.array(TOWER_PLANS[int(rng.integers(len(TOWER_PLANS)))], float)
    height = rng.uniform(48, 90)
    step_u, step_v = rng.uniform(38, 50), rng.uniform(44, 58)
    outlines = []
    for row, v in enumerate(np.arange(-frame.width / 2 + 20, frame.width / 2 - 12, step_v)):
        for u in np.arange(-frame.length / 2 + 22 + (row % 2) * step_u / 2, frame.length / 2 - 14, step_u):
            outlines.append(shapely.Polygon(frame.place(plan + np.array([u, v]))))
    for outline, fits in zip(outlines, block.fitting(outlines, RING + 5.0), strict=True):
        if fits:
            land.building(outline, height * rng.uniform(0.85, 1.1), block.year, "tower")
    inner = block.polygon.buffer(-RING - 8.0).buffer(8.0)
    for part in geometry.polygons_of(inner, 400):
        ring = geometry.chaikin(geometry.resample(shapely.get_coordinates(part.exterior), 9.0), 2)
        land.road(ring, 5.0 + 2.0 * (1 - block.green), block.year, "service")
        gate = ring[len(ring) // 3]
        out = (gate - np.asarray(part.centroid.coords[0])) / max(np.hypot(*(gate - part.centroid.coords[0])), 1e-6)
        for line in block.lines([np.stack([gate, gate + 40.0 * out])], 4.0)[:1]:
            land.road(line, 7.0, block.year, "service")
        winding_paths(land, block, part.buffer(-4.0))
    greenery(land, block, 6.5, 0.7)


def winding_paths(land: Landscape, block: Block, room: shapely.Polygon) -> None:
    """Lay footpaths that wind between points inside a room, and a small square where they begin."""
    rng = block.rng
    x0, y0, x1, y1 = room.bounds
    stops = rng.uniform((x0, y0), (x1, y1), (max(3, int(room.area / 2500) + 3), 2))
    stops = stops[np.argsort(stops @ rng.normal(0, 1, 2))]
    path = geometry.chaikin(stops + rng.normal(0, 4, stops.shape), 3)
    walk = shapely.LineString(path).buffer(1.3).intersection(room)
    for part in geometry.polygons_of(walk, 20):
        land.paved(part, block.year, "path")
    square = shapely.Point(stops[len(stops) // 2]).buffer(rng.uniform(5, 9))
    if room.contains(square):
        land.paved(square, block.year, "plaza")


def shops(land: Landscape, block: Block, share: float) -> None:
    """Line some of the block's sides with low buildings that face the street."""
    rng = block.rng
    ring = shapely.get_coordinates(block.polygon.exterior.simplify(2.0))
    depth = rng.uniform(9, 14)
    outlines = []
    for a, b in pairwise(ring):
        length = float(np.hypot(*(b - a)))
        if length < 34 or rng.random() > share:
            continue
        t = (b - a) / length
        normal = np.array([-t[1], t[0]])
        if not block.polygon.contains(shapely.Point((a + b) / 2 + normal * 2)):
            normal = -normal
        at = 6.0
        while at < length - 16:
            size = min(rng.uniform(14, 46), length - 6 - at)
            centre = a + t * (at + size / 2) + normal * (depth / 2 + 2.2)
            outlines.append(
                shapely.Polygon(geometry.rectangle(centre[0], centre[1], size, depth, float(np.arctan2(t[1], t[0]))))
            )
            at += size + rng.choice([0.6, 0.6, 4.0, 9.0])
    for outline, fits in zip(outlines, block.fitting(outlines, 1.2), strict=True):
        if fits:
            land.building(outline, rng.uniform(5, 13), block.year, "block")


def old_town(land: Landscape, block: Block) -> None:
    """Rows of small houses wall to wall, narrow alleys and courts, the ground almost wholly paved."""
    rng, frame = block.rng, block.frame()
    ground(land, block, "garden")
    land.paved(block.polygon.buffer(-0.3), block.year, "alley")
    depth, alley = rng.uniform(7.5, 10.0), rng.uniform(1.6, 3.2)
    v, outlines, heights = -frame.width / 2 + depth / 2 + 0.8, [], []
    while v < frame.width / 2 - 3:
        for low, high in block.row(frame, v, 0.7 * depth, 0.8):
            u = low + rng.uniform(0.2, 2.0)
            while u < high - 4.5:
                size = min(rng.uniform(5.0, 14.0), high - u)
                if rng.random() > 0.07 + 0.2 * block.green:
                    d = depth * rng.uniform(0.82, 1.0)
                    outlines.append(
                        frame.polygon(u + size / 2, v + rng.uniform(-0.5, 0.5) * (depth - d), size - 0.25, d)
                    )
                    heights.append(rng.choice([3.5, 6.5, 6.5, 9.5]) + rng.uniform(-0.5, 0.8))
                u += size + (0.0 if rng.random() < 0.75 else rng.uniform(1.5, 5.0))
        v += depth + alley + (rng.uniform(2, 6) if rng.random() < 0.15 else 0.0)
    for outline, height, fits in zip(outlines, heights, block.fitting(outlines, 0.7), strict=True):
        if fits:
            land.building(outline, height, block.year, "old house")
    x0, y0, x1, y1 = block.polygon.bounds
    count = int(block.polygon.area / 260 * (0.6 + block.green))
    points = rng.uniform((x0, y0), (x1, y1), (count, 2))
    points = points[shapely.contains_xy(block.polygon, points[:, 0], points[:, 1])]
    crown = rng.uniform(1.2, 3.0, len(points))
    land.plant(
        np.column_stack([points, crown, 2.2 * crown + 2, rng.uniform(0.2, 0.9, len(points))]), block.year, paved=True
    )


def villas(land: Landscape, block: Block) -> None:
    """Detached houses with gardens on both sides of lanes."""
    rng, frame = block.rng, block.frame()
    ground(land, block, "garden")
    pitch, plot = rng.uniform(46, 56), rng.uniform(17, 24)
    lanes = np.arange(-frame.width / 2 + pitch / 2, frame.width / 2 - pitch / 4, pitch)
    if not len(lanes):
        lanes = np.array([0.0])
    bend = rng.uniform(-5, 5)
    us = np.linspace(-frame.length / 2 - 6, frame.length / 2 + 6, 14)
    lines = [frame.place(np.stack([us, v + bend * np.cos(us / 45.0)], axis=1)) for v in lanes]
    for line in block.lines(lines):
        land.road(geometry.resample(line, 10.0), 5.5, block.year, "lane")
    outlines, drives = [], []
    for v in lanes:
        for side in (-1, 1):
            for u in np.arange(-frame.length / 2 + plot / 2 + 3, frame.length / 2 - plot / 2, plot):
                centre = v + bend * np.cos(u / 45.0)
                length, depth = rng.uniform(9.5, 13.5), rng.uniform(9, 12)
                back = 5.5 + depth / 2 + rng.uniform(1.5, 4)
                outlines.append(
                    frame.polygon(u + rng.normal(0, 0.5), centre + side * back, length, depth, rng.normal(0, 0.02))
                )
                drives.append(frame.polygon(u + length / 2 - 2.0, centre + side * 5.5, 3.4, 7.0))
    fits = block.fitting(outlines, 1.5)
    for outline, drive, ok in zip(outlines, drives, fits, strict=True):
        if not ok:
            continue
        land.building(outline, rng.uniform(6.5, 9.5), block.year, "villa")
        if rng.random() < 0.85 and block.polygon.contains(drive):
            land.paved(drive, block.year, "yard")
        if rng.random() < 0.16:
            x, y = outline.centroid.coords[0] + rng.normal(0, 1, 2) * 11
            pool = shapely.Polygon(geometry.rectangle(x, y, 8.0, 4.0, frame.angle))
            if block.polygon.contains(pool) and not pool.intersects(outline.buffer(1)):
                land.patches.append(Patch(pool, "pool", year=block.year))
    greenery(land, block, 6.0, 0.6, (1.2, 3.2))
