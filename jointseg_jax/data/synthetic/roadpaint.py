"""Roads as they look from above: sidewalks, carriageway, markings, vehicles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry, paint
from jointseg_jax.data.synthetic.model import Box, Feature
from jointseg_jax.rasters.burn import burn


@dataclass(frozen=True)
class RoadStyle:
    """How a road is drawn: surface, sidewalks (left and right, metres), lanes, traffic per 100 m of lane, parking."""

    look: str
    rank: int
    left: float = 0.0
    right: float = 0.0
    lanes: int = 0
    edge_lines: bool = False
    two_way: bool = True
    traffic: float = 0.0
    parked: float = 0.0


STYLES: dict[str, RoadStyle] = {
    "highway": RoadStyle("asphalt", 6, left=0.6, right=0.6, lanes=3, edge_lines=True, two_way=False, traffic=0.8),
    "arterial": RoadStyle("asphalt", 5, left=0.0, right=3.0, lanes=3, edge_lines=True, two_way=False, traffic=1.1),
    "avenue": RoadStyle("asphalt", 4, left=2.5, right=2.5, lanes=4, traffic=0.8),
    "street": RoadStyle("asphalt", 3, left=1.8, right=1.8, lanes=2, traffic=0.5, parked=1.6),
    "main road": RoadStyle("asphalt", 4, lanes=2, edge_lines=True, traffic=0.6),
    "rural road": RoadStyle("concrete road", 2, lanes=0, traffic=0.12),
    "lane": RoadStyle("concrete road", 1, lanes=0, traffic=0.1, parked=0.3),
    "service": RoadStyle("asphalt", 1, lanes=0, traffic=0.2, parked=1.2),
}
PAINT_WIDTH = 0.5  # metres; real lines are thinner and brighter
CARS = (("white car", 0.36), ("dark car", 0.36), ("grey car", 0.14), ("red car", 0.07), ("blue car", 0.07))


def style_of(feature: Feature) -> RoadStyle:
    """Return the style of a road by its name."""
    return STYLES.get(feature.name, STYLES["lane"])


def surfaces(roads: Sequence[tuple[int, Feature]], tones: np.ndarray, palette: paint.Palette) -> list[tuple]:
    """Return the shapes of sidewalks, then carriageways by rank: (geometry, ink) in painting order."""
    layers = []
    for index, road in roads:
        style = style_of(road)
        tone = float(tones[index % len(tones)])
        inner = road.width - style.left - style.right
        line = road.geometry
        if style.left + style.right > 0:
            # The rim of an elevated road covers what passes below it; sidewalks give way at every junction.
            look = "bridge deck" if style.rank >= 6 else "sidewalk"
            layers.append((style.rank - 0.5 if style.rank >= 6 else 0, index, road.area(), palette.ink(look, tone)))
            if style.left != style.right:
                points = shapely.get_coordinates(line)
                line = shapely.LineString(geometry.offset(points, (style.left - style.right) / 2))
        look = "new asphalt" if style.look == "asphalt" and tone < -0.55 else style.look
        layers.append((style.rank, index, line.buffer(inner / 2), palette.ink(look, tone)))
    layers.sort(key=lambda layer: (layer[0], layer[1]))
    return [(area, ink) for _, _, area, ink in layers]


def parapets(
    roads: Sequence[tuple[int, Feature]], water: Sequence[shapely.Geometry], palette: paint.Palette
) -> list[tuple]:
    """Return the bright edges of bridges: (geometry, ink)."""
    if not water:
        return []
    ink = palette.ink("bridge deck", 0.7)
    areas = np.array([road.area() for _, road in roads], object)
    shapes = []
    for wet in water:
        for number in np.flatnonzero(shapely.intersects(areas, wet)).tolist():
            road = roads[number][1]
            rim = areas[number].intersection(wet.buffer(5.0)).difference(road.geometry.buffer(road.width / 2 - 0.7))
            shapes.append((rim, ink))
    return [(rim, ink) for rim, ink in shapes if not rim.is_empty]


def overlap(roads: Sequence[tuple[int, Feature]], shape: tuple[int, int]) -> np.ndarray:
    """Return uint8 [height, width]: by how many roads each pixel is covered; 2 and more is a junction."""
    out = np.zeros(shape, np.uint8)
    burn([(road.area(), 1) for _, road in roads], out, add=True)
    return out


def _at(grid: np.ndarray, points: np.ndarray, outside: int) -> np.ndarray:
    rows, cols = np.floor(points[:, 1]).astype(int), np.floor(points[:, 0]).astype(int)
    inside = (rows >= 0) & (rows < grid.shape[0]) & (cols >= 0) & (cols < grid.shape[1])
    out = np.full(len(points), outside, int)
    out[inside] = grid[rows[inside], cols[inside]]
    return out


def _strokes(line: np.ndarray, shift: float, dash: float, gap: float) -> np.ndarray:
    """Return dashes [n, 4]: x, y, angle, length, along a line shifted sideways (gap 0 draws it unbroken)."""
    step = dash + gap
    points = geometry.resample(geometry.offset(line, shift), step)
    if len(points) < 2:
        return np.zeros((0, 4))
    middle, delta = (points[1:] + points[:-1]) / 2, np.diff(points, axis=0)
    length = np.full(len(middle), dash + (0.4 if gap == 0 else 0.0))
    return np.column_stack([middle, np.arctan2(delta[:, 1], delta[:, 0]), length])


def markings(roads: Sequence[tuple[int, Feature]], junction: np.ndarray, palette: paint.Palette) -> list[tuple]:
    """Return the painted lines of roads, interrupted at junctions: (shape, ink)."""
    white: list[np.ndarray] = []
    yellow: list[np.ndarray] = []
    edges: list[np.ndarray] = []
    for _, road in roads:
        style = style_of(road)
        if not style.lanes:
            continue
        line = shapely.get_coordinates(road.geometry)
        half = (road.width - style.left - style.right) / 2
        centre = (style.left - style.right) / 2
        lane = 2 * half / style.lanes
        for k in range(1, style.lanes):
            shift = centre - half + k * lane
            if style.two_way and 2 * k == style.lanes:
                yellow.append(_strokes(line, shift, 6.0, 0.0 if style.lanes > 2 or style.edge_lines else 5.0))
            else:
                white.append(_strokes(line, shift, 5.0, 8.0))
        if style.edge_lines:
            edges += [_strokes(line, centre + side * (half - 0.7), 6.0, 0.0) for side in (-1, 1)]
    shapes = []
    for strokes, look, tone in (
        (edges, "white paint", -1.0),
        (white, "white paint", -0.3),
        (yellow, "yellow paint", -0.3),
    ):
        if not strokes:
            continue
        marks = np.concatenate(strokes)
        marks = marks[_at(junction, marks[:, :2], 2) < 2]
        ink = palette.ink(look, tone)
        shapes += paint.quads(rectangles(marks[:, :2], marks[:, 3], PAINT_WIDTH, marks[:, 2]), [ink] * len(marks))
    return shapes


def crossings(roads: Sequence[tuple[int, Feature]], junction: np.ndarray, palette: paint.Palette) -> list[tuple]:
    """Return zebra crossings and stop lines where roads meet: (shape, ink)."""
    bars: list[np.ndarray] = []
    for _, road in roads:
        style = style_of(road)
        if style.rank >= 6 or style.lanes < 2:
            continue
        line = geometry.resample(shapely.get_coordinates(road.geometry), 1.0)
        inside = _at(junction, line, 2) >= 2
        change = np.flatnonzero(inside[1:] != inside[:-1])
        half = (road.width - style.left - style.right) / 2
        across = np.arange(-half + 0.6, half, 1.3) + (style.left - style.right) / 2
        direction = geometry.tangents(line)
        for at in change.tolist():
            place = at + (-4 if inside[at + 1] else 5)
            if not 0 <= place < len(line) or inside[place]:
                continue
            t = direction[place]
            centres = line[place] + across[:, None] * np.array([-t[1], t[0]])
            angle = np.full(len(across), np.arctan2(t[1], t[0]))
            bars.append(np.column_stack([centres, angle, np.full(len(across), 3.4)]))
    if not bars:
        return []
    marks = np.concatenate(bars)
    ink = palette.ink("white paint", -0.4)
    return paint.quads(rectangles(marks[:, :2], marks[:, 3], 0.55, marks[:, 2]), [ink] * len(marks))


def rectangles(
    centres: np.ndarray, length: np.ndarray | float, width: np.ndarray | float, angle: np.ndarray
) -> np.ndarray:
    """Return the corners [n, 4, 2] of rectangles."""
    u = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.reshape(np.asarray(length) / 2, (-1, 1))
    v = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * np.reshape(np.asarray(width) / 2, (-1, 1))
    return centres[:, None, :] + np.stack([-u - v, u - v, u + v, -u + v], axis=1)


def car(rng: np.random.Generator, x: float, y: float, angle: float, year: int = 0, trucks: float = 0.08) -> Box:
    """Return a car or, at a chance, a truck."""
    draw, tone = rng.random(), rng.uniform(-0.7, 0.9)
    if rng.random() < trucks:
        look = "white car" if draw < 0.5 else ("blue car" if draw < 0.75 else "orange box")
        return Box(x, y, rng.uniform(8, 13), 2.5, angle, 3.2, look, tone, year)
    shares = np.cumsum([share for _, share in CARS])
    look = CARS[int(np.searchsorted(shares, draw * shares[-1]))][0]
    return Box(x, y, rng.uniform(4.1, 4.9), 1.8, angle, 1.5, look, tone, year)


def traffic(rng: np.random.Generator, road: Feature) -> list[Box]:
    """Return the vehicles on a road, in their lanes, and those parked along its edges."""
    style = style_of(road)
    line = shapely.get_coordinates(road.geometry)
    total = float(geometry.arc_length(line)[-1])
    half = (road.width - style.left - style.right) / 2
    centre = (style.left - style.right) / 2
    lanes = style.lanes or 2
    offsets = centre - half + (np.arange(lanes) + 0.5) * 2 * half / lanes
    moving = [(s, 0.3) for s in np.repeat(offsets, rng.poisson(style.traffic * total / 100, lanes))]
    edges = [centre - half + 1.1, centre + half - 1.1]
    parked = [(s, 0.05) for s in np.repeat(edges, rng.poisson(style.parked * total / 100, 2))]
    if not moving and not parked:
        return []
    chosen = moving + parked
    at = rng.uniform(0, total, len(chosen))
    s = geometry.arc_length(line)
    direction = geometry.tangents(line)
    x, y = np.interp(at, s, line[:, 0]), np.interp(at, s, line[:, 1])
    tx, ty = np.interp(at, s, direction[:, 0]), np.interp(at, s, direction[:, 1])
    boxes = []
    for i, (shift, sway) in enumerate(chosen):
        lateral = shift + rng.normal(0, sway)
        heavy = 0.15 if style.rank >= 5 else 0.06
        place = (x[i] - ty[i] * lateral, y[i] + tx[i] * lateral)
        boxes.append(car(rng, *place, float(np.arctan2(ty[i], tx[i])), road.year_built, heavy if sway > 0.1 else 0.0))
    return boxes
