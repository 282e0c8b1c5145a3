"""The upstream region: forested mountains, a stream, terraced fields and scattered hamlets."""

import numpy as np
import shapely
from scipy import ndimage

from jointseg_jax.data.synthetic import geometry, greens, hamlet, mountain, noise, paint, river, terrain, tidy, village
from jointseg_jax.data.synthetic.model import EARLIEST, REGIONS, Landscape, Patch
from jointseg_jax.data.synthetic.ways import Ways, smoothed

REGION = REGIONS.index("upstream")
VALLEY_WIDTH = 42.0  # metres; sets how the valley winds


def _valley(seed: int, shape: tuple[int, int]) -> np.ndarray:
    rng = noise.stream(seed, REGION, "river")
    angle = rng.uniform(0, 2 * np.pi)
    across = abs(shape[0] * np.cos(angle)) + abs(shape[1] * np.sin(angle))
    wander = int(rng.integers(70, 120))
    return river.flow(
        rng, shape, width=VALLEY_WIDTH, angle=angle, shift=rng.uniform(-0.2, 0.2) * across, wander=wander
    ).course


def _relief(
    seed: int, shape: tuple[int, int], course: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return on the 5 m lattice, without margin: elevation, level of the river beside it, floor (0..1), distance."""
    rng = noise.stream(seed, REGION, "relief")
    cell, margin = terrain.CELL, terrain.MARGIN
    size = (int(shape[0] / cell) + 2 * margin, int(shape[1] / cell) + 2 * margin)
    points = geometry.resample(course, 2.0)
    cols = np.floor(points[:, 0] / cell).astype(int) + margin
    rows = np.floor(points[:, 1] / cell).astype(int) + margin
    inside = (rows >= 0) & (cols >= 0) & (rows < size[0]) & (cols < size[1])
    channel = np.zeros(size, bool)
    level = np.zeros(size)
    channel[rows[inside], cols[inside]] = True
    level[rows[inside], cols[inside]] = 620.0 - 0.018 * geometry.arc_length(points)[inside]
    distance, nearest = ndimage.distance_transform_edt(~channel, return_indices=True)
    level = level[tuple(nearest)]
    width = 6.0 + 4.5 * noise.fractal(rng, size, longest=90, shortest=20, slope=3.0)
    floor = noise.smoothstep(distance - np.maximum(width, 1.5), 0.0, 9.0)
    elevation = terrain.mountains(rng, channel, floor, level)
    crop = (slice(margin, -margin), slice(margin, -margin))
    return elevation[crop], level[crop], floor[crop], distance[crop] * cell


def _stream(land: Landscape, rng: np.random.Generator, course: np.ndarray) -> shapely.Geometry:
    """Lay the stream with its gravel banks; return the water."""
    window = shapely.box(-60, -60, land.shape[1] + 60, land.shape[0] + 60)
    line = geometry.resample(course, 5.0)
    wave = ndimage.gaussian_filter1d(rng.normal(0, 1, (3, len(line))), 4.0, axis=1) * 3.4
    width = float(np.clip(0.007 * min(land.shape), 2.0, 6.0))
    line = geometry.offset(line, 3.5 * wave[0])
    area = geometry.ribbon(line, np.maximum(width * (1 + 0.3 * wave[1]), 1.2)).intersection(window)
    banks = geometry.ribbon(
        geometry.offset(line, 1.5 * wave[1]), np.maximum(width * (1.9 + 0.9 * wave[2]), 1.5)
    ).intersection(window)
    land.patches.append(Patch(banks.buffer(3.0), "scrub", tone=-0.2))
    land.patches.append(Patch(banks, "gravel", tone=0.1))
    for _ in range(len(line) // 10):
        at = line[int(rng.integers(len(line)))] + rng.normal(0, 6, 2)
        look = str(rng.choice(["scrub", "grass", "gravel", "sand"]))
        land.patches.append(
            Patch(greens.blob(rng, at, rng.uniform(2, 6)).intersection(banks), look, tone=rng.uniform(-1, 1))
        )
    land.water.append(Patch(area, "stream", tone=float(rng.uniform(-0.4, 0.8))))
    return area


def _valley_road(land: Landscape, ways: Ways, course: np.ndarray, side: int) -> np.ndarray:
    """Lead the main road along the valley, from edge to edge of the scene."""
    beside = geometry.offset(course, side * 30.0)
    h, w = land.shape
    inside = np.flatnonzero((beside[:, 0] > 0) & (beside[:, 1] > 0) & (beside[:, 0] < w) & (beside[:, 1] < h))
    if len(inside) < 2:
        line = np.array([[-20.0, h / 2], [w + 20.0, h / 2]])
    else:
        first, last = beside[inside[0]], beside[inside[-1]]
        path = ways.to(last[None], first[None])
        line = path[0] if path else np.stack([first, last])
        # The road runs on beyond the scene, along the valley.
        out = np.concatenate([beside[max(inside[0] - 6, 0) : inside[0]], line, beside[inside[-1] + 1 : inside[-1] + 7]])
        line = smoothed(out)
    land.road(line, 6.5, EARLIEST, "main road")
    return geometry.resample(line, 10.0)


def _sites(rng: np.random.Generator, fields: np.ndarray, slope: np.ndarray, near: np.ndarray, count: int) -> np.ndarray:
    """Choose where hamlets lie: on gentle ground among the fields, not too close to each other; points [n, 2]."""
    score = -4.0 * slope + 0.8 * fields + 0.5 * rng.random(slope.shape) - 0.002 * near
    rows, cols = np.unravel_index(np.argsort(-score, axis=None)[: max(60, slope.size // 6)], slope.shape)
    points = np.stack([cols * 10.0 + 5, rows * 10.0 + 5], axis=1)[rng.permutation(len(rows))]
    chosen: list[np.ndarray] = []
    for point in points:
        if all(np.hypot(*(point - other)) > 130 for other in chosen):
            chosen.append(point)
        if len(chosen) == count:
            break
    return np.array(chosen)


def build(seed: int, shape: tuple[int, int]) -> Landscape:
    """Build the geography of an upstream scene of `shape` (height, width) metres."""
    rng = noise.stream(seed, REGION, "plan")
    course = _valley(seed, shape)
    coarse, level, floor, far = _relief(seed, shape, course)
    factor = int(terrain.CELL)
    relief = mountain.relief_of(coarse, level)
    elevation = coarse.reshape(shape[0] // 10, 2, shape[1] // 10, 2).mean(axis=(1, 3)).astype(np.float32)
    rough = noise.fractal(rng, shape, longest=45, shortest=3, slope=2.2)
    land = Landscape("upstream", seed, shape, elevation, np.zeros(shape, np.uint8), np.full(shape, np.nan, np.float32))
    land.relief = relief.elevation + 0.7 * rough * np.clip(relief.slope, 0.02, 0.6)
    suited = mountain.cover(rng, land, relief, terrain.refine(floor, factor), terrain.refine(far, factor))
    water = _stream(land, rng, course)
    near = paint.mask([water.buffer(4)], shape)
    wet = near.reshape(shape[0] // 10, 10, shape[1] // 10, 10).max(axis=(1, 3))
    ways = Ways(elevation, wet, rng)
    side = int(rng.choice([-1, 1]))
    spine = _valley_road(land, ways, course, side)
    slope10 = relief.slope[5::10, 5::10]
    sites = _sites(
        rng,
        suited[5::10, 5::10].astype(float),
        slope10,
        relief.above[5::10, 5::10],
        max(1, round(shape[0] * shape[1] / 95_000)),
    )
    roads, ends = [spine], []
    if len(sites):
        for path in ways.to(spine, sites):
            land.road(path, float(rng.choice([3.6, 4.2, 4.8])), EARLIEST, "rural road")
            roads.append(path)
        around = np.concatenate([site + rng.uniform(-60, 60, (2, 2)) for site in sites])
        for path in ways.to(np.concatenate([geometry.resample(road, 10.0) for road in roads]), around):
            land.road(path, float(rng.choice([3.0, 3.4])), village.year_of("upstream", 0.85 * rng.random()), "lane")
            roads.append(path)
            ends.append(path[0])
    total = rng.uniform(0.042, 0.056) * shape[0] * shape[1]
    budget = total - sum(f.area().intersection(shapely.box(0, 0, shape[1], shape[0])).area for f in land.features)
    builder = hamlet.Builder(land, rng, shapely.union_all([f.area() for f in land.features] + [water.buffer(5)]))
    for end in ends:
        builder.farm(end)
    # The houses that stand by 2021 are about four fifths of all.
    budget /= 0.83
    for number, site in enumerate(sites):
        share = budget / (len(sites) - number)
        budget -= builder.hamlet(site, roads, share if number == len(sites) - 1 else share * rng.uniform(0.7, 1.3))
    tidy.tidy(land)
    return land
