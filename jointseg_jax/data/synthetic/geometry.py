"""Plane geometry in metres (x right, y down): rings, lines, ribbons, frames, and a smooth warp of the plane."""

from dataclasses import dataclass

import numpy as np
import shapely


def rectangle(cx: float, cy: float, length: float, width: float, angle: float) -> np.ndarray:
    """Return the corners [4, 2] of a rectangle whose length points along `angle` (radians, from x towards y)."""
    u = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    v = np.array([-np.sin(angle), np.cos(angle)]) * width / 2
    return np.array([cx, cy]) + np.array([-u - v, u - v, u + v, -u + v])


@dataclass(frozen=True)
class Frame:
    """A local frame: `place` maps local (u, v), metres along and across, to the plane."""

    centre: np.ndarray
    angle: float
    length: float
    width: float

    def place(self, points: np.ndarray) -> np.ndarray:
        """Map local points [..., 2] to the plane."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        points = np.asarray(points, float)
        return self.centre + np.stack(
            [points[..., 0] * cos - points[..., 1] * sin, points[..., 0] * sin + points[..., 1] * cos], axis=-1
        )

    def polygon(self, u: float, v: float, length: float, width: float, turn: float = 0.0) -> shapely.Polygon:
        """Return a rectangle given by its local centre, sides and turn."""
        return shapely.Polygon(self.place(rectangle(u, v, length, width, turn)))


def frame_of(polygon: shapely.Geometry) -> Frame:
    """Return the frame of a polygon's smallest rotated rectangle; length is the longer side, 0 if it is empty."""
    if polygon.is_empty:
        return Frame(np.zeros(2), 0.0, 0.0, 0.0)
    ring = shapely.get_coordinates(polygon.minimum_rotated_rectangle)
    if len(ring) < 4:
        return Frame(np.asarray(polygon.centroid.coords[0]), 0.0, 0.0, 0.0)
    first, second = ring[1] - ring[0], ring[2] - ring[1]
    a, b = float(np.hypot(*first)), float(np.hypot(*second))
    axis = first if a >= b else second
    angle = float(np.arctan2(axis[1], axis[0]))
    return Frame(ring[:4].mean(axis=0), angle, max(a, b), min(a, b))


def turned(frame: Frame, angle: float) -> Frame:
    """Return the frame with the axis that lies closer to `angle` taken as its length."""
    difference = abs((frame.angle - angle + np.pi / 2) % np.pi - np.pi / 2)
    if difference <= np.pi / 4:
        return frame
    return Frame(frame.centre, frame.angle + np.pi / 2, frame.width, frame.length)


def cut_convex(ring: np.ndarray, point: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a convex ring [n, 2] by a line; return the part behind it, the part before it and the cut [2 or 0, 2]."""
    side = (ring - point) @ normal
    behind: list[np.ndarray] = []
    before: list[np.ndarray] = []
    cut: list[np.ndarray] = []
    for i in range(len(ring)):
        a, b, sa, sb = ring[i], ring[(i + 1) % len(ring)], side[i], side[(i + 1) % len(ring)]
        (behind if sa <= 0 else before).append(a)
        if (sa <= 0) != (sb <= 0):
            crossing = a + (b - a) * (sa / (sa - sb))
            behind.append(crossing)
            before.append(crossing)
            cut.append(crossing)
    return np.array(behind), np.array(before), np.array(cut)


def ring_area(ring: np.ndarray) -> float:
    """Return the area of a ring [n, 2] in square metres."""
    if len(ring) < 3:
        return 0.0
    x, y = ring[:, 0], ring[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def arc_length(line: np.ndarray) -> np.ndarray:
    """Return the distance along a line [n, 2] at each of its points, metres."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def resample(line: np.ndarray, step: float) -> np.ndarray:
    """Return the line with points about `step` metres apart, its ends kept."""
    s = arc_length(line)
    count = max(2, round(s[-1] / step) + 1)
    at = np.linspace(0.0, s[-1], count)
    return np.stack([np.interp(at, s, line[:, 0]), np.interp(at, s, line[:, 1])], axis=1)


def chaikin(line: np.ndarray, passes: int = 2) -> np.ndarray:
    """Round the corners of a line [n, 2], its ends kept."""
    for _ in range(passes):
        if len(line) < 3:
            return line
        a = 0.75 * line[:-1] + 0.25 * line[1:]
        b = 0.25 * line[:-1] + 0.75 * line[1:]
        line = np.concatenate([line[:1], np.stack([a, b], axis=1).reshape(-1, 2)[1:-1], line[-1:]])
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
    hulls = shapely.convex_hull(shapely.union(discs[:-1], discs[1:]))
    return shapely.union_all(hulls)


def polygons_of(geometry: shapely.Geometry, smallest: float = 0.0) -> list[shapely.Polygon]:
    """Return the polygons of any geometry that are at least `smallest` square metres."""
    parts = shapely.get_parts(geometry)
    return [p for p in parts if p.geom_type == "Polygon" and p.area > smallest]


class Warp:
    """A smooth displacement of the plane: a few long sine waves, gentle enough to keep it one to one."""

    def __init__(self, rng: np.random.Generator, amplitude: float, wavelength: float, waves: int = 5):
        directions = rng.uniform(0, 2 * np.pi, (2, waves))
        lengths = wavelength * rng.uniform(0.6, 1.6, (2, waves))
        self._k = 2 * np.pi / lengths[..., None] * np.stack([np.cos(directions), np.sin(directions)], axis=-1)
        self._phase = rng.uniform(0, 2 * np.pi, (2, waves))
        self._amplitude = amplitude * np.sqrt(2.0 / waves) * lengths / (1.1 * wavelength)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Displace points [n, 2]."""
        phases = np.einsum("cwd,nd->ncw", self._k, points) + self._phase
        return points + (np.sin(phases) * self._amplitude).sum(axis=-1)

    def ring(self, ring: np.ndarray, step: float = 15.0) -> shapely.Polygon:
        """Displace a ring [n, 2], densified so that long sides bend."""
        closed = np.concatenate([ring, ring[:1]])
        sides = [resample(closed[i : i + 2], step)[:-1] for i in range(len(ring))]
        return shapely.Polygon(self(np.concatenate(sides)))

    def line(self, line: np.ndarray, step: float = 15.0) -> np.ndarray:
        """Displace a line [n, 2], densified so that it bends."""
        return self(resample(line, step))
