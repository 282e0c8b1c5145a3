"""Rivers: a channel that migrates, cuts off its loops and leaves bars behind."""

from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.landscape import geometry
from jointseg_jax.landscape.model import Box, Landscape

# Migration after Howard & Knutson (1984): the rate is a local term minus an upstream-weighted mean of curvature.
LOCAL, UPSTREAM = -1.0, 2.5
FRICTION = 0.35  # how fast the influence of upstream curvature decays, per point of the course
PACE = 0.16  # migration per step at unit rate, in widths
# Hull, cargo and bridge: place along the hull, shares of its length and beam, height (metres), look.
BARGE = ((0.0, 1.0, 1.0, 2.5, "rust"), (0.04, 0.72, 0.7, 2.2, "rust"), (-0.42, 0.1, 0.8, 7.0, "white car"))


@dataclass(frozen=True)
class River:
    """A river's course and what its migration left, all in metres.

    `course` is the centre line [n, 2] in flow direction, `width` its mean width; `area` the water polygon;
    `bars` the sand and gravel between the recent and the present channel.
    """

    course: np.ndarray
    width: float
    area: shapely.Geometry
    bars: shapely.Geometry


def _curvature(line: np.ndarray) -> np.ndarray:
    d1 = np.gradient(line, axis=0)
    d2 = np.gradient(d1, axis=0)
    return (d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]) / np.maximum((d1**2).sum(axis=1), 1e-9) ** 1.5


def _cut_off(line: np.ndarray, width: float) -> np.ndarray:
    """Cut the first loop whose neck is narrow, if there is one."""
    gap = int(5 * width / max(np.hypot(*(line[1] - line[0])), 1e-6)) + 4
    difference = line[:, None, :] - line[None, :, :]
    near = np.triu((difference**2).sum(axis=-1) < (1.1 * width) ** 2, gap)
    if not near.any():
        return line
    start, end = (int(i[0]) for i in np.nonzero(near))
    return np.concatenate([line[: start + 1], line[end:]])


def migrate(rng: np.random.Generator, line: np.ndarray, width: float, steps: int) -> list[np.ndarray]:
    """Let a channel along a line wander; return its courses [n, 2], oldest first and the present one last."""
    line = geometry.resample(line, 0.8 * width)
    s = geometry.arc_length(line) / width
    kick = sum(rng.uniform(0.2, 0.6) * np.sin(2 * np.pi * (s / rng.uniform(7, 20) + rng.random())) for _ in range(5))
    line = geometry.offset(line, width * kick)
    weights = np.exp(-np.arange(16) * FRICTION)
    weights /= weights.sum()
    courses = []
    for _ in range(steps):
        curvature = np.clip(_curvature(line) * width, -0.8, 0.8)
        rate = LOCAL * curvature + UPSTREAM * np.convolve(curvature, weights)[: len(line)]
        # The ends lie far outside of the scene and stay where they are.
        fade = np.minimum(1.0, np.minimum(np.arange(len(line)), np.arange(len(line))[::-1]) / 8.0)
        line = geometry.offset(line, -PACE * width * rate * fade)
        line[1:-1] = 0.02 * line[:-2] + 0.96 * line[1:-1] + 0.02 * line[2:]
        line = geometry.resample(_cut_off(line, width), 0.8 * width)
        courses.append(line)
    return courses


def flow(
    rng: np.random.Generator, shape: tuple[int, int], *, width: float, angle: float, shift: float, wander: int
) -> River:
    """Run a river across a scene.

    Args:
        rng: the generator that is drawn from.
        shape: height and width of the scene, metres.
        width: mean width of the channel, metres.
        angle: direction of flow, radians from x towards y.
        shift: how far to the right of the centre the valley's axis passes, as a share of the scene across the flow.
        wander: steps of migration; about 60 winds gently, 200 meanders.
    """
    frame = geometry.Frame(np.array([shape[1] / 2, shape[0] / 2]), angle)
    across = shift * (abs(shape[0] * np.cos(angle)) + abs(shape[1] * np.sin(angle)))
    reach = np.hypot(*shape) / 2
    axis = frame.line((-reach - 10 * width, across), (reach + 8 * width, across))
    courses = migrate(rng, axis, width, wander)
    window = shapely.box(-200, -200, shape[1] + 200, shape[0] + 200)
    course = geometry.resample(courses[-1], max(4.0, width / 3))
    knots = np.arange(0, len(course) + 6, 6)
    wave = np.interp(np.arange(len(course)), knots, rng.normal(0, 0.11, len(knots)))
    wave += rng.normal(0, 0.02, len(course))
    area = shapely.intersection(geometry.ribbon(course, width / 2 * np.clip(1 + wave, 0.7, 1.4)), window)
    recent = [shapely.LineString(c).buffer(0.47 * width, quad_segs=4) for c in courses[-20:-4:4]]
    bars = shapely.intersection(shapely.difference(shapely.union_all(recent), area.buffer(-1.0)), window)
    return River(course, width, area, bars)


def fill(land: Landscape, rng: np.random.Generator, stream: River, tone: float, threads: int, barges: int) -> None:
    """Lay the water: a paler margin, long threads of clearer or muddier water along the flow, and barges."""
    shallow, deep = stream.area.buffer(-0.03 * stream.width), stream.area.buffer(-0.09 * stream.width)
    for area, paler in ((stream.area, 0.5), (shallow, 0.25), (deep, 0.0)):
        land.flood(area, "river", tone + paler)
    for _ in range(threads):
        start = int(rng.integers(max(1, len(stream.course) - 8)))
        part = stream.course[start : start + int(rng.integers(8, 40))]
        width = 0.012 * stream.width * rng.uniform(0.5, 4.0) * np.sin(np.pi * np.linspace(0.05, 0.95, len(part)))
        side = rng.uniform(-0.38, 0.38) * stream.width
        thread = geometry.ribbon(geometry.offset(part, side + np.linspace(0, 0.08 * stream.width, len(part))), width)
        land.flood(thread.intersection(deep), "river", tone + rng.choice([-0.13, 0.13, 0.25]))
    inside = np.flatnonzero(shapely.contains_xy(land.frame, *stream.course.T))
    heading = geometry.tangents(stream.course)
    for at in rng.choice(inside, min(barges, len(inside) // 6), replace=False):
        frame = geometry.Frame(stream.course[at], float(np.arctan2(*heading[at][::-1])))
        length, across = min(rng.uniform(22, 62), 0.6 * stream.width), rng.uniform(-0.3, 0.3) * stream.width
        beam = length / rng.uniform(5, 6.5)
        for u, share, broad, height, look in BARGE:
            at, tinted = frame.place((u * length, across)), rng.uniform(-0.8, 0.5)
            land.boxes.append(Box(at, share * length, broad * beam, frame.angle, height, look, tinted, afloat=True))
