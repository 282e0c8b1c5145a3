"""Plane geometry in metres (x right, y down): frames, lines, ribbons, division into cells, and a smooth warp."""

from dataclasses import dataclass

import numpy as np
import shapely

FAR = 1e5  # metres; beyond everything


@dataclass(frozen=True)
class Frame:
    """A local frame: `place` maps local (u, v), metres along and across, to the plane."""

    centre: np.ndarray
    angle: float
    length: float = 1.0
    width: float = 1.0

    @property
    def axis(self) -> np.ndarray:
        """The unit vector [2] along the frame."""
        return np.array([np.cos(self.angle), np.sin(self.angle)])

    @property
    def size(self) -> np.ndarray:
        """Length and width, [2]."""
        return np.array([self.length, self.width])

    @property
    def outline(self) -> shapely.Polygon:
        """The rectangle that the frame spans."""
        return self.polygon(0, 0, self.length, self.width)

    def place(self, points: np.ndarray | tuple) -> np.ndarray:
        """Map local points [..., 2] to the plane."""
        x, y = self.axis
        return self.centre + np.asarray(points, float) @ np.array([[x, y], [-y, x]])

    def line(self, *points: tuple[float, float]) -> np.ndarray:
        """Return local points as a line [n, 2] in the plane."""
        return self.place(np.array(points))

    def polygon(self, u: float, v: float, length: float, width: float, turn: float = 0.0) -> shapely.Polygon:
        """Return a rectangle given by its local centre, sides and turn."""
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (length / 2, width / 2)
        return shapely.Polygon(Frame(self.place((u, v)), self.angle + turn).place(corners))

    def towards(self, angle: float) -> "Frame":
        """Return the frame with the axis that lies closer to `angle` taken as its length."""
        difference = abs((self.angle - angle + np.pi / 2) % np.pi - np.pi / 2)
        if difference <= np.pi / 4:
            return self
        return Frame(self.centre, self.angle + np.pi / 2, self.width, self.length)


def frame_of(polygon: shapely.Geometry) -> Frame:
    """Return the frame of a polygon's smallest rotated rectangle; length is the longer side, 0 if it is empty."""
    ring = shapely.get_coordinates(polygon.minimum_rotated_rectangle) if not polygon.is_empty else np.zeros((0, 2))
    if len(ring) < 4:
        return Frame(ring.mean(axis=0) if len(ring) else np.zeros(2), 0.0, 0.0, 0.0)
    sides = sorted((ring[1] - ring[0], ring[2] - ring[1]), key=lambda side: -np.hypot(*side))
    angle = float(np.arctan2(sides[0][1], sides[0][0]))
    return Frame(ring[:4].mean(axis=0), angle, float(np.hypot(*sides[0])), float(np.hypot(*sides[1])))


def longest_side(cell: shapely.Polygon) -> float:
    """Return the direction of a polygon's longest side, radians."""
    sides = np.diff(shapely.get_coordinates(cell.exterior), axis=0)
    side = sides[int(np.argmax(np.hypot(*sides.T)))]
    return float(np.arctan2(side[1], side[0]))


def arc_length(line: np.ndarray) -> np.ndarray:
    """Return the distance along a line [n, 2] at each of its points, metres."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def resample(line: np.ndarray, step: float) -> np.ndarray:
    """Return the line with points about `step` metres apart, its ends kept."""
    s = arc_length(line)
    at = np.linspace(0.0, s[-1], max(2, round(s[-1] / step) + 1))
    return np.stack([np.interp(at, s, line[:, 0]), np.interp(at, s, line[:, 1])], axis=1)


def chaikin(line: np.ndarray, passes: int = 2) -> np.ndarray:
    """Round the corners of a line [n, 2], its ends kept."""
    for _ in range(passes if len(line) > 2 else 0):
        corners = np.stack([0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]], axis=1)
        line = np.concatenate([line[:1], corners.reshape(-1, 2)[1:-1], line[-1:]])
    return line


def tangents(line: np.ndarray) -> np.ndarray:
    """Return unit tangents [n, 2] of a line."""
    t = np.gradient(line, axis=0)
    return t / np.maximum(np.hypot(t[:, 0], t[:, 1]), 1e-9)[:, None]


def offset(line: np.ndarray, distance: float | np.ndarray) -> np.ndarray:
    """Shift a gently curved line sideways; positive is to the right of its direction as seen on the map (y down)."""
    t = tangents(line)
    return line + np.stack([-t[:, 1], t[:, 0]], axis=1) * np.reshape(distance, (-1, 1))


def ribbon(line: np.ndarray, half_width: np.ndarray) -> shapely.Geometry:
    """Return the area swept along a line with a half width [n] that varies; tight bends stay valid."""
    discs = shapely.buffer(shapely.points(line), half_width, quad_segs=6)
    return shapely.union_all(shapely.convex_hull(shapely.union(discs[:-1], discs[1:])))


def strip(line: np.ndarray, half_width: float, cap: str = "round") -> shapely.Polygon:
    """Return the area within `half_width` of a line [n, 2]."""
    return shapely.LineString(line).buffer(half_width, cap_style=cap)


def polygons_of(geometry: shapely.Geometry, smallest: float = 0.0) -> list[shapely.Polygon]:
    """Return the polygons of any geometry that are larger than `smallest` square metres."""
    return [p for p in shapely.get_parts(geometry) if p.geom_type == "Polygon" and p.area > smallest]


def lines_of(geometry: shapely.Geometry, shortest: float) -> list[np.ndarray]:
    """Return the lines [n, 2] of any geometry that are longer than `shortest` metres."""
    parts = shapely.get_parts(geometry)
    return [shapely.get_coordinates(p) for p in parts if p.geom_type == "LineString" and p.length > shortest]


def blob(
    rng: np.random.Generator, centre: np.ndarray, radius: float, stretch: float = 1.6, turn: float | None = None
) -> shapely.Polygon:
    """Return an irregular rounded shape, such as a pond or a copse, longer by `stretch` along a direction `turn`."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radii = radius * (1 + sum(rng.normal(0, 0.22 / k) * np.cos(k * angles + rng.uniform(0, 6.3)) for k in range(1, 5)))
    points = np.maximum(radii, 0.3 * radius)[:, None] * np.stack([np.cos(angles) * stretch, np.sin(angles)], axis=1)
    return shapely.Polygon(Frame(centre, rng.uniform(0, np.pi) if turn is None else turn).place(points)).buffer(0)


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
    domain = Frame(np.array([width / 2, height / 2]), angle)
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
    frame = Frame(np.zeros(2), angle)
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


class Warp:
    """A smooth displacement of the plane: a few long sine waves, gentle enough to keep it one to one."""

    def __init__(self, rng: np.random.Generator, amplitude: float, wavelength: float, waves: int = 5):
        directions = rng.uniform(0, 2 * np.pi, (2, waves))
        lengths = wavelength * rng.uniform(0.6, 1.6, (2, waves))
        self._k = 2 * np.pi / lengths[..., None] * np.stack([np.cos(directions), np.sin(directions)], axis=-1)
        self._phase = rng.uniform(0, 2 * np.pi, (2, waves))
        self._amplitude = amplitude * np.sqrt(2.0 / waves) * lengths / (1.1 * wavelength)

    def points(self, points: np.ndarray) -> np.ndarray:
        """Displace points [n, 2]."""
        phases = np.einsum("cwd,nd->ncw", self._k, points) + self._phase
        return points + (np.sin(phases) * self._amplitude).sum(axis=-1)

    def __call__(self, geometry: shapely.Geometry) -> shapely.Geometry:
        """Displace a geometry; long sides are densified first so that they bend."""
        return shapely.transform(shapely.segmentize(geometry, 15.0), self.points)
