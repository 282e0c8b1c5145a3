"""Roads: the kinds, how they are laid with their verges and trees, and how they look from above."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.landscape import geometry, trees
from jointseg_jax.landscape.canvas import Canvas, Shape, coverage, rectangles
from jointseg_jax.landscape.materials import Palette
from jointseg_jax.landscape.model import Box, Feature, Landscape
from jointseg_jax.landscape.noise import choose

Numbered = Sequence[tuple[int, Feature]]  # roads with their index in the landscape


@dataclass(frozen=True)
class Kind:
    """How a road is drawn.

    `rank` decides which road lies on top at a junction, 6 is elevated; `left` and `right` are the widths of the
    sidewalks, metres; `traffic` is vehicles per 100 m of lane, `parked` per 100 m of edge.
    """

    surface: str
    rank: int
    left: float = 0.0
    right: float = 0.0
    lanes: int = 0
    edge_lines: bool = False
    two_way: bool = True
    traffic: float = 0.0
    parked: float = 0.0


KINDS = {
    "highway": Kind("asphalt", 6, left=0.6, right=0.6, lanes=3, edge_lines=True, two_way=False, traffic=0.8),
    "arterial": Kind("asphalt", 5, left=0.0, right=3.0, lanes=3, edge_lines=True, two_way=False, traffic=1.1),
    "avenue": Kind("asphalt", 4, left=2.5, right=2.5, lanes=4, traffic=0.8),
    "street": Kind("asphalt", 3, left=1.8, right=1.8, lanes=2, traffic=0.5, parked=1.6),
    "main road": Kind("asphalt", 4, lanes=2, edge_lines=True, traffic=0.6),
    "rural road": Kind("concrete road", 2, traffic=0.12),
    "lane": Kind("concrete road", 1, traffic=0.1, parked=0.3),
    "service": Kind("asphalt", 1, traffic=0.2, parked=1.2),
}
PAINT_WIDTH = 0.5  # metres; real lines are thinner and brighter
CARS = {"white car": 0.36, "dark car": 0.36, "grey car": 0.14, "red car": 0.07, "blue car": 0.07}
TRUCKS = {"white car": 0.5, "blue car": 0.25, "orange box": 0.25}


def lay(
    land: Landscape,
    rng: np.random.Generator,
    line: np.ndarray,
    name: str,
    width: float,
    planted: float | None = None,
    sides: tuple[int, ...] = (-1, 1),
    verge: float = 0.0,
) -> None:
    """Lay a road along a line [n, 2], with a grassy verge and rows of trees.

    `planted` is the distance of the trees from the road's edge, metres, below 0 on the sidewalk; None plants none.
    """
    if verge:
        land.patch(geometry.strip(line, width / 2 + verge), "ridge", rng.uniform(-0.2, 0.4))
    land.road(line, width, name)
    if planted is not None:
        spacing, radius = rng.uniform(5.5, 8.5), rng.uniform(1.7, 2.6)
        for side in sides:
            rows = trees.row(rng, line, side * (width / 2 + planted), spacing, radius, 0.25)
            land.plant(rows, paved=planted < 0)


def clip(line: shapely.LineString, barrier: shapely.Geometry, bridge: float = 0.0) -> list[np.ndarray]:
    """Cut a line out of a barrier; a crossing no longer than `bridge` metres is kept, as a bridge.

    Returns the remaining lines [n, 2], longer than 8 m each.
    """
    ends = shapely.points([line.coords[0], line.coords[-1]])
    # A part at an end of the line is no bridge: it leads nowhere.
    blocked = [
        part
        for part in shapely.get_parts(line.intersection(barrier))
        if part.length > bridge or (shapely.distance(ends, part) < 0.5).any()
    ]
    rest = line.difference(shapely.union_all(blocked).buffer(0.01)) if blocked else line
    return geometry.lines_of(shapely.line_merge(rest) if rest.geom_type != "LineString" else rest, 8.0)


def across_scene(rng: np.random.Generator, shape: tuple[int, int], shift: float, bend: float) -> np.ndarray:
    """Return a wide curve [80, 2] that crosses a scene in a random direction, from outside to outside.

    `shift` is how far it passes from the middle, as a share of the shorter side; `bend` is its rise, as a share of its
    half length.
    """
    reach = 0.62 * np.hypot(*shape)
    frame = geometry.Frame(np.array([shape[1] / 2, shape[0] / 2]), rng.uniform(0, np.pi))
    t = np.linspace(-1, 1, 80)
    return frame.place(np.stack([t * reach, shift * min(shape) + bend * reach * (t**2 - 0.3)], axis=1))


def highway(
    land: Landscape, rng: np.random.Generator, line: np.ndarray, width: float, verge: str, height: float
) -> shapely.Geometry:
    """Lead a highway of two carriageways along a line, `height` metres above ground; return the land it takes."""
    land.patch(geometry.strip(line, 22.0), verge, -0.2)
    for side in (-1, 1):
        land.road(geometry.offset(line, side * (width / 2 + 1.0))[::side], width, "highway", height=height)
        land.plant(trees.row(rng, line, side * 18.0, 6.0, 2.1, 0.2))
    return geometry.strip(line, 22.0)


def kind_of(road: Feature) -> Kind:
    """Return the kind of a road by its name."""
    return KINDS[road.name]


def _carriageway(road: Feature) -> tuple[Kind, np.ndarray, float]:
    """Return a road's kind, the middle of its carriageway [n, 2] and half of the carriageway's width."""
    kind = kind_of(road)
    line = shapely.get_coordinates(road.geometry)
    if kind.left != kind.right:
        line = geometry.offset(line, (kind.left - kind.right) / 2)
    return kind, line, (road.width - kind.left - kind.right) / 2


def _surfaces(roads: Numbered, tones: np.ndarray, palette: Palette) -> list[Shape]:
    """Return sidewalks, then carriageways by rank."""
    layers = []
    for index, road in roads:
        kind, line, half = _carriageway(road)
        tone = float(tones[index % len(tones)])
        if kind.left + kind.right > 0:
            # The rim of an elevated road covers what passes below it; sidewalks give way at every junction.
            elevated = kind.rank >= 6
            look = "bridge deck" if elevated else "sidewalk"
            layers.append((kind.rank - 0.5 if elevated else 0, index, road.area, palette.ink(look, tone)))
        look = "new asphalt" if kind.surface == "asphalt" and tone < -0.55 else kind.surface
        layers.append((kind.rank, index, geometry.strip(line, half), palette.ink(look, tone)))
    return [(area, ink) for _, _, area, ink in sorted(layers, key=lambda layer: layer[:2])]


def _at(grid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the values of a grid at points [n, 2]; 2 outside of it."""
    return np.pad(grid, 1, constant_values=2)[
        tuple(np.clip(np.floor(points[:, ::-1]).astype(int) + 1, 0, np.array(grid.shape) + 1).T)
    ]


def _strokes(line: np.ndarray, shift: float, dash: float, gap: float) -> np.ndarray:
    """Return dashes as rectangles [n, 5] along a line shifted sideways (gap 0 draws it unbroken)."""
    points = geometry.resample(geometry.offset(line, shift), dash + gap)
    middle, delta = (points[1:] + points[:-1]) / 2, np.diff(points, axis=0)
    size = np.broadcast_to([dash + (0.4 if gap == 0 else 0.0), PAINT_WIDTH], (len(middle), 2))
    return np.column_stack([middle, size, np.arctan2(delta[:, 1], delta[:, 0])])


def _markings(roads: Numbered, junction: np.ndarray, palette: Palette) -> list[Shape]:
    """Return the painted lines of roads, interrupted at junctions."""
    lines: dict[tuple[str, float], list[np.ndarray]] = {
        ("white paint", -1.0): [],
        ("white paint", -0.3): [],
        ("yellow paint", -0.3): [],
    }
    edge, dashed, yellow = lines.values()
    for _, road in roads:
        kind, line, half = _carriageway(road)
        for k in range(1, kind.lanes):
            shift = -half + 2 * half * k / kind.lanes
            if kind.two_way and 2 * k == kind.lanes:
                yellow.append(_strokes(line, shift, 6.0, 0.0 if kind.lanes > 2 or kind.edge_lines else 5.0))
            else:
                dashed.append(_strokes(line, shift, 5.0, 8.0))
        if kind.edge_lines:
            edge += [_strokes(line, side * (half - 0.7), 6.0, 0.0) for side in (-1, 1)]
    shapes: list[Shape] = []
    for (look, tone), strokes in lines.items():
        marks = np.concatenate([np.zeros((0, 5)), *strokes])
        marks = marks[_at(junction, marks[:, :2]) < 2]
        shapes += rectangles(marks, [palette.ink(look, tone)] * len(marks))
    return shapes


def _crossings(roads: Numbered, junction: np.ndarray, palette: Palette) -> list[Shape]:
    """Return zebra crossings where roads meet."""
    bars = [np.zeros((0, 5))]
    for _, road in roads:
        kind, middle, half = _carriageway(road)
        if kind.rank >= 6 or kind.lanes < 2:
            continue
        line = geometry.resample(middle, 1.0)
        inside = _at(junction, line) >= 2
        across = np.arange(-half + 0.6, half, 1.3)
        direction = geometry.tangents(line)
        for at in np.flatnonzero(inside[1:] != inside[:-1]).tolist():
            place = at + (-4 if inside[at + 1] else 5)
            if 0 <= place < len(line) and not inside[place]:
                t = direction[place]
                centres = line[place] + across[:, None] * np.array([-t[1], t[0]])
                rest = np.broadcast_to([3.4, 0.55, np.arctan2(t[1], t[0])], (len(across), 3))
                bars.append(np.column_stack([centres, rest]))
    marks = np.concatenate(bars)
    return rectangles(marks, [palette.ink("white paint", -0.4)] * len(marks))


def paint(canvas: Canvas, roads: Numbered, tones: np.ndarray) -> None:
    """Paint sidewalks, carriageways, markings and crossings; `tones` are drawn by a road's index."""
    shape = (canvas.inks.shape[0] // 2, canvas.inks.shape[1] // 2)
    canvas.shapes(_surfaces(roads, tones, canvas.palette))
    canvas.shapes(_markings(roads, coverage([road.area for _, road in roads], shape), canvas.palette))
    large = [(i, road) for i, road in roads if kind_of(road).rank >= 3]
    canvas.shapes(_crossings(large, coverage([road.area for _, road in large], shape), canvas.palette))


def car(rng: np.random.Generator, at: np.ndarray, angle: float, year: int = 0, trucks: float = 0.0) -> Box:
    """Return a car or, at a chance, a truck."""
    tone = rng.uniform(-0.7, 0.9)
    if rng.random() < trucks:
        return Box(at, rng.uniform(8, 13), 2.5, angle, 3.2, choose(rng, TRUCKS), tone, year)
    return Box(at, rng.uniform(4.1, 4.9), 1.8, angle, 1.5, choose(rng, CARS), tone, year)


def traffic(rng: np.random.Generator, road: Feature) -> list[Box]:
    """Return the vehicles on a road, in their lanes, and those parked along its edges."""
    kind, line, half = _carriageway(road)
    s = geometry.arc_length(line)
    lanes = kind.lanes or 2
    middles = -half + (np.arange(lanes) + 0.5) * 2 * half / lanes
    moving = np.repeat(middles, rng.poisson(kind.traffic * s[-1] / 100, lanes))
    parked = np.repeat([1.1 - half, half - 1.1], rng.poisson(kind.parked * s[-1] / 100, 2))
    shift = np.concatenate([moving, parked]) + rng.normal(0, 1, len(moving) + len(parked)) * 0.2
    at = rng.uniform(0, s[-1], len(shift))
    ways = np.column_stack([line, geometry.tangents(line)])
    x, y, tx, ty = (np.interp(at, s, way) for way in ways.T)
    trucks = np.where(np.arange(len(shift)) < len(moving), 0.15 if kind.rank >= 5 else 0.06, 0.0)
    places = zip(np.stack([x - ty * shift, y + tx * shift], axis=1), np.arctan2(ty, tx), trucks, strict=True)
    return [car(rng, place, float(angle), road.year_built, heavy) for place, angle, heavy in places]
