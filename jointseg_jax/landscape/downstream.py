"""The downstream region: a dense city on a broad river."""

import numpy as np
import shapely

from jointseg_jax.landscape import airport, geometry, noise, river, roads, survey, trees
from jointseg_jax.landscape.model import NATURAL_INDEX, REGIONS, Landscape
from jointseg_jax.landscape.settlement import CITY, Settlers

REGION = REGIONS.index("downstream")
MEDIAN, CARRIAGEWAY, AVENUE = 5.0, 13.0, 19.0  # metres
PROMENADE = 20.0  # metres between the river and the road along it
ARTERIAL_CELL = 430.0**2  # square metres of city between main roads
CANAL_WIDTH = 17.0
SMALLEST_WITH_CANAL, SMALLEST_WITH_EXPRESSWAY = 420, 600  # metres, the shorter side of a scene
DECK = 8.0  # height of the expressway above the streets


def _river(seed: int, shape: tuple[int, int]) -> river.River:
    rng = noise.stream(seed, REGION, "river")
    width = float(np.clip(0.12 * min(shape), 16, 170))
    angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.22)
    shift = rng.choice([-1, 1]) * rng.uniform(0.24, 0.36)
    return river.flow(rng, shape, width=width, angle=angle, shift=shift, wander=int(rng.integers(30, 70)))


def _arterials(
    land: Landscape,
    rng: np.random.Generator,
    cuts: list[geometry.Cut],
    warp: geometry.Warp,
    barrier: shapely.Geometry,
    bridge: float,
) -> shapely.Geometry:
    """Lay the main roads; return the canal that runs between the carriageways of the first one, if there is one."""
    canal = shapely.Polygon()
    for index, cut in enumerate(cuts):
        line = _across(warp(cut.line), canal)
        if cut.level > 1 and len(cuts) > 3:
            for part in roads.clip(line, barrier):
                roads.lay(land, rng, part, "avenue", AVENUE, -1.2)
            continue
        median, course = MEDIAN, shapely.get_coordinates(line)
        if index == 0 and min(land.shape) >= SMALLEST_WITH_CANAL and rng.random() < 0.65:
            median = CANAL_WIDTH + 14.0
            canal = geometry.strip(course, CANAL_WIDTH / 2, "flat")
        for side in (-1, 1):
            way = shapely.LineString(geometry.offset(course, side * (median + CARRIAGEWAY) / 2)[::side])
            for part in roads.clip(way, barrier, bridge):
                roads.lay(land, rng, part, "arterial", CARRIAGEWAY, -1.5, sides=(1,))
        for part in roads.clip(line, barrier):
            land.patch(geometry.strip(part, median / 2), "lawn", rng.uniform(-0.4, 0.2))
            for side in (-1, 1) if median > MEDIAN else (0,):
                land.plant(trees.row(rng, part, side * (CANAL_WIDTH / 2 + 4), 8.0, 2.1, 0.25))
    return canal


def _across(line: shapely.LineString, canal: shapely.Geometry) -> shapely.LineString:
    """Lead a line that ends in the canal on to the road on its far side."""
    points = shapely.get_coordinates(line)
    for end in (0, -1):
        if not canal.is_empty and canal.distance(shapely.Point(points[end])) < 1:
            step = points[end] - points[1 if end == 0 else -2]
            beyond = points[end] + step / np.hypot(*step) * (CANAL_WIDTH / 2 + 7.0 + CARRIAGEWAY / 2)
            points = np.insert(points, 0 if end == 0 else len(points), beyond, axis=0)
    return shapely.LineString(points)


def _riverside(land: Landscape, rng: np.random.Generator, stream: river.River) -> shapely.Geometry:
    """Lay the banks, promenades and roads along the river; return the corridor no street may enter."""
    reach = 0.62 * stream.width + PROMENADE
    window = land.frame.buffer(150, join_style="mitre")
    corridor = geometry.strip(stream.course, reach, "flat").intersection(window)
    land.patch(corridor.buffer(6), "lawn", -0.1)
    land.paved(stream.area.buffer(2.0).difference(stream.area), "revetment")
    size = max(land.shape)
    river.fill(land, rng, stream, rng.uniform(-0.6, 0.7), int(size / 14), int(size / 120))
    for side in (-1, 1):
        edge = shapely.LineString(geometry.chaikin(geometry.offset(stream.course, side * reach), 1))
        for piece in geometry.lines_of(edge.intersection(window), 10.0):
            roads.lay(land, rng, geometry.resample(piece, 12.0), "avenue", 15.0, -1.7)
        # A promenade along the water on some banks, a footpath through the green on others.
        name, shift, width = ("quay", 6.0, 10.0) if rng.random() < 0.5 else ("path", 10.0, 4.0)
        bank = geometry.strip(geometry.offset(stream.course, side * (0.62 * stream.width + shift)), width / 2)
        land.paved(bank.intersection(window).difference(stream.area.buffer(0.5)), name)
        land.plant(trees.row(rng, stream.course, side * (reach - 11.0), 7.0, 2.6, 0.25, jitter=2.0))
    return corridor


def _expressway(land: Landscape, rng: np.random.Generator, airfield: shapely.Geometry) -> shapely.Geometry:
    """Lead an elevated expressway across the city on a wide curve, around the airfield; return the land it takes."""
    for _ in range(40 if min(land.shape) >= SMALLEST_WITH_EXPRESSWAY else 0):
        line = roads.across_scene(rng, land.shape, rng.uniform(-0.25, 0.25), rng.uniform(-0.35, 0.35))
        if not geometry.strip(line, 40).intersects(airfield):
            return roads.highway(land, rng, line, 13.2, "garden", DECK)
    return shapely.Polygon()


def build(seed: int, shape: tuple[int, int]) -> Landscape:
    """Build the map of a downstream scene of `shape` (height, width) metres."""
    rng = noise.stream(seed, REGION, "plan")
    relief = noise.fractal(noise.stream(seed, REGION, "relief"), (shape[0] // 10, shape[1] // 10), longest=90, slope=3)
    ground = np.full(shape, NATURAL_INDEX["dry grass"], np.uint8)
    land = Landscape("downstream", seed, shape, (4.0 + 0.8 * relief).astype(np.float32), ground)
    stream = _river(seed, shape)
    corridor = _riverside(land, rng, stream)
    place = airport.site(shape, corridor)
    airfield = airport.build(land, rng, place) if place else shapely.Polygon()
    barrier = shapely.union(corridor, airfield)
    cells, cuts = geometry.cells_of(rng, shape, ARTERIAL_CELL, rng.normal(0, 0.12), 0.05)
    warp = geometry.Warp(rng, 9.0, 700.0)
    canal = _arterials(land, rng, cuts, warp, barrier, 2.6 * (0.62 * stream.width + PROMENADE))
    expressway = _expressway(land, rng, airfield)
    canal = canal.difference(airfield.buffer(10))
    land.paved(canal.buffer(2.0).difference(canal), "revetment")
    land.flood(canal.difference(stream.area), "canal", rng.uniform(-0.5, 0.8))
    settlers = Settlers(land, rng, [barrier, expressway, canal.buffer(CARRIAGEWAY)])
    start = int(rng.integers(len(CITY)))
    districts = [(CITY[(start + number) % len(CITY)], cell) for number, cell in enumerate(cells)]
    plots = settlers.quarters(districts, warp, barrier.union(canal.buffer(13.5)))
    settlers.fill(plots, density=rng.uniform(0.53, 0.62), shore=corridor)
    survey.tidy(land)
    return land
