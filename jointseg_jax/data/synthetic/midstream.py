"""The midstream region: a farmed plain with villages and a town, on a river that meanders."""

import numpy as np
import shapely

from jointseg_jax.data.synthetic import (
    fields,
    geometry,
    greens,
    layout,
    noise,
    river,
    settlement,
    tidy,
    trees,
)
from jointseg_jax.data.synthetic.model import EARLIEST, NATURAL_INDEX, REGIONS, Landscape, Patch
from jointseg_jax.data.synthetic.survey import Survey

REGION = REGIONS.index("midstream")
CELL = 265.0**2  # square metres of farmland between two roads
SMALLEST_WITH_HIGHWAY = 420  # metres, the shorter side of a scene


def _river(seed: int, shape: tuple[int, int]) -> river.River:
    rng = noise.stream(seed, REGION, "river")
    width = float(np.clip(0.055 * min(shape), 11, 90))
    angle = rng.uniform(0, np.pi)
    across = abs(shape[0] * np.cos(angle)) + abs(shape[1] * np.sin(angle))
    shift = rng.uniform(-0.22, 0.22) * across
    return river.flow(rng, shape, width=width, angle=angle, shift=shift, wander=int(rng.integers(110, 190)))


def _corridor(stream: river.River) -> shapely.Geometry:
    """Return the land between the levees of a river."""
    line = shapely.LineString(stream.course)
    return line.buffer(0.95 * stream.width + 16).buffer(1.2 * stream.width).buffer(-1.2 * stream.width)


def _floodplain(
    land: Landscape, rng: np.random.Generator, stream: river.River, corridor: shapely.Geometry
) -> shapely.Geometry:
    """Lay the river and its banks between the levees; return the corridor between them."""
    window = shapely.box(-150, -150, land.shape[1] + 150, land.shape[0] + 150)
    land.patches.append(Patch(corridor, "grass", tone=0.2))
    for _ in range(int(corridor.intersection(window).area / 2500)):
        at = stream.course[int(rng.integers(len(stream.course)))] + rng.normal(0, 0.9 * stream.width, 2)
        look = str(rng.choice(["reed", "scrub", "dry grass", "vegetables", "crop", "sand"]))
        spot = greens.blob(rng, at, rng.uniform(8, 26)).intersection(corridor)
        land.patches.append(Patch(spot, look, rng.uniform(0, 3), float(rng.uniform(-0.8, 0.8))))
    land.patches.append(Patch(stream.bars, "sand", tone=0.1))
    land.patches.append(Patch(stream.area.buffer(3.5), "reed", tone=-0.2))
    land.patches.append(Patch(stream.area.buffer(1.2), "mud", tone=0.4))
    land.water += river.streaks(rng, stream, "river", float(rng.uniform(-0.3, 0.8)), int(max(land.shape) / 18))
    land.boxes += river.boats(rng, stream, land.shape, int(max(land.shape) / 350))
    for lake in stream.lakes:
        land.patches.append(Patch(lake.buffer(5), "reed"))
        land.water.append(Patch(lake, "pond", tone=0.3))
    for side in (-1, 1):
        row = geometry.offset(geometry.resample(stream.course, 5.5), side * (0.75 * stream.width + 5))
        row += rng.normal(0, 3.0, row.shape)
        land.plant(trees.along(rng, row, 5.5, 2.4, 0.45))
    return corridor


def _oxbows(land: Landscape, rng: np.random.Generator, stream: river.River, corridor: shapely.Geometry) -> None:
    """Leave a few lakes of courses that the river has long abandoned, beyond the levees."""
    for _ in range(max(1, round(max(land.shape) / 700))):
        at = int(rng.integers(len(stream.course)))
        away = rng.choice([-1, 1]) * rng.uniform(2.5, 5.0) * stream.width
        centre = geometry.offset(stream.course, away)[at]
        lake = river.crescent(rng, centre, rng.uniform(1.0, 1.8) * stream.width, 0.45 * stream.width)
        lake = lake.difference(corridor.buffer(8))
        land.patches.append(Patch(lake.buffer(4.0), "reed", tone=0.1))
        land.water.append(Patch(lake, "pond", tone=float(rng.uniform(-0.3, 1))))


def _levee_roads(land: Landscape, corridor: shapely.Geometry, *, paved: bool) -> None:
    """Run a road along the top of each levee, or a track where the scene has roads enough."""
    window = shapely.box(-60, -60, land.shape[1] + 60, land.shape[0] + 60)
    for part in shapely.get_parts(shapely.line_merge(corridor.simplify(1.5).boundary.intersection(window))):
        if part.geom_type == "LineString" and part.length > 20:
            line = geometry.chaikin(geometry.resample(shapely.get_coordinates(part), 14.0), 2)
            land.patches.append(Patch(shapely.LineString(line).buffer(6.5), "ridge", tone=0.1))
            if paved:
                land.road(line, 4.6, EARLIEST, "rural road")
            else:
                land.patches.append(Patch(shapely.LineString(line).buffer(1.8), "track"))


def _roads(
    land: Landscape,
    rng: np.random.Generator,
    cuts: list[layout.Cut],
    warp: geometry.Warp,
    corridor: shapely.Geometry,
    bridge: float,
) -> None:
    """Lay the roads between the cells of farmland, with ditches and rows of trees."""
    for cut in cuts:
        main = cut.level == 0
        paved = cut.level <= 3 or rng.random() < 0.55
        width = 9.0 if main else float(rng.choice([4.0, 5.0, 6.0]))
        for line in layout.clip_roads([warp.line(cut.line)], corridor, bridge if main else 0.0):
            verge = shapely.LineString(line)
            land.patches.append(Patch(verge.buffer(width / 2 + 3.0), "ridge", tone=rng.uniform(-0.2, 0.4)))
            if paved:
                land.road(line, width, EARLIEST, "main road" if main else "rural road")
            else:
                land.patches.append(Patch(verge.buffer(1.9), "track", tone=rng.uniform(-0.5, 0.6)))
            if rng.random() < 0.5:
                side = float(rng.choice([-1, 1]))
                ditch = shapely.LineString(geometry.offset(line, side * (width / 2 + 6.0))).buffer(
                    rng.uniform(1.6, 3.6), cap_style="flat"
                )
                land.patches.append(Patch(ditch.buffer(1.6), "reed", tone=rng.uniform(-0.3, 0.3)))
                land.water.append(Patch(ditch.difference(corridor), "canal", tone=rng.uniform(-0.8, 0.8)))
            if rng.random() < 0.6:
                for side in (-1, 1) if rng.random() < 0.6 else (1,):
                    row = geometry.offset(geometry.resample(line, 5.0), side * (width / 2 + 2.2))
                    land.plant(trees.along(rng, row, 5.0, rng.uniform(1.6, 2.6), 0.2))


def _highway(land: Landscape, rng: np.random.Generator) -> shapely.Geometry:
    """Lead a highway across the plain on a low embankment; return the land it takes."""
    if min(land.shape) < SMALLEST_WITH_HIGHWAY:
        return shapely.Polygon()
    line = layout.across_scene(rng, land.shape, rng.choice([-1, 1]) * rng.uniform(0.12, 0.3), rng.uniform(-0.25, 0.25))
    land.patches.append(Patch(shapely.LineString(line).buffer(22), "ridge", tone=-0.2))
    for side in (-1, 1):
        land.road(geometry.offset(line, side * 6.9)[::side], 11.4, EARLIEST, "highway")
        row = geometry.offset(geometry.resample(line, 5.5), side * 17.5)
        land.plant(trees.along(rng, row, 5.5, 2.0, 0.15))
    return shapely.LineString(line).buffer(22)


def build(seed: int, shape: tuple[int, int]) -> Landscape:
    """Build the geography of a midstream scene of `shape` (height, width) metres."""
    rng = noise.stream(seed, REGION, "plan")
    relief = noise.fractal(noise.stream(seed, REGION, "relief"), (shape[0] // 10, shape[1] // 10), longest=80, slope=3)
    land = Landscape(
        "midstream",
        seed,
        shape,
        (38.0 + 1.2 * relief).astype(np.float32),
        np.full(shape, NATURAL_INDEX["grass"], np.uint8),
    )
    scene = shapely.box(0, 0, shape[1], shape[0])
    stream = _river(seed, shape)
    angle = rng.normal(0, 0.35)
    domain = geometry.rectangle(shape[1] / 2, shape[0] / 2, shape[1] * 1.3 + 260, shape[0] * 1.3 + 260, angle)
    warp = geometry.Warp(rng, 16.0, 520.0)
    cells, cuts = layout.divide(rng, domain, CELL, angle, 0.09)
    seen = np.array([warp.ring(ring).intersection(scene).area / geometry.ring_area(ring) for ring in cells])
    inner = np.flatnonzero(seen > min(0.5, np.sort(seen)[-min(4, len(seen))]) - 1e-9)
    order = [cells[i] for i in rng.permutation(inner)]
    homes_on = {id(ring) for ring in order[: max(6, round(0.7 * len(order)))]}
    floodplain = _corridor(stream)
    for ring in cells:
        fields.farmland(land, rng, ring, warp, None if id(ring) in homes_on else floodplain)
    corridor = _floodplain(land, rng, stream, floodplain)
    flooded = len(land.water)
    _oxbows(land, rng, stream, corridor)
    _roads(land, rng, cuts, warp, corridor, 3.4 * (0.95 * stream.width + 16))
    _levee_roads(land, corridor, paved=Survey(land).share() < 0.12)
    highway = _highway(land, rng)
    land.decks["highway"] = 5.0
    taken = [corridor.buffer(4), highway.buffer(3)] + [p.geometry.buffer(2.0) for p in land.water[flooded:]]
    settlers = settlement.Settlers(land, rng, warp, taken)
    settlers.settle([ring for ring in order if id(ring) in homes_on], rng.uniform(0.165, 0.21))
    tidy.tidy(land)
    return land
