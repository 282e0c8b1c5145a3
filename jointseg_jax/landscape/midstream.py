"""The midstream region: a farmed plain with villages and a town, on a river that meanders."""

import numpy as np
import shapely

from jointseg_jax.landscape import fields, geometry, noise, river, roads, survey, trees
from jointseg_jax.landscape.model import NATURAL_INDEX, REGIONS, Landscape
from jointseg_jax.landscape.settlement import Settlers

REGION = REGIONS.index("midstream")
CELL = 265.0**2  # square metres of farmland between two roads
SMALLEST_WITH_HIGHWAY = 420  # metres, the shorter side of a scene
DECK = 5.0  # height of the highway above the plain


def _river(seed: int, shape: tuple[int, int]) -> river.River:
    rng = noise.stream(seed, REGION, "river")
    width, angle = float(np.clip(0.055 * min(shape), 11, 90)), rng.uniform(0, np.pi)
    shift, wander = rng.uniform(-0.22, 0.22), int(rng.integers(110, 190))
    return river.flow(rng, shape, width=width, angle=angle, shift=shift, wander=wander)


def _floodplain(land: Landscape, rng: np.random.Generator, stream: river.River, corridor: shapely.Geometry) -> None:
    """Lay the river, and its banks between the levees."""
    width, course = stream.width, stream.course
    land.patch(corridor, "grass", 0.2)
    count = int(corridor.intersection(land.frame.buffer(150)).area / 2500)
    centres = rng.choice(course, count) + rng.normal(0, 0.9 * width, (count, 2))
    looks = ("reed", "scrub", "dry grass", "vegetables", "crop", "sand")
    land.spots(rng, centres, (8, 26), looks, corridor)
    land.patch(stream.bars, "sand", 0.1)
    land.patch(stream.area.buffer(3.5), "reed", -0.2)
    land.patch(stream.area.buffer(1.2), "mud", 0.4)
    size = max(land.shape)
    river.fill(land, rng, stream, rng.uniform(-0.3, 0.8), int(size / 18), int(size / 350))
    for side in (-1, 1):
        land.plant(trees.row(rng, course, side * (0.75 * width + 5), 5.5, 2.4, 0.45, jitter=3.0))


def _lakes(land: Landscape, rng: np.random.Generator, stream: river.River, corridor: shapely.Geometry) -> None:
    """Leave a few oxbow lakes of courses abandoned long ago, beyond the levees: arcs that taper at both silted ends."""
    taper = np.sin(np.pi * np.linspace(0.04, 0.96, 40)) ** 0.6
    for _ in range(max(1, round(max(land.shape) / 700))):
        at, away = int(rng.integers(len(stream.course))), rng.choice([-1, 1]) * rng.uniform(2.5, 5.0) * stream.width
        centre = geometry.offset(stream.course, away)[at]
        angles = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(2.2, 4.2), 40)
        radii = rng.uniform(1.0, 1.8) * stream.width * (1 + 0.12 * np.sin(2 * angles + rng.uniform(0, 6)))
        arc = centre + radii[:, None] * np.stack([np.cos(angles), rng.uniform(0.7, 1.0) * np.sin(angles)], axis=1)
        lake = geometry.ribbon(arc, 0.225 * stream.width * taper).difference(corridor.buffer(8))
        land.patch(lake.buffer(4.0), "reed", 0.1)
        land.flood(lake, "pond", rng.uniform(-0.3, 1))


def _roads(
    land: Landscape,
    rng: np.random.Generator,
    cuts: list[geometry.Cut],
    warp: geometry.Warp,
    corridor: shapely.Geometry,
    bridge: float,
) -> None:
    """Lay the roads and tracks between the cells of farmland, with ditches and rows of trees."""
    for cut in cuts:
        main = cut.level == 0
        width = 9.0 if main else float(rng.choice([4.0, 5.0, 6.0]))
        for line in roads.clip(warp(cut.line), corridor, bridge if main else 0.0):
            sides = (-1, 1) if rng.random() < 0.6 else (1,)
            if cut.level <= 3 or rng.random() < 0.55:
                planted = 2.2 if rng.random() < 0.6 else None
                roads.lay(land, rng, line, "main road" if main else "rural road", width, planted, sides, verge=3.0)
            else:
                _track(land, line, rng.uniform(-0.5, 0.6))
            if rng.random() < 0.5:
                side = float(rng.choice([-1, 1]))
                beside = geometry.offset(line, side * (width / 2 + 6.0))
                ditch = geometry.strip(beside, rng.uniform(1.6, 3.6), "flat")
                land.patch(ditch.buffer(1.6), "reed", rng.uniform(-0.3, 0.3))
                land.flood(ditch.difference(corridor), "canal", rng.uniform(-0.8, 0.8))


def _track(land: Landscape, line: np.ndarray, tone: float) -> None:
    """Lay an unpaved track on a grassy verge."""
    land.patch(geometry.strip(line, 5.5), "ridge", 0.1)
    land.patch(geometry.strip(line, 1.9), "track", tone)


def _levee_roads(land: Landscape, rng: np.random.Generator, corridor: shapely.Geometry, *, paved: bool) -> None:
    """Run a road along the top of each levee, or a track where the scene has roads enough."""
    boundary = corridor.simplify(1.5).boundary.intersection(land.frame.buffer(60))
    for part in geometry.lines_of(shapely.line_merge(boundary), 20):
        line = geometry.chaikin(geometry.resample(part, 14.0), 2)
        if paved:
            roads.lay(land, rng, line, "rural road", 4.6, verge=4.2)
        else:
            _track(land, line, 0.0)


def build(seed: int, shape: tuple[int, int]) -> Landscape:
    """Build the map of a midstream scene of `shape` (height, width) metres."""
    rng = noise.stream(seed, REGION, "plan")
    relief = noise.fractal(noise.stream(seed, REGION, "relief"), (shape[0] // 10, shape[1] // 10), longest=80, slope=3)
    ground = np.full(shape, NATURAL_INDEX["grass"], np.uint8)
    land = Landscape("midstream", seed, shape, (38.0 + 1.2 * relief).astype(np.float32), ground)
    stream = _river(seed, shape)
    warp = geometry.Warp(rng, 16.0, 520.0)
    cells, cuts = geometry.cells_of(rng, shape, CELL, rng.normal(0, 0.35), 0.09)
    seen = np.array([warp(cell).intersection(land.frame).area / cell.area for cell in cells])
    inner = rng.permutation(np.flatnonzero(seen > min(0.5, np.sort(seen)[-min(4, len(seen))]) - 1e-9))
    settled = inner[: max(6, round(0.7 * len(inner)))].tolist()
    levees = geometry.strip(stream.course, 0.95 * stream.width + 16)
    corridor = levees.buffer(1.2 * stream.width).buffer(-1.2 * stream.width)
    for number, cell in enumerate(cells):
        fields.farmland(land, rng, cell, warp, None if number in settled else corridor)
    _floodplain(land, rng, stream, corridor)
    flooded = len(land.water)
    _lakes(land, rng, stream, corridor)
    _roads(land, rng, cuts, warp, corridor, 3.4 * (0.95 * stream.width + 16))
    _levee_roads(land, rng, corridor, paved=survey.Survey(land).share() < 0.12)
    taken = [corridor.buffer(4)] + [p.geometry.buffer(2.0) for p in land.water[flooded:]]
    if min(shape) >= SMALLEST_WITH_HIGHWAY:
        shift = rng.choice([-1, 1]) * rng.uniform(0.12, 0.3)
        line = roads.across_scene(rng, shape, shift, rng.uniform(-0.25, 0.25))
        taken.append(roads.highway(land, rng, line, 11.4, "ridge", DECK).buffer(3))
    settlers = Settlers(land, rng, taken)
    settlers.settle([cells[number] for number in settled], warp, rng.uniform(0.165, 0.21))
    survey.tidy(land)
    return land
