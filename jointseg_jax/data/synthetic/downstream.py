"""The downstream region: a dense city on a broad river."""

import numpy as np
import shapely

from jointseg_jax.data.synthetic import airport, city, geometry, layout, noise, river, tidy, trees
from jointseg_jax.data.synthetic.model import EARLIEST, NATURAL_INDEX, REGIONS, Landscape, Patch

REGION = REGIONS.index("downstream")
MEDIAN, CARRIAGEWAY, AVENUE = 5.0, 13.0, 19.0  # metres
PROMENADE = 20.0  # metres between the river and the road along it
ARTERIAL_CELL = 430.0**2
CANAL_WIDTH = 17.0
DECK = 8.0  # height of the expressway above the streets


def _river(seed: int, shape: tuple[int, int]) -> river.River:
    rng = noise.stream(seed, REGION, "river")
    width = float(np.clip(0.12 * min(shape), 16, 170))
    angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.22)
    across = abs(shape[0] * np.cos(angle)) + abs(shape[1] * np.sin(angle))
    shift = rng.choice([-1, 1]) * rng.uniform(0.24, 0.36) * across
    return river.flow(rng, shape, width=width, angle=angle, shift=shift, wander=int(rng.integers(30, 70)))


def _arterials(
    land: Landscape,
    rng: np.random.Generator,
    cuts: list[layout.Cut],
    warp: geometry.Warp,
    barrier: shapely.Geometry,
    bridge: float,
) -> shapely.Geometry:
    """Lay the main roads; return the canal that runs between the carriageways of the first one, if there is one."""
    canal = shapely.Polygon()
    for index, cut in enumerate(cuts):
        line = warp.line(cut.line)
        if not canal.is_empty:
            line = _across(line, canal)
        if cut.level > 1 and len(cuts) > 3:
            for part in layout.clip_roads([line], barrier):
                land.road(part, AVENUE, EARLIEST, "avenue")
                _street_trees(land, rng, part, AVENUE / 2 - 1.2, paved=True)
            continue
        median = MEDIAN
        if index == 0 and min(land.shape) >= 420 and rng.random() < 0.65:
            median = CANAL_WIDTH + 14.0
            canal = shapely.LineString(line).buffer(CANAL_WIDTH / 2, cap_style="flat")
        shift = (median + CARRIAGEWAY) / 2
        for part in layout.clip_roads(
            [geometry.offset(line, shift), geometry.offset(line, -shift)[::-1]], barrier, bridge
        ):
            land.road(part, CARRIAGEWAY, EARLIEST, "arterial")
            _street_trees(land, rng, part, CARRIAGEWAY / 2 - 1.5, paved=True, sides=(1,))
        for part in layout.clip_roads([line], barrier):
            strip = shapely.LineString(part).buffer(median / 2)
            land.patches.append(Patch(strip, "lawn", tone=rng.uniform(-0.4, 0.2)))
            _street_trees(land, rng, part, 0.0 if canal.is_empty or index else CANAL_WIDTH / 2 + 4, paved=False)
    return canal


def _across(line: np.ndarray, canal: shapely.Geometry) -> np.ndarray:
    """Lead a line that ends in the canal on to the road on its far side."""
    reach = CANAL_WIDTH / 2 + 7.0 + CARRIAGEWAY / 2
    if canal.distance(shapely.Point(line[0])) < 1:
        step = (line[0] - line[1]) / np.hypot(*(line[0] - line[1]))
        line = np.concatenate([(line[0] + step * reach)[None], line])
    if canal.distance(shapely.Point(line[-1])) < 1:
        step = (line[-1] - line[-2]) / np.hypot(*(line[-1] - line[-2]))
        line = np.concatenate([line, (line[-1] + step * reach)[None]])
    return line


def _street_trees(
    land: Landscape,
    rng: np.random.Generator,
    line: np.ndarray,
    shift: float,
    *,
    paved: bool,
    sides: tuple[int, ...] = (-1, 1),
) -> None:
    """Plant rows of trees beside a road."""
    spacing = rng.uniform(6.5, 10.0)
    for side in sides if shift else (1,):
        row = geometry.offset(geometry.resample(line, spacing), side * shift)
        land.plant(trees.along(rng, row, spacing, rng.uniform(1.7, 2.6), 0.25), EARLIEST, paved=paved)


def _within(lines: list[np.ndarray], window: shapely.Polygon) -> list[np.ndarray]:
    """Return the parts of lines inside of a window, at least 10 m long."""
    parts = [part for line in lines for part in shapely.get_parts(shapely.LineString(line).intersection(window))]
    return [shapely.get_coordinates(p) for p in parts if p.geom_type == "LineString" and p.length > 10.0]


def _riverside(land: Landscape, rng: np.random.Generator, stream: river.River) -> shapely.Geometry:
    """Lay the banks, promenades and roads along the river; return the corridor no street may enter."""
    reach = 0.62 * stream.width + PROMENADE
    window = shapely.box(-150, -150, land.shape[1] + 150, land.shape[0] + 150)
    corridor = shapely.LineString(stream.course).buffer(reach, cap_style="flat").intersection(window)
    land.patches.append(Patch(corridor.buffer(6), "lawn", tone=-0.1))
    land.paved(stream.area.buffer(2.0).difference(stream.area), EARLIEST, "revetment")
    land.water += river.streaks(rng, stream, "river", float(rng.uniform(-0.6, 0.7)), int(max(land.shape) / 14))
    land.boxes += river.boats(rng, stream, land.shape, int(max(land.shape) / 120))
    for side in (-1, 1):
        edge = geometry.chaikin(geometry.offset(stream.course, side * reach), 1)
        for piece in _within([edge], window):
            points = geometry.resample(piece, 12.0)
            land.road(points, 15.0, EARLIEST, "avenue")
            _street_trees(land, rng, points, 5.8, paved=True)
        # A promenade along the water on some banks, a footpath through the green on others.
        name, shift, width = ("quay", 6.0, 10.0) if rng.random() < 0.5 else ("path", 10.0, 4.0)
        bank = shapely.LineString(geometry.offset(stream.course, side * (0.62 * stream.width + shift)))
        land.paved(bank.buffer(width / 2).intersection(window).difference(stream.area.buffer(0.5)), EARLIEST, name)
        row = geometry.offset(geometry.resample(stream.course, 7.0), side * (reach - 11.0))
        land.plant(trees.along(rng, row + rng.normal(0, 2.0, row.shape), 7.0, 2.6, 0.25))
    return corridor


def _expressway(land: Landscape, rng: np.random.Generator, airfield: shapely.Geometry) -> shapely.Geometry:
    """Lead an elevated expressway across the city on a wide curve, around the airfield; return the land it takes."""
    if min(land.shape) < 600:
        return shapely.Polygon()
    for _ in range(40):
        line = layout.across_scene(rng, land.shape, rng.uniform(-0.25, 0.25), rng.uniform(-0.35, 0.35))
        if not shapely.LineString(line).buffer(40).intersects(airfield):
            break
    else:
        return shapely.Polygon()
    for side in (-1, 1):
        land.road(geometry.offset(line, side * 7.4)[::side], 13.2, EARLIEST, "highway")
    strip = shapely.LineString(line)
    land.patches.append(Patch(strip.buffer(23), "garden", tone=-0.2))
    for side in (-1, 1):
        row = geometry.offset(geometry.resample(line, 6.5), side * 18.5)
        land.plant(trees.along(rng, row, 6.5, 2.2, 0.2), EARLIEST)
    return strip.buffer(23)


def build(seed: int, shape: tuple[int, int]) -> Landscape:
    """Build the geography of a downstream scene of `shape` (height, width) metres."""
    rng = noise.stream(seed, REGION, "plan")
    relief = noise.fractal(noise.stream(seed, REGION, "relief"), (shape[0] // 10, shape[1] // 10), longest=90, slope=3)
    land = Landscape(
        "downstream",
        seed,
        shape,
        (4.0 + 0.8 * relief).astype(np.float32),
        np.full(shape, NATURAL_INDEX["dry grass"], np.uint8),
    )
    stream = _river(seed, shape)
    corridor = _riverside(land, rng, stream)
    place = airport.site(shape, corridor)
    airfield = airport.build(land, rng, place) if place else shapely.Polygon()
    barrier = shapely.union(corridor, airfield)
    angle = rng.normal(0, 0.12)
    domain = geometry.rectangle(shape[1] / 2, shape[0] / 2, shape[1] * 1.15 + 260, shape[0] * 1.15 + 260, angle)
    cells, cuts = layout.divide(rng, domain, ARTERIAL_CELL, angle, 0.05)
    warp = geometry.Warp(rng, 9.0, 700.0)
    bridge = 2.6 * (0.62 * stream.width + PROMENADE)
    canal = _arterials(land, rng, cuts, warp, barrier, bridge)
    taken = _expressway(land, rng, airfield)
    land.decks["highway"] = DECK
    canal = canal.difference(airfield.buffer(10))
    if not canal.is_empty:
        land.paved(canal.buffer(2.0).difference(canal), EARLIEST, "revetment")
        land.water.append(Patch(canal.difference(stream.area), "canal", tone=float(rng.uniform(-0.5, 0.8))))
    taken = shapely.union_all([barrier, taken, canal.buffer(CARRIAGEWAY)])
    city.build(land, rng, cells, warp, taken, barrier.union(canal.buffer(13.5)), corridor)
    tidy.tidy(land)
    return land
