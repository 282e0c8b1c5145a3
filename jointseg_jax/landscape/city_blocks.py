"""Blocks of land to build on, and rows of buildings: one pattern for housing, old towns, villages and industry."""

from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.landscape import geometry, trees
from jointseg_jax.landscape.geometry import Frame
from jointseg_jax.landscape.model import EARLIEST, Landscape

CONNECTS = 3.0  # metres a lane runs on beyond its block, so that it meets the road outside
GOLDEN = 0.618034
# What share of all that stands in the last year has been built by which year.
GROWTH = {
    "upstream": ((0.42, 2017), (0.62, 2019), (0.83, 2021), (1.0, 2023)),
    "midstream": ((0.70, 2017), (0.81, 2019), (0.91, 2021), (1.0, 2023)),
    "downstream": ((0.925, 2017), (0.955, 2019), (0.98, 2021), (1.0, 2023)),
}


def year_of(region: str, draw: float) -> int:
    """Return the year something is built, from a draw in 0..1."""
    return next(year for share, year in GROWTH[region] if draw <= share)


@dataclass
class Block:
    """A piece of land to build on: its polygon, the year it is built up and how green it is meant to be (0..1).

    A block that `grows` is built up row by row from the earliest year on instead.
    """

    land: Landscape
    polygon: shapely.Polygon
    rng: np.random.Generator
    year: int = EARLIEST
    green: float = 0.5
    grows: bool = False

    def part(self, polygon: shapely.Polygon) -> "Block":
        """Return a part of the block."""
        return Block(self.land, polygon, self.rng, self.year, self.green)

    def frame(self, facing: float | None = None) -> Frame:
        """Return the block's frame, its length turned towards an angle if one is given."""
        frame = geometry.frame_of(self.polygon)
        return frame if facing is None else frame.towards(facing)

    def fits(self, shape: shapely.Geometry, setback: float) -> bool:
        """Whether a shape lies inside of the block with a setback, metres."""
        return bool(self.polygon.buffer(-setback).contains(shape))

    def somewhere(self, count: int, share: float = 0.5) -> np.ndarray:
        """Draw points [count, 2] in the block's frame, within a share of its sides from the middle."""
        frame = self.frame()
        return frame.place(self.rng.uniform(-share, share, (count, 2)) * frame.size)

    def ground(self, look: str, spread: float = 0.4) -> None:
        """Lay the block's ground."""
        tone = float(np.clip(self.rng.normal(0, spread), -1, 1))
        self.land.patch(self.polygon, look, tone, self.frame().angle, 0 if self.grows else self.year)

    def pave(self, shape: shapely.Geometry, name: str, smallest: float = 60.0) -> None:
        """Pave the parts of a shape within the block."""
        for part in geometry.polygons_of(shape.intersection(self.polygon), smallest):
            self.land.paved(part, name, self.year)

    def spans(self, frame: Frame, v: float, depth: float, setback: float) -> list[tuple[float, float]]:
        """Return the intervals [u0, u1] of a frame in which a strip at `v`, `depth` deep, lies inside of the block."""
        half = frame.length / 2 + 5.0
        outside = frame.polygon(0.0, v, 2 * half, depth).difference(self.polygon.buffer(-setback))
        ranges = [geometry.extent(part, frame.axis) for part in shapely.get_parts(outside)]
        origin = float(frame.centre @ frame.axis)
        free, at = [], -half
        for low, high in [*sorted((low - origin, high - origin) for low, high in ranges), (half, half)]:
            if low > at + 4.0:
                free.append((at, low))
            at = max(at, high)
        return free

    def clip(self, line: np.ndarray, shortest: float = 12.0) -> list[np.ndarray]:
        """Clip a line to the block, a little beyond its edge so that it meets the roads around it."""
        return geometry.lines_of(shapely.LineString(line).intersection(self.polygon.buffer(CONNECTS)), shortest)

    def plant(self, spacing: float, radius: tuple[float, float] = (1.4, 3.6), *, paved: bool = False) -> None:
        """Scatter trees about `spacing` metres apart; rendering leaves out those in buildings or on other ground."""
        x0, y0, x1, y1 = self.polygon.bounds
        points = self.rng.uniform((x0, y0), (x1, y1), (int((x1 - x0) * (y1 - y0) / spacing**2), 2))
        points = points[shapely.contains_xy(self.polygon, points[:, 0], points[:, 1])]
        size, hue = self.rng.random((2, len(points)))
        crown = radius[0] + (radius[1] - radius[0]) * size**1.5
        self.land.plant(trees.crowns(points, crown, np.where(hue < 0.15, -0.5, hue)), self.year, paved=paved)


@dataclass(frozen=True)
class Rows:
    """Parallel rows of buildings and the lanes between them; lengths in metres.

    `name` is the buildings' and `plan` their outline, see `_outline`; `depth`, `sizes` and `gap` are their depth, their
    lengths and the gaps in a row; `spacing` lies between rows, and `shade` more per metre of height, where all
    buildings are equally high. `heights` are drawn from. `ground` is a look; `paved` names the pavement, which keeps
    `margin` from the block's edge, and more in green blocks. `lane` is the name and width of the access roads.
    `facing` turns the rows towards an angle; `sway` is how freely buildings are placed and turned; `yards` gives each
    house a yard.
    """

    name: str
    ground: str
    depth: tuple[float, float]
    sizes: tuple[float, ...]
    gap: tuple[float, float]
    spacing: tuple[float, float]
    heights: tuple[float, ...]
    plan: str = "plain"
    shade: float = 0.0
    setback: float = 2.5
    missing: float = 0.06
    paved: str | None = None
    margin: float = 1.0
    lane: tuple[str, float] | None = None
    facing: float | None = None
    sway: float = 0.0
    yards: bool = False


SLABS = Rows(
    "slab", "lawn", (11, 14.5), (28, 40, 52, 66), (7, 14), (5.5, 7), (18, 18, 18, 21, 21, 33, 33, 54), "notched",
    shade=0.72, lane=("service", 6.0), facing=0.0,
)  # fmt: skip
TOWERS = Rows(
    "tower", "lawn", (21, 24), (24, 28), (16, 26), (4, 10), (48, 60, 72, 84), "tower",
    shade=0.35, setback=6.0, lane=("service", 6.0), facing=0.0,
)  # fmt: skip
OLD_TOWN = Rows(
    "old house", "garden", (7.5, 10), (5, 7, 9, 12, 14), (0.25, 0.3), (1.6, 3.2), (3.5, 6.5, 6.5, 9.5),
    setback=0.8, missing=0.22, paved="alley", margin=0.3,
)  # fmt: skip
VILLAS = Rows(
    "villa", "garden", (9, 12), (10, 11.5, 13), (8, 15), (15, 20), (7.5, 9),
    setback=1.5, lane=("lane", 4.0), sway=0.02, yards=True,
)  # fmt: skip
VILLAGE = Rows(
    "house", "garden", (7.2, 9.6), (9.5, 11, 12.5, 14.5), (0.8, 6), (11.5, 14.5), (4.0, 6.8, 6.8, 9.8),
    setback=0.5, lane=("lane", 3.6), facing=0.0, sway=0.05, yards=True,
)  # fmt: skip
INDUSTRY = Rows(
    "factory", "garden", (28, 50), (26, 38, 56, 80, 110), (5, 11), (9, 14), (7, 9, 11, 13),
    setback=5.0, paved="yard", margin=2.0,
)  # fmt: skip
MARKET = Rows(
    "factory", "garden", (12, 20), (70, 110), (8, 12), (9, 13), (6, 7.5, 9), setback=4.0, missing=0.0, paved="yard"
)
TANKS = Rows(
    "tank", "garden", (12, 22), (16, 17), (3, 6), (3, 5), (6, 9, 12), "round", setback=8.0, missing=0.1, paved="yard"
)
OFFICES = Rows(
    "mall", "lawn", (30, 56), (36, 52, 70), (12, 24), (16, 28), (14, 20, 20, 45, 70, 100), "cut",
    setback=5.0, paved="plaza",
)  # fmt: skip
SCHOOL = Rows(
    "school", "lawn", (10, 11), (44, 60), (9, 16), (17, 25), (12, 15, 18), "plain",
    setback=4.0, paved="plaza", margin=2.0, facing=0.0,
)  # fmt: skip
# The outline of a tower is a cross, a square, a slab with a recess or an octagon, within 1 x 1.
TOWER_PLANS = (
    ((-13, -5), (-6, -5), (-6, -10), (6, -10), (6, -5), (13, -5), (13, 5), (6, 5), (6, 9), (-6, 9), (-6, 5), (-13, 5)),
    ((-11, -12), (11, -12), (11, 12), (-11, 12)),
    ((-13, -8), (13, -8), (13, 8), (4, 8), (4, 4), (-4, 4), (-4, 8), (-13, 8)),
    ((-12, -7), (-7, -12), (7, -12), (12, -7), (12, 7), (7, 12), (-7, 12), (-12, 7)),
)


def _outline(plan: str, frame: Frame, variant: float) -> shapely.Polygon:
    """Return the outline of a building that fills a frame; `variant` in 0..1 tells plans of a kind apart."""
    length, depth, whole = frame.length, frame.width, frame.outline
    if plan == "notched":
        # Stairwells are set back on one side.
        count = max(2, round(length / (9 + 5 * variant)))
        bay = length / count
        wells = [
            frame.polygon((k + 0.5) * bay - length / 2, -depth / 2, 0.32 * bay, 3.2).intersection(whole)
            for k in range(count)
        ]
        return whole.difference(shapely.union_all(wells))
    if plan == "tower":
        shape = np.array(TOWER_PLANS[int(variant * len(TOWER_PLANS))], float) / 26
        return shapely.Polygon(frame.place(shape * (length, length)))
    if plan == "round":
        return shapely.Point(frame.centre).buffer(min(length, depth) / 2)
    if plan == "cut" and variant < 0.5:
        return whole.difference(frame.polygon(0.3 * length, 0.3 * depth, 0.45 * length, 0.45 * depth))
    return whole


def yard(land: Landscape, rng: np.random.Generator, frame: Frame, year: int, room: shapely.Geometry) -> None:
    """Lay the yard or the vegetables of a house that fills a frame, on the side of +v, if they fit; at times a shed."""
    depth = rng.uniform(4.5, 6.5)
    middle = (frame.width + depth) / 2
    court = frame.polygon(0, middle, frame.length, depth)
    if rng.random() < 0.72 and room.contains(court):
        land.paved(court, "courtyard", year)
        if rng.random() < 0.5:
            side = rng.choice([-1, 1]) * (frame.length / 2 - 1.8)
            land.building(frame.polygon(side, middle, 3.4, depth - 0.6), 3.0, "shed", year)
    elif rng.random() < 0.6:
        land.patch(court.intersection(room), "vegetables", rng.uniform(-0.8, 0.8), frame.angle)


def _spread(
    rng: np.random.Generator, span: tuple[float, float], style: Rows, smallest: float
) -> list[tuple[float, float]]:
    """Fill an interval with the lengths and gaps of a style; return (centre, length) pairs, centred as a whole."""
    items, at = [], span[0]
    while span[1] - at >= smallest:
        size = float(rng.choice(style.sizes) * rng.uniform(0.85, 1.15))
        if size > span[1] - at - smallest - style.gap[1]:
            size = min(size, span[1] - at)
        items.append((at + size / 2, size))
        at += size + rng.uniform(*style.gap)
    slack = (span[1] - items[-1][0] - items[-1][1] / 2) / 2 if items else 0.0
    return [(centre + slack, size) for centre, size in items]


def rows(block: Block, style: Rows) -> shapely.Geometry:
    """Build up a block with rows of buildings and lanes that lead to one cross lane; return the buildings' area."""
    land, rng, frame = block.land, block.rng, block.frame(style.facing)
    margin = style.margin * (1 + 3.0 * block.green if style.paved and style.margin >= 1 else 1)
    block.ground(style.ground)
    if style.paved:
        block.pave(block.polygon.buffer(-margin, join_style="mitre"), style.paved)
    common, variant, drift = float(rng.choice(style.heights)), rng.random(), rng.random()
    setback = style.setback + (margin if style.paved else 0.0)
    smallest = 0.6 * min(style.sizes)

    def fits(v: float) -> bool:
        return any(high - low > smallest for low, high in block.spans(frame, v, depth, setback))

    depth = rng.uniform(*style.depth)
    while depth > 0.4 * style.depth[0] and not fits(0.0):
        depth *= 0.85
    pitch = depth + rng.uniform(*style.spacing) + style.shade * common
    count = max(1, int((frame.width - 2 * setback - depth) / pitch + 1.2))
    while count > 1 and not fits((count - 1) / 2 * pitch) and not fits((1 - count) / 2 * pitch):
        count -= 1
    cross = rng.uniform(-0.3, 0.3) * frame.length if style.lane else np.inf
    clear = style.lane[1] / 2 + 2.0 if style.lane else 0.0
    bend, wave = rng.normal(0, 60 * style.sway), rng.uniform(28, 60)
    room = block.polygon.buffer(-style.setback)
    shapely.prepare(room)
    built: list[shapely.Polygon] = []
    for number in range(count):
        v = (number - (count - 1) / 2) * pitch
        # A golden sequence spreads the years evenly over the rows.
        begun = year_of(land.region, (drift + GOLDEN * number) % 1.0) if block.grows else block.year
        free = [
            part
            for low, high in block.spans(frame, v, depth, setback)
            for part in ((low, min(high, cross - clear)), (max(low, cross + clear), high))
        ]
        reach = [cross]
        for u, length in [place for span in free for place in _spread(rng, span, style, smallest)]:
            at = (u, v + bend * np.sin(u / wave) + 8 * style.sway * rng.normal())
            shallow = depth * (1.0 if style.shade else rng.uniform(0.84, 1.0))
            own = Frame(frame.place(at), frame.angle + rng.normal(0, style.sway), length, shallow)
            outline = _outline(style.plan, own, variant)
            if rng.random() < style.missing * (0.5 + block.green) or not room.contains(outline):
                continue
            later = block.grows and rng.random() < 0.4
            year = max(begun, year_of(land.region, rng.random())) if later else begun
            height = common if style.shade else float(rng.choice(style.heights))
            land.building(outline, height * rng.uniform(0.92, 1.08), style.name, year)
            if style.yards:
                yard(land, rng, own, year, room)
            built.append(outline)
            reach.append(u)
        if style.lane and len(reach) > 1:
            us = np.linspace(min(reach) - 5, max(reach) + 5, 9)
            beyond = pitch * (0.62 if style.yards else 0.5)
            lane = np.stack([us, v + beyond + bend * np.sin(us / wave)], axis=1)
            for line in block.clip(frame.place(lane)):
                land.road(line, style.lane[1], style.lane[0], begun)
    if style.lane:
        vs = np.linspace(-frame.width / 2 - 6, frame.width / 2 + 6, 9)
        for line in block.clip(frame.place(np.stack([cross + 2 * np.sin(vs / 30), vs], axis=1))):
            land.road(line, style.lane[1], style.lane[0], block.year)
    return shapely.union_all(built)
