"""Blocks people work in: industry, warehouses, shops and offices, and the vehicles that stand there."""

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, homes, layout, roadpaint
from jointseg_jax.data.synthetic.layout import Block
from jointseg_jax.data.synthetic.model import Box, Landscape, Patch

STALL, AISLE = 2.6, 6.5  # metres
TANK_FARMS = 0.05  # share of industrial blocks


def car_park(land: Landscape, block: Block, room: shapely.Polygon, filled: float) -> None:
    """Pave a room as a car park with stalls in double rows, partly filled, and a few trees between them."""
    rng = block.rng
    frame = geometry.frame_of(room)
    land.paved(room, block.year, "car park")
    shapely.prepare(room)
    pitch = 2 * 5.0 + AISLE
    for v in np.arange(-frame.width / 2 + 3.5, frame.width / 2, pitch):
        for side in (-2.6, 2.6):
            us = np.arange(-frame.length / 2 + 3, frame.length / 2 - 2, STALL)
            points = frame.place(np.stack([us, np.full(len(us), v + side)], axis=1))
            inside = shapely.contains_xy(room, points[:, 0], points[:, 1])
            lines = points[inside] + (frame.place(np.array([STALL / 2, 0.0])) - frame.centre)
            for x, y in lines[:: 2 if len(lines) > 40 else 1]:
                line = shapely.Polygon(geometry.rectangle(x, y, 4.6, 0.35, frame.angle + np.pi / 2))
                land.overlays.append(Patch(line, "white paint", tone=-0.6, year=block.year))
            for x, y in points[inside & (rng.random(len(us)) < filled)]:
                land.boxes.append(
                    roadpaint.car(rng, x, y, frame.angle + np.pi / 2 + rng.normal(0, 0.03), block.year, 0.0)
                )
        if rng.random() < 0.5:
            us = np.arange(-frame.length / 2 + 8, frame.length / 2 - 6, rng.uniform(9, 16))
            points = frame.place(np.stack([us, np.full(len(us), v)], axis=1))
            points = points[shapely.contains_xy(room, points[:, 0], points[:, 1])]
            crown = rng.uniform(1.2, 2.2, len(points))
            land.plant(
                np.column_stack([points, crown, 2 * crown + 1, np.full(len(points), 0.4)]), block.year, paved=True
            )


def industry(land: Landscape, block: Block) -> None:
    """Large halls with metal roofs on a concrete yard, trucks, stacks of goods, tanks, a green edge."""
    rng, frame = block.rng, block.frame()
    homes.ground(land, block, "garden")
    margin = 2.0 + 9.0 * block.green
    for part in geometry.polygons_of(block.polygon.buffer(-margin, join_style="mitre"), 80):
        land.paved(part, block.year, "yard")
    if rng.random() < TANK_FARMS:
        tank_farm(land, block, block.polygon.buffer(-margin - 3.0))
        return
    rows = max(1, round(frame.width / rng.uniform(50, 76)))
    depth = (frame.width - 2 * margin) / rows
    outlines: list[shapely.Polygon] = []
    for row in range(rows):
        v = -frame.width / 2 + margin + (row + 0.5) * depth
        width = max(9.0, depth - rng.uniform(11, 17))
        for size_of in (width, 0.6 * width):
            spans = block.row(frame, v, size_of, margin + 3.0)
            if sum(high - low for low, high in spans) > 0.4 * frame.length:
                break
        for span in spans:
            for u, size in layout.spread(rng, span, (26.0, 38.0, 56.0, 80.0, 110.0), (6.0, 15.0), 15.0):
                if rng.random() < 0.93:
                    outlines.append(
                        frame.polygon(u, v + rng.normal(0, 0.6), size, size_of * rng.choice([1.0, 1.0, 0.75]))
                    )
    for outline in outlines:
        land.building(outline, rng.uniform(7, 13), block.year, "factory")
    slabs_of_concrete(land, block, "yard")
    _clutter(land, block, frame, shapely.union_all([o.buffer(2.5) for o in outlines]))
    homes.greenery(land, block, 6.0, 0.5, (1.4, 3.0))


def _clutter(land: Landscape, block: Block, frame: geometry.Frame, halls: shapely.Geometry) -> None:
    """Stand trucks, containers and pallets on what is left of a yard."""
    rng = block.rng
    room = block.polygon.buffer(-6).difference(halls)
    shapely.prepare(room)
    for _ in range(int(block.polygon.area / 900)):
        u, v = rng.uniform(-0.5, 0.5) * frame.length, rng.uniform(-0.5, 0.5) * frame.width
        turn = rng.choice([0.0, np.pi / 2])
        kind = rng.random()
        for k in range(int(rng.integers(2, 8))):
            x, y = frame.place(np.array([u, v]) + (np.array([0, 3.4 * k]) if turn == 0 else np.array([3.4 * k, 0])))
            if not shapely.contains_xy(room, x, y):
                continue
            if kind < 0.4:
                land.boxes.append(roadpaint.car(rng, x, y, frame.angle + turn, block.year, 0.75))
            elif kind < 0.75:
                look = str(rng.choice(["orange box", "blue car", "white car", "machine", "rust"]))
                land.boxes.append(
                    Box(
                        x,
                        y,
                        float(rng.choice([6.1, 12.2])),
                        2.45,
                        frame.angle + turn,
                        2.6,
                        look,
                        rng.uniform(-1, 1),
                        block.year,
                    )
                )
            else:
                land.boxes.append(
                    Box(
                        x,
                        y,
                        rng.uniform(2, 6),
                        rng.uniform(1.5, 3),
                        frame.angle,
                        1.2,
                        "machine",
                        rng.uniform(-1, 1),
                        block.year,
                    )
                )


def containers(land: Landscape, block: Block) -> None:
    """A container yard: stacks in long rows on concrete, lanes between, gantry and sheds."""
    rng, frame = block.rng, block.frame()
    homes.ground(land, block, "dirt")
    land.paved(block.polygon.buffer(-1.0), block.year, "apron")
    room = block.polygon.buffer(-7)
    shapely.prepare(room)
    for v in np.arange(-frame.width / 2 + 8, frame.width / 2 - 6, 22.0):
        for u in np.arange(-frame.length / 2 + 8, frame.length / 2 - 8, 13.0):
            if rng.random() < 0.25:
                continue
            look = str(rng.choice(["orange box", "blue car", "white car", "red car", "orange box", "dark car"]))
            for lane in range(int(rng.integers(2, 6))):
                x, y = frame.place(np.array([u, v + 2.6 * lane]))
                if shapely.contains_xy(room, x, y):
                    pick = (
                        look
                        if rng.random() < 0.5
                        else str(rng.choice(["orange box", "blue car", "white car", "machine"]))
                    )
                    top = 2.6 * int(rng.integers(1, 5))
                    land.boxes.append(Box(x, y, 12.2, 2.45, frame.angle, top, pick, rng.uniform(-1, 1), block.year))


def tank_farm(land: Landscape, block: Block, room: shapely.Geometry) -> None:
    """Stand round tanks on a yard."""
    rng, frame = block.rng, geometry.frame_of(room)
    radius = rng.uniform(5, 11)
    for u in np.arange(-frame.length / 2 + radius + 2, frame.length / 2 - radius, 2.5 * radius):
        for v in np.arange(-frame.width / 2 + radius + 2, frame.width / 2 - radius, 2.5 * radius):
            tank = shapely.Point(frame.place(np.array([u, v]))).buffer(radius)
            if room.contains(tank):
                land.building(tank, rng.uniform(6, 12), block.year, "tank")


def commerce(land: Landscape, block: Block) -> None:
    """A large shop or office block: podium and towers, plaza, car park."""
    rng, frame = block.rng, block.frame()
    homes.ground(land, block, "lawn")
    paved = block.polygon.buffer(-1.0 - 5.0 * block.green, join_style="mitre")
    if paved.is_empty:
        return
    for part in geometry.polygons_of(paved, 60):
        land.paved(part, block.year, "plaza")
    slabs_of_concrete(land, block, "plaza")
    side = float(rng.choice([-1, 1]))
    built = _podium(land, block, frame, side)
    rest = [frame.polygon(-side * (frame.length / 4 + 3) + du, dv, 26, 24) for du in (-17, 19) for dv in (-18, 18)]
    for tower, fits in zip(rest, block.fitting(rest, 5.0), strict=True):
        if fits and not tower.intersects(built.buffer(8)) and rng.random() < 0.6:
            land.building(tower, rng.uniform(40, 110), block.year, "tower")
            built = built.union(tower)
    lot = frame.polygon(-side * frame.length * 0.22, 0, 0.46 * frame.length, 0.8 * frame.width)
    for part in geometry.polygons_of(lot.intersection(block.polygon.buffer(-4)).difference(built.buffer(5)), 350):
        car_park(land, block, part, rng.uniform(0.3, 0.8))
    homes.shops(land, block, 0.4)
    homes.greenery(land, block, 8.0, 0.35)
    entrance = block.rng.uniform(0, 1, (int(block.polygon.area / 220), 2)) - 0.5
    points = frame.place(entrance * (frame.length, frame.width))
    points = points[shapely.contains_xy(block.polygon, points[:, 0], points[:, 1])]
    crown = rng.uniform(1.2, 2.6, len(points))
    land.plant(
        np.column_stack([points, crown, 2 * crown + 1, rng.uniform(0.2, 0.8, len(points))]), block.year, paved=True
    )


def _podium(land: Landscape, block: Block, frame: geometry.Frame, side: float) -> shapely.Polygon:
    """Build the largest of a few podiums that fits; return it, or an empty polygon."""
    rng = block.rng
    for scale in (1.0, 0.85, 0.7, 0.55, 0.4):
        length = frame.length * scale * rng.uniform(0.45, 0.62)
        width = min(frame.width - 12, 95.0) * scale * rng.uniform(0.85, 1.0)
        if length < 14 or width < 12:
            break
        u = side * (frame.length / 2 - length / 2 - 5)
        podium = frame.polygon(u, 0, length, width)
        if not block.fitting([podium], 3.0)[0]:
            continue
        cut = rng.random()
        if cut < 0.3 and width > 34:
            podium = podium.difference(frame.polygon(u, 0, 0.35 * length, 0.3 * width))
        elif cut < 0.6 and width > 30:
            podium = podium.difference(
                frame.polygon(u - side * 0.35 * length, rng.choice([-1, 1]) * 0.35 * width, 0.4 * length, 0.4 * width)
            )
        land.building(podium, rng.uniform(12, 24), block.year, "mall")
        return podium
    return shapely.Polygon()


def slabs_of_concrete(land: Landscape, block: Block, look: str) -> None:
    """Divide a paved block into areas laid at different times, with stains and worn lanes."""
    rng = block.rng
    frame = block.frame()
    cells, _ = layout.divide(
        rng,
        geometry.rectangle(frame.centre[0], frame.centre[1], frame.length, frame.width, frame.angle),
        1500.0,
        frame.angle,
        0.0,
    )
    room = block.polygon.buffer(-2.5 - 9.0 * block.green)
    for cell in cells:
        if rng.random() < 0.6:
            part = shapely.Polygon(cell).intersection(room)
            kind = look if rng.random() < 0.8 else str(rng.choice(["car park", "yard", "alley"]))
            land.overlays.append(Patch(part, kind, frame.angle, float(rng.uniform(-0.7, 0.9)), block.year))


def market(land: Landscape, block: Block) -> None:
    """Long low sheds side by side with service lanes between, as in a wholesale market."""
    rng, frame = block.rng, block.frame()
    homes.ground(land, block, "garden")
    land.paved(block.polygon.buffer(-1.5), block.year, "yard")
    depth, gap = rng.uniform(12, 20), rng.uniform(9, 13)
    outlines = []
    for v in np.arange(-frame.width / 2 + depth / 2 + 5, frame.width / 2 - depth / 2 - 3, depth + gap):
        for span in block.row(frame, v, depth, 4.0):
            for u, size in layout.spread(rng, span, (70.0, 110.0), (8.0, 12.0), 18.0):
                outlines.append(frame.polygon(u, v, size, depth))
    for outline in outlines:
        land.building(outline, rng.uniform(6, 9), block.year, "factory")
    slabs_of_concrete(land, block, "yard")
    _clutter(
        land, block, frame, shapely.union_all([o.buffer(1.5) for o in outlines]) if outlines else shapely.Polygon()
    )
