"""The upstream region: forested mountains, a stream, terraced fields and scattered hamlets."""

from dataclasses import dataclass

import numpy as np
import shapely
from scipy import ndimage

from jointseg_jax.landscape import canvas, fields, geometry, noise, river, survey, terrain, trees
from jointseg_jax.landscape.city_blocks import year_of
from jointseg_jax.landscape.model import NATURAL_INDEX, REGIONS, Landscape
from jointseg_jax.landscape.noise import choose, fractal, smoothstep
from jointseg_jax.landscape.settlement import Settlers
from jointseg_jax.rasters.blocks import block_mean

REGION = REGIONS.index("upstream")
VALLEY_WIDTH = 42.0  # metres; sets how the valley winds
TERRACE = 1.9  # metres between two terraces
PARCEL = 42.0  # metres across a field on a terrace
TERRACE_CROPS = {name: weight for name, weight in fields.CROPS.items() if name != "soil"} | {"paddy": 4.0, "tea": 1.5}


@dataclass(frozen=True)
class Relief:
    """A relief at 1 m: elevation and height above the valley's river in metres, slope (rise over run), and form.

    `form` is below 0 in hollows, above 0 on spurs and crests, of unit deviation. `floor` is 0 on the valley floor to 1
    on the slopes, `far` the distance to the river, metres.
    """

    elevation: np.ndarray
    above: np.ndarray
    slope: np.ndarray
    form: np.ndarray
    floor: np.ndarray
    far: np.ndarray


def _relief(seed: int, shape: tuple[int, int], course: np.ndarray) -> tuple[Relief, np.ndarray]:
    """Return the relief around a river's course, and the elevation float32 [height/10, width/10]."""
    rng = noise.stream(seed, REGION, "relief")
    cell, margin = terrain.CELL, terrain.MARGIN
    size = (int(shape[0] / cell) + 2 * margin, int(shape[1] / cell) + 2 * margin)
    points = geometry.resample(course, 2.0)
    cells = np.floor(points[:, ::-1] / cell).astype(int) + margin
    inside = ((cells >= 0) & (cells < size)).all(axis=1)
    channel, level = np.zeros(size, bool), np.zeros(size)
    channel[tuple(cells[inside].T)] = True
    level[tuple(cells[inside].T)] = 620.0 - 0.018 * geometry.arc_length(points)[inside]
    distance, nearest = ndimage.distance_transform_edt(~channel, return_indices=True)
    level = level[tuple(nearest)]
    width = 6.0 + 4.5 * fractal(rng, size, longest=90, shortest=20, slope=3.0)
    floor = smoothstep(distance - np.maximum(width, 1.5), 0.0, 9.0)
    coarse = terrain.mountains(rng, channel, floor, level)
    slope = np.hypot(*np.gradient(ndimage.gaussian_filter(coarse, 2.0))) / cell
    form = ndimage.gaussian_filter(coarse, 2.5) - ndimage.gaussian_filter(coarse, 12.0)
    layers = (coarse, coarse - level, slope, form / (form.std() + 1e-9), floor, distance * cell)
    inner = [layer[margin:-margin, margin:-margin] for layer in layers]
    elevation = block_mean(inner[0], 2).astype(np.float32)
    return Relief(*(terrain.refine(layer, int(cell)) for layer in inner)), elevation


def _terraces(rng: np.random.Generator, land: Landscape, relief: Relief, suited: np.ndarray) -> None:
    """Cut terraces into suited slopes: steps along the contours, each with its crop; changes base, tone and relief."""
    wobble = fractal(rng, land.shape, longest=60, shortest=14, slope=2.5)
    level = (relief.elevation + 0.22 * wobble) / TERRACE
    step = np.floor(level)
    rest = level - step
    # Parcels are irregular cells of two wavy sets of borders across the terraces.
    waves = (12.0 * fractal(rng, land.shape, longest=160, shortest=20, slope=2.5) for _ in range(2))
    place = np.indices(land.shape) / PARCEL + np.stack([wave / PARCEL for wave in waves])
    cell = np.floor(place).astype(np.int64)
    border = np.abs(place - np.rint(place)).min(axis=0) * PARCEL
    code = (step.astype(np.int64) * 7919 + cell[0] * 104729 + cell[1] * 15485863) % 4093
    looks = np.array([NATURAL_INDEX[choose(rng, TERRACE_CROPS)] for _ in range(4093)], np.uint8)
    tones = rng.uniform(-0.8, 0.8, 4093)
    riser = ((relief.slope > 0.06) & (rest > 0.80)) | (border < 0.7)
    land.base[suited] = np.where(riser, np.uint8(NATURAL_INDEX["ridge"]), looks[code])[suited]
    land.tone = np.where(suited & ~riser, tones[code], np.nan).astype(np.float32)
    flattened = (step + 0.15 * rest + 0.85 * smoothstep(rest, 0.72, 1.0)) * TERRACE
    weight = np.clip(ndimage.gaussian_filter(suited.astype(np.float32), 2.0) * 2 - 1, 0, 1)
    rough = 0.7 * fractal(rng, land.shape, longest=45, shortest=3, slope=2.2) * np.clip(relief.slope, 0.02, 0.6)
    land.relief = (relief.elevation + rough + weight * (flattened - level * TERRACE)).astype(np.float32)


def _cover(rng: np.random.Generator, land: Landscape, relief: Relief) -> np.ndarray:
    """Cover the relief with forest, scrub, grass, rock and fields; return where fields lie, bool [height, width]."""
    shape, slope = land.shape, relief.slope
    broad = fractal(rng, shape, longest=500, shortest=25, slope=2.6)
    fine = fractal(rng, shape, longest=30, shortest=3, slope=1.5)
    gy, gx = np.gradient(ndimage.gaussian_filter(relief.elevation, 6.0))
    # Forest holds the steep and the shaded (north-western) slopes; sunny gentle ones are cleared.
    wooded = 0.55 * broad + 0.22 * fine + 3.0 * np.clip(slope - 0.30, -0.25, 0.25) + 0.9 * np.clip(gx + gy, -0.5, 0.5)
    wooded += 0.35 * np.clip((relief.above - 45) / 60, -1, 1) + 0.35
    craggy = fractal(rng, shape, longest=120, shortest=4, slope=1.9) + 4.0 * (slope - 0.60) + 0.5 * relief.form
    rock = (craggy > 2.05) & (slope > 0.38)
    scree = (craggy > 1.75) & (slope > 0.36) & ~rock
    looks = ("rock", "scree", "forest floor", "scrub", "dry grass")
    kinds = [rock, scree, wooded > 0.0, wooded > -0.25, wooded < -0.9 + 0.15 * fine]
    land.base = np.select(kinds, [NATURAL_INDEX[look] for look in looks], NATURAL_INDEX["grass"]).astype(np.uint8)
    farmed = 7.0 * (0.36 - slope) - 0.35 * relief.form + 0.6 * smoothstep(relief.above, 110.0, 15.0)
    farmed += 0.55 * fractal(rng, shape, longest=380, shortest=70, slope=3.0) - 0.6 * (wooded > 0.6)
    suited = (farmed > 0.75) & (slope < 0.40) | (relief.floor < 0.5) & (relief.far > 13 + 5 * broad)
    suited = ndimage.binary_opening(ndimage.binary_closing(suited, iterations=4), iterations=8) & ~rock
    conifer = np.clip(0.45 + 0.5 * fractal(rng, shape, longest=200, shortest=30, slope=2.5), 0.02, 0.98)
    dense = np.select([suited, *kinds[:4]], [0.0, 0.0, 0.0, 0.93, 0.22], 0.0)
    sparse = np.where(suited | rock, 0.004, 0.05) + 0.12 * (suited & (relief.far < 40))
    land.plant(trees.scatter(rng, dense, 4.4, (1.5, 3.2), conifer))
    land.plant(trees.scatter(rng, 0.55 * dense, 8.5, (2.6, 4.8), conifer))
    land.plant(trees.scatter(rng, sparse, 5.0, (1.0, 2.8), 0.3))
    _terraces(rng, land, relief, suited)
    return suited


def _stream(land: Landscape, rng: np.random.Generator, course: np.ndarray) -> shapely.Geometry:
    """Lay the stream with its gravel banks; return the water."""
    window = land.frame.buffer(60, join_style="mitre")
    line = geometry.resample(course, 5.0)
    wave = ndimage.gaussian_filter1d(rng.normal(0, 1, (3, len(line))), 4.0, axis=1) * 3.4
    width = float(np.clip(0.007 * min(land.shape), 2.0, 6.0))
    line = geometry.offset(line, 3.5 * wave[0])
    area = geometry.ribbon(line, np.maximum(width * (1 + 0.3 * wave[1]), 1.2)).intersection(window)
    banks = geometry.ribbon(geometry.offset(line, 1.5 * wave[1]), np.maximum(width * (1.9 + 0.9 * wave[2]), 1.5))
    banks = banks.intersection(window)
    land.patch(banks.buffer(3.0), "scrub", -0.2)
    land.patch(banks, "gravel", 0.1)
    centres = rng.choice(line, len(line) // 10)
    centres = centres + rng.normal(0, 6, centres.shape)
    land.spots(rng, centres, (2, 6), ("scrub", "grass", "gravel", "sand"), banks)
    land.flood(area, "stream", rng.uniform(-0.4, 0.8))
    return area


def _valley_road(land: Landscape, paths: terrain.Paths, course: np.ndarray, side: int) -> np.ndarray:
    """Lead the main road along the valley, from edge to edge of the scene."""
    beside = geometry.offset(course, side * 30.0)
    inside = np.flatnonzero(shapely.contains_xy(land.frame, *beside.T))
    if len(inside) < 2:
        line = np.array([[-20.0, land.shape[0] / 2], [land.shape[1] + 20.0, land.shape[0] / 2]])
    else:
        first, last = beside[inside[0]], beside[inside[-1]]
        found = paths.to(last[None], first[None]) or [np.stack([first, last])]
        # The road runs on beyond the scene, along the valley.
        before, after = beside[max(inside[0] - 6, 0) : inside[0]], beside[inside[-1] + 1 : inside[-1] + 7]
        line = terrain.smoothed(np.concatenate([before, found[0], after]))
    land.road(line, 6.5, "main road")
    return geometry.resample(line, 10.0)


def _sites(rng: np.random.Generator, relief: Relief, suited: np.ndarray, count: int) -> np.ndarray:
    """Choose where hamlets lie: on gentle ground among the fields, not too close to each other; points [n, 2]."""
    slope, above, fields_there = (values[5::10, 5::10] for values in (relief.slope, relief.above, suited))
    score = -4.0 * slope + 0.8 * fields_there + 0.5 * rng.random(slope.shape) - 0.002 * above
    rows, cols = np.unravel_index(np.argsort(-score, axis=None)[: max(60, slope.size // 6)], slope.shape)
    chosen: list[np.ndarray] = []
    for point in np.stack([cols * 10.0 + 5, rows * 10.0 + 5], axis=1)[rng.permutation(len(rows))]:
        if len(chosen) < count and all(np.hypot(*(point - other)) > 130 for other in chosen):
            chosen.append(point)
    return np.array(chosen)


def _settle(
    land: Landscape, rng: np.random.Generator, sites: np.ndarray, roads: list[np.ndarray], water: shapely.Geometry
) -> None:
    """Build hamlets and farms along the roads until enough of the scene is sealed; the last roads are farm lanes."""
    settlers = Settlers(land, rng, [water.buffer(5)])
    houses = rng.uniform(0.042, 0.056) * land.frame.area - sum(
        f.area.intersection(land.frame).area for f in land.features
    )
    for road in roads:
        settlers.hamlet(road[0], [road], 0.0)
    houses /= 0.83  # the share of the houses that stands in the year that targets refer to
    for number, site in enumerate(sites):
        share = houses / (len(sites) - number)
        last = number == len(sites) - 1
        houses -= settlers.hamlet(site, roads, share if last else share * rng.uniform(0.7, 1.3))


def build(seed: int, shape: tuple[int, int]) -> Landscape:
    """Build the map of an upstream scene of `shape` (height, width) metres."""
    rng, bends = noise.stream(seed, REGION, "plan"), noise.stream(seed, REGION, "river")
    angle, shift, wander = bends.uniform(0, 2 * np.pi), bends.uniform(-0.2, 0.2), int(bends.integers(70, 120))
    course = river.flow(bends, shape, width=VALLEY_WIDTH, angle=angle, shift=shift, wander=wander).course
    relief, elevation = _relief(seed, shape, course)
    land = Landscape("upstream", seed, shape, elevation, np.zeros(shape, np.uint8))
    suited = _cover(rng, land, relief)
    water = _stream(land, rng, course)
    wet = canvas.mask([water.buffer(4)], shape).reshape(shape[0] // 10, 10, shape[1] // 10, 10).max(axis=(1, 3))
    paths = terrain.Paths(relief.slope[5::10, 5::10], wet, rng)
    spine = _valley_road(land, paths, course, int(rng.choice([-1, 1])))
    sites = _sites(rng, relief, suited, max(1, round(land.frame.area / 95_000)))
    roads = [spine]
    for path in paths.to(spine, sites):
        land.road(path, float(rng.choice([3.6, 4.2, 4.8])), "rural road")
        roads.append(path)
    around = np.concatenate([site + rng.uniform(-60, 60, (2, 2)) for site in sites])
    for path in paths.to(np.concatenate([geometry.resample(road, 10.0) for road in roads]), around):
        land.road(path, float(rng.choice([3.0, 3.4])), "lane", year_of("upstream", 0.85 * rng.random()))
        roads.append(path)
    _settle(land, rng, sites, roads, water)
    survey.tidy(land)
    return land
