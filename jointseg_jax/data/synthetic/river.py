"""Rivers: a channel that migrates, cuts off its loops, and leaves oxbow lakes, bars and old courses behind."""

from dataclasses import dataclass

import numpy as np
import shapely

from jointseg_jax.data.synthetic import geometry
from jointseg_jax.data.synthetic.model import Box, Patch

# Migration after Howard & Knutson (1984): the rate is a local term minus an upstream-weighted mean of curvature.
LOCAL, UPSTREAM = -1.0, 2.5
FRICTION = 0.35  # how fast the influence of upstream curvature decays, per point of the course
PACE = 0.16  # migration per step at unit rate, in widths


@dataclass(frozen=True)
class River:
    """A river's course and what its migration left, all in metres.

    `course` is the centre line [n, 2] in flow direction, `width` its mean width; `area` the water polygon;
    `bars` the sand and gravel between the recent and the present channel; `lakes` the oxbows; `scars` old courses.
    """

    course: np.ndarray
    width: float
    area: shapely.Geometry
    bars: shapely.Geometry
    lakes: tuple[shapely.Geometry, ...] = ()
    scars: tuple[np.ndarray, ...] = ()


def _curvature(line: np.ndarray) -> np.ndarray:
    d1 = np.gradient(line, axis=0)
    d2 = np.gradient(d1, axis=0)
    return (d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]) / np.maximum((d1**2).sum(axis=1), 1e-9) ** 1.5


def _cut_off(line: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Cut the first loop whose neck is narrow; return the new line and the loop, if there was one."""
    gap = int(5 * width / max(np.hypot(*(line[1] - line[0])), 1e-6)) + 4
    difference = line[:, None, :] - line[None, :, :]
    near = np.triu((difference**2).sum(axis=-1) < (1.1 * width) ** 2, gap)
    if not near.any():
        return line, None
    start, end = (int(i[0]) for i in np.nonzero(near))
    return np.concatenate([line[: start + 1], line[end:]]), line[start : end + 1]


def migrate(
    rng: np.random.Generator, start: np.ndarray, end: np.ndarray, width: float, steps: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Let a channel between two points wander.

    Returns the courses [n, 2], oldest first and the present one last, and the loops that were cut off.
    """
    line = geometry.resample(np.stack([start, end]), 0.8 * width)
    s = geometry.arc_length(line) / width
    kick = sum(rng.uniform(0.2, 0.6) * np.sin(2 * np.pi * (s / rng.uniform(7, 20) + rng.random())) for _ in range(5))
    line = geometry.offset(line, width * kick)
    weights = np.exp(-np.arange(16) * FRICTION)
    weights /= weights.sum()
    courses, loops = [], []
    for _ in range(steps):
        curvature = np.clip(_curvature(line) * width, -0.8, 0.8)
        rate = LOCAL * curvature + UPSTREAM * np.convolve(curvature, weights)[: len(line)]
        # The ends lie far outside of the scene and stay where they are.
        fade = np.minimum(1.0, np.minimum(np.arange(len(line)), np.arange(len(line))[::-1]) / 8.0)
        line = geometry.offset(line, -PACE * width * rate * fade)
        line[1:-1] = 0.02 * line[:-2] + 0.96 * line[1:-1] + 0.02 * line[2:]
        line, loop = _cut_off(line, width)
        if loop is not None:
            loops.append(loop)
        line = geometry.resample(line, 0.8 * width)
        courses.append(line)
    return courses, loops


def flow(
    rng: np.random.Generator, shape: tuple[int, int], *, width: float, angle: float, shift: float, wander: int
) -> River:
    """Run a river across a scene.

    Args:
        rng: the generator that is drawn from.
        shape: height and width of the scene, metres.
        width: mean width of the channel, metres.
        angle: direction of flow, radians from x towards y.
        shift: how far to the right of the scene's centre the valley's axis passes, metres.
        wander: steps of migration; about 60 winds gently, 200 meanders.
    """
    direction = np.array([np.cos(angle), np.sin(angle)])
    centre = np.array([shape[1] / 2, shape[0] / 2]) + shift * np.array([-direction[1], direction[0]])
    reach = np.hypot(*shape) / 2
    courses, loops = migrate(
        rng, centre - direction * (reach + 10 * width), centre + direction * (reach + 8 * width), width, wander
    )
    window = shapely.box(-200, -200, shape[1] + 200, shape[0] + 200)
    course = geometry.resample(courses[-1], max(4.0, width / 3))
    knots = np.arange(0, len(course) + 6, 6)
    wave = np.interp(np.arange(len(course)), knots, rng.normal(0, 0.11, len(knots)))
    wave += rng.normal(0, 0.02, len(course))
    area = shapely.intersection(geometry.ribbon(course, width / 2 * np.clip(1 + wave, 0.7, 1.4)), window)
    recent = [shapely.LineString(c).buffer(0.47 * width, quad_segs=4) for c in courses[-20:-4:4]]
    bars = shapely.intersection(shapely.difference(shapely.union_all(recent), area.buffer(-1.0)), window)
    lakes = tuple(_oxbow(loop, width) for loop in loops)
    lakes = tuple(lake.difference(area.buffer(0.4 * width)) for lake in lakes if lake.intersects(window))
    return River(course, width, area, bars, lakes, tuple(courses[:-20:6]))


def _oxbow(loop: np.ndarray, width: float) -> shapely.Geometry:
    """Return the lake that is left of a loop that was cut off: narrower than the river, silted at both ends."""
    course = geometry.resample(loop, width / 3)
    along = np.linspace(0, 1, len(course))
    return geometry.ribbon(course, width * (0.08 + 0.32 * np.sin(np.pi * along) ** 0.5))


def crescent(rng: np.random.Generator, centre: np.ndarray, radius: float, width: float) -> shapely.Geometry:
    """Return an oxbow lake of an older course: an arc that tapers at both ends."""
    sweep = rng.uniform(2.2, 4.2)
    angles = rng.uniform(0, 2 * np.pi) + np.linspace(0, sweep, 40)
    radii = radius * (1 + 0.12 * np.sin(2 * angles + rng.uniform(0, 6)))
    arc = centre + radii[:, None] * np.stack([np.cos(angles), rng.uniform(0.7, 1.0) * np.sin(angles)], axis=1)
    taper = np.sin(np.pi * np.linspace(0.04, 0.96, 40)) ** 0.6
    return geometry.ribbon(arc, width / 2 * taper * (1 + 0.1 * rng.normal(size=40)))


def streaks(rng: np.random.Generator, stream: River, look: str, tone: float, count: int) -> list[Patch]:
    """Return the water of a river: a paler margin and long threads of clearer or muddier water along the flow."""
    deep = stream.area.buffer(-0.09 * stream.width)
    shallow = stream.area.buffer(-0.03 * stream.width)
    patches = [
        Patch(stream.area, look, tone=tone + 0.5),
        Patch(shallow, look, tone=tone + 0.25),
        Patch(deep, look, tone=tone),
    ]
    for _ in range(count):
        start = int(rng.integers(max(1, len(stream.course) - 8)))
        part = stream.course[start : start + int(rng.integers(8, 40))]
        if len(part) < 4:
            continue
        side = rng.uniform(-0.38, 0.38) * stream.width
        width = 0.012 * stream.width * rng.uniform(0.5, 4.0) * np.sin(np.pi * np.linspace(0.05, 0.95, len(part)))
        thread = geometry.ribbon(geometry.offset(part, side + np.linspace(0, 0.08 * stream.width, len(part))), width)
        patches.append(Patch(thread.intersection(deep), look, tone=tone + rng.choice([-0.13, 0.13, 0.25])))
    return patches


def boats(rng: np.random.Generator, stream: River, shape: tuple[int, int], count: int) -> list[Box]:
    """Return barges under way along the river."""
    heading = geometry.tangents(stream.course)
    inside = np.flatnonzero(
        shapely.contains_xy(shapely.box(0, 0, shape[1], shape[0]), stream.course[:, 0], stream.course[:, 1])
    )
    boxes: list[Box] = []
    for at in rng.choice(inside, min(count, len(inside) // 6), replace=False) if len(inside) >= 6 else []:
        t = heading[at]
        angle = float(np.arctan2(t[1], t[0]))
        x, y = stream.course[at] + rng.uniform(-0.3, 0.3) * stream.width * np.array([-t[1], t[0]])
        length = min(rng.uniform(22, 62), 0.6 * stream.width)
        beam = length / rng.uniform(5, 6.5)
        boxes.append(Box(x, y, length, beam, angle, 2.5, "rust", rng.uniform(-0.8, 0.6), afloat=True))
        boxes.append(
            Box(
                x + t[0] * 0.04 * length,
                y + t[1] * 0.04 * length,
                0.72 * length,
                0.7 * beam,
                angle,
                2.2,
                "rust",
                rng.uniform(-1, 1),
                afloat=True,
            )
        )
        stern = (x - t[0] * 0.42 * length, y - t[1] * 0.42 * length)
        boxes.append(
            Box(*stern, 0.1 * length, 0.8 * beam, angle, 7.0, "white car", rng.uniform(-0.5, 0.3), afloat=True)
        )
    return boxes
