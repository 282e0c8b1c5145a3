"""Division of land: recursive division into irregular cells, street grids within a cell, and roads cut at barriers."""

from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry

FAR = 1e5  # metres; beyond everything


@dataclass(frozen=True)
class Cut:
    """A straight division line and its level: how many divisions lie above it."""

    line: shapely.LineString
    level: int


def split(
    cell: shapely.Polygon, normal: np.ndarray, at: float
) -> tuple[shapely.Polygon, shapely.Polygon, shapely.Geometry]:
    """Split a convex cell by the line `x @ normal == at`.

    Returns:
        The part below the line, the part above it, and the line inside the cell (empty if they do not meet).
    """
    ends = normal * at + FAR * np.array([[normal[1], -normal[0]], [-normal[1], normal[0]]])
    above = shapely.Polygon([*ends, *(ends[::-1] + FAR * normal)])
    return cell.difference(above), cell.intersection(above), cell.intersection(shapely.LineString(ends))


def extent(cell: shapely.Polygon, direction: np.ndarray) -> tuple[float, float]:
    """Return the range of a cell along a direction [2], metres."""
    at = shapely.get_coordinates(cell) @ direction
    return float(at.min()), float(at.max())


def divide(
    rng: np.random.Generator, cell: shapely.Polygon, area: float, angle: float, jitter: float, level: int = 0
) -> tuple[list[shapely.Polygon], list[Cut]]:
    """Divide a convex cell until its parts are about `area` square metres, across their longer side.

    `angle` is the direction (radians) that the cuts run along or across, `jitter` the standard deviation of each cut's
    direction. Returns the parts and the cuts.
    """
    if cell.area < area * rng.uniform(0.9, 1.9):
        return [cell], []
    turn = np.array([angle, angle + np.pi / 2]) + rng.normal(0, jitter)
    normals = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    sides = [np.ptp(extent(cell, normal)) for normal in normals]
    normal = normals[0] if sides[0] > sides[1] * rng.uniform(0.85, 1.2) else normals[1]
    low, high = extent(cell, normal)
    *parts, line = split(cell, normal, low + rng.uniform(0.38, 0.62) * (high - low))
    cells, cuts = [], [Cut(line, level)]
    for part in parts:
        below, more = divide(rng, part, area, angle, jitter, level + 1)
        cells += below
        cuts += more
    return cells, cuts


def cells_of(
    rng: np.random.Generator, shape: tuple[int, int], area: float, angle: float, jitter: float
) -> tuple[list[shapely.Polygon], list[Cut]]:
    """Divide the land in and around a scene into cells of about `area` square metres, along an angle; see `divide`."""
    height, width = shape
    domain = geometry.Frame(np.array([width / 2, height / 2]), angle)
    return divide(rng, domain.polygon(0, 0, 1.3 * width + 260, 1.3 * height + 260), area, angle, jitter)


def _positions(rng: np.random.Generator, span: tuple[float, float], step: float) -> np.ndarray:
    """Return irregular positions about `step` apart strictly between two ends."""
    weights = rng.uniform(0.75, 1.3, max(1, round((span[1] - span[0]) / step)))
    return span[0] + (span[1] - span[0]) * np.cumsum(weights)[:-1] / weights.sum()


def grid(
    rng: np.random.Generator, cell: shapely.Polygon, angle: float, along: float, across: float, missing: float = 0.15
) -> tuple[list[shapely.Polygon], list[Cut]]:
    """Cut a convex cell into blocks by through streets (level 0) and cross streets (level 1); some are left out.

    `along` and `across` are the sides of a block in metres; `missing` is the chance that a cross street is left out.
    """
    frame = geometry.Frame(np.zeros(2), angle)
    u, v = frame.axis, frame.place((0.0, 1.0))
    stops = _positions(rng, extent(cell, u), along)
    blocks: list[shapely.Polygon] = []
    cuts: list[Cut] = []
    rest = cell
    for at in [*_positions(rng, extent(cell, v), across), np.inf]:
        part = rest
        if np.isfinite(at):
            part, rest, line = split(rest, v, at)
            cuts.append(Cut(line, 0))
        for stop in stops:
            if rng.random() > missing:
                block, later, line = split(part, u, stop)
                if min(block.area, later.area) > 250.0:
                    blocks.append(block)
                    cuts.append(Cut(line, 1))
                    part = later
        blocks.append(part)
    kept = [cut for cut in cuts if cut.line.geom_type == "LineString" and not cut.line.is_empty]
    return [block for block in blocks if block.geom_type == "Polygon" and not block.is_empty], kept


def across_scene(rng: np.random.Generator, shape: tuple[int, int], shift: float, bend: float) -> np.ndarray:
    """Return a wide curve [80, 2] that crosses a scene in a random direction, from outside to outside.

    `shift` is how far it passes from the middle, as a share of the shorter side; `bend` is its rise, as a share of its
    half length.
    """
    reach = 0.62 * np.hypot(*shape)
    frame = geometry.Frame(np.array([shape[1] / 2, shape[0] / 2]), rng.uniform(0, np.pi))
    t = np.linspace(-1, 1, 80)
    return frame.place(np.stack([t * reach, shift * min(shape) + bend * reach * (t**2 - 0.3)], axis=1))


def clip_road(line: shapely.LineString, barrier: shapely.Geometry, bridge: float = 0.0) -> list[np.ndarray]:
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
