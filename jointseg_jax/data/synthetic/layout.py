"""Dividing land: recursive division into irregular cells, and street grids within a cell."""

from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry

CONNECTS = 3.0  # metres a lane runs on beyond its block, so that it meets the road outside


@dataclass(frozen=True)
class Cut:
    """A straight division line [2, 2] and how many divisions it lies below the first."""

    line: np.ndarray
    level: int


def divide(
    rng: np.random.Generator, ring: np.ndarray, area: float, angle: float, jitter: float = 0.06, level: int = 0
) -> tuple[list[np.ndarray], list[Cut]]:
    """Divide a convex ring until its cells are about `area` square metres, across their longer side.

    Args:
        rng: the generator that is drawn from.
        ring: [n, 2].
        area: the size of a cell.
        angle: the direction (radians) that the cuts run along or across.
        jitter: standard deviation of each cut's direction, radians.
        level: the level of the first cut.

    Returns:
        The cells' rings and the cuts.
    """
    if geometry.ring_area(ring) < area * rng.uniform(0.9, 1.9):
        return [ring], []
    u = np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    extent_u, extent_v = np.ptp(ring @ u), np.ptp(ring @ v)
    normal = u if extent_u > extent_v * rng.uniform(0.85, 1.2) else v
    turn = rng.normal(0, jitter)
    normal = np.array(
        [normal[0] * np.cos(turn) - normal[1] * np.sin(turn), normal[0] * np.sin(turn) + normal[1] * np.cos(turn)]
    )
    low, high = float((ring @ normal).min()), float((ring @ normal).max())
    point = normal * (low + rng.uniform(0.38, 0.62) * (high - low))
    behind, before, chord = geometry.cut_convex(ring, point, normal)
    if len(chord) < 2:
        return [ring], []
    cells, cuts = [], [Cut(chord, level)]
    for part in (behind, before):
        below, more = divide(rng, part, area, angle, jitter, level + 1)
        cells += below
        cuts += more
    return cells, cuts


def _positions(rng: np.random.Generator, low: float, high: float, step: float) -> np.ndarray:
    """Return irregular positions about `step` apart strictly between two ends."""
    count = max(1, round((high - low) / step))
    weights = rng.uniform(0.75, 1.3, count)
    return low + (high - low) * np.cumsum(weights)[:-1] / weights.sum()


def grid(
    rng: np.random.Generator, ring: np.ndarray, angle: float, along: float, across: float, missing: float = 0.15
) -> tuple[list[np.ndarray], list[Cut]]:
    """Cut a convex ring into blocks by streets: through streets, and cross streets of which some are left out.

    `along` and `across` are the block's sides in metres; level 0 are through streets, level 1 cross streets.
    """
    u = np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    strips, cuts, rest = [], [], ring
    for at in _positions(rng, float((ring @ v).min()), float((ring @ v).max()), across):
        chord = geometry.cut_convex(ring, v * at, v)[2]
        strip, rest, _ = geometry.cut_convex(rest, v * at, v)
        if len(chord) == 2 and len(strip) > 2 and len(rest) > 2:
            strips.append(strip)
            cuts.append(Cut(chord, 0))
    strips.append(rest)
    stops = _positions(rng, float((ring @ u).min()), float((ring @ u).max()), along)
    cells = []
    for strip in strips:
        rest = strip
        for at in stops:
            if rng.random() < missing or len(rest) < 3:
                continue
            block, later, chord = geometry.cut_convex(rest, u * at, u)
            if len(chord) == 2 and min(geometry.ring_area(block), geometry.ring_area(later)) > 250.0:
                cells.append(block)
                cuts.append(Cut(chord, 1))
                rest = later
        cells.append(rest)
    return cells, cuts


def across_scene(rng: np.random.Generator, shape: tuple[int, int], shift: float, bend: float) -> np.ndarray:
    """Return a wide curve [80, 2] that crosses a scene in a random direction, from outside to outside.

    `shift` is how far it passes from the middle, as a share of the shorter side; `bend` is its rise, as a share of its
    half length.
    """
    height, width = shape
    angle = rng.uniform(0, np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    normal = np.array([-direction[1], direction[0]])
    reach = 0.62 * np.hypot(height, width)
    t = np.linspace(-1, 1, 80)[:, None]
    middle = np.array([width / 2, height / 2]) + shift * min(shape) * normal
    return middle + t * reach * direction + bend * reach * (t**2 - 0.3) * normal


def clip_roads(lines: list[np.ndarray], barrier: shapely.Geometry, bridge: float = 0.0) -> list[np.ndarray]:
    """Cut lines out of a barrier; a crossing no longer than `bridge` metres is kept, as a bridge.

    Returns the remaining lines [n, 2], at least 8 m long each.
    """
    kept = []
    for line in lines:
        whole = shapely.LineString(line)
        over = [part for part in shapely.get_parts(whole.intersection(barrier)) if part.length > bridge]
        # An end inside of the barrier is no bridge: it leads nowhere.
        ends = [shapely.Point(line[0]), shapely.Point(line[-1])]
        over += [p for p in shapely.get_parts(whole.intersection(barrier)) if any(p.distance(e) < 0.5 for e in ends)]
        rest = whole.difference(shapely.union_all(over).buffer(0.01)) if over else whole
        for part in shapely.get_parts(shapely.line_merge(rest) if rest.geom_type != "LineString" else rest):
            if part.geom_type == "LineString" and part.length > 8.0:
                kept.append(shapely.get_coordinates(part))
    return kept


@dataclass
class Block:
    """A piece of land to build on: its polygon, the year it is built up and how green it is meant to be (0..1)."""

    polygon: shapely.Polygon
    year: int
    green: float
    rng: np.random.Generator

    def frame(self, facing: float | None = None) -> geometry.Frame:
        """Return the block's frame, its length turned towards an angle if one is given."""
        frame = geometry.frame_of(self.polygon)
        return frame if facing is None else geometry.turned(frame, facing)

    def fitting(self, polygons: list[shapely.Polygon], setback: float) -> np.ndarray:
        """Return bool [n]: which polygons lie inside of the block with a setback, metres."""
        room = self.polygon.buffer(-setback) if setback else self.polygon
        shapely.prepare(room)
        return shapely.contains(room, np.array(polygons, object)) if polygons else np.zeros(0, bool)

    def row(self, frame: geometry.Frame, v: float, depth: float, setback: float) -> list[tuple[float, float]]:
        """Return the intervals [u0, u1] of a frame in which a strip at `v`, `depth` deep, lies inside of the block."""
        half = frame.length / 2 + 5.0
        strip = frame.polygon(0.0, v, 2 * half, depth)
        outside = strip.difference(self.polygon.buffer(-setback))
        axis = np.array([np.cos(frame.angle), np.sin(frame.angle)])
        spans = []
        for part in shapely.get_parts(outside):
            u = (shapely.get_coordinates(part) - frame.centre) @ axis
            spans.append((float(u.min()), float(u.max())))
        free, at = [], -half
        for low, high in [*sorted(spans), (half, half)]:
            if low > at + 4.0:
                free.append((at, low))
            at = max(at, high)
        return free

    def lines(self, lines: list[np.ndarray], shortest: float = 12.0) -> list[np.ndarray]:
        """Clip lines to the block, a little beyond its edge so that they meet the roads around it."""
        room = self.polygon.buffer(CONNECTS)
        out = []
        for line in lines:
            for part in shapely.get_parts(shapely.LineString(line).intersection(room)):
                if part.geom_type == "LineString" and part.length > shortest:
                    out.append(shapely.get_coordinates(part))
        return out


def spread(
    rng: np.random.Generator,
    span: tuple[float, float],
    sizes: tuple[float, ...],
    gap: tuple[float, float],
    smallest: float,
) -> list[tuple[float, float]]:
    """Fill an interval with lengths drawn from `sizes`, and gaps; return (centre, length) pairs, centred as a whole."""
    items, at = [], span[0]
    while span[1] - at >= smallest:
        size = float(rng.choice(sizes) * rng.uniform(0.85, 1.15))
        if size > span[1] - at - smallest - gap[1]:
            size = min(size, span[1] - at)
        items.append((at + size / 2, size))
        at += size + rng.uniform(*gap)
    slack = (span[1] - items[-1][0] - items[-1][1] / 2) / 2 if items else 0.0
    return [(centre + slack, size) for centre, size in items]


def pieces(
    ring: shapely.Polygon, taken: shapely.STRtree, areas: np.ndarray, smallest: float = 60.0
) -> list[shapely.Polygon]:
    """Return what is left of a cell after everything that is taken (roads, water) has been cut out, slivers removed."""
    near = taken.query(ring, predicate="intersects")
    left = ring.difference(shapely.union_all(areas[near])) if len(near) else ring
    opened = left.buffer(-1.5, quad_segs=2).buffer(1.5, quad_segs=2)
    return geometry.polygons_of(opened, smallest)
