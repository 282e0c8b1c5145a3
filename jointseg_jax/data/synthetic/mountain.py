"""The ground of the mountains: forest, grass, rock and terraced fields, from the relief they lie on."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, spatial

from jointseg_jax.data.synthetic import noise, terrain, trees
from jointseg_jax.data.synthetic.model import NATURAL_INDEX, Landscape

TERRACE_CROPS = ("paddy", "crop", "young crop", "ripe", "ploughed", "vegetables", "tea", "stubble", "fallow", "maize")
TERRACE_WEIGHTS = (4.0, 3.0, 2.0, 2.5, 2.0, 1.5, 1.5, 1.0, 1.0, 1.5)


@dataclass(frozen=True)
class Relief:
    """A relief at 1 m: elevation and height above the valley's river in metres, slope (rise over run), and form.

    `form` is below 0 in hollows, above 0 on spurs and crests, of unit deviation.
    """

    elevation: np.ndarray
    above: np.ndarray
    slope: np.ndarray
    form: np.ndarray


def relief_of(coarse: np.ndarray, river_level: np.ndarray) -> Relief:
    """Refine a relief on the 5 m lattice, and the river's level beside it, to 1 m."""
    factor = int(terrain.CELL)
    smooth = ndimage.gaussian_filter(coarse, 2.0)
    slope = np.hypot(*np.gradient(smooth)) / terrain.CELL
    form = ndimage.gaussian_filter(coarse, 2.5) - ndimage.gaussian_filter(coarse, 12.0)
    form /= form.std() + 1e-9
    return Relief(*(terrain.refine(field, factor) for field in (coarse, coarse - river_level, slope, form)))


def _parcels(rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Return irregular cells about `spacing` metres wide: their numbers and the distance to their borders, metres."""
    ys, xs = np.mgrid[-1 : shape[0] / spacing + 1, -1 : shape[1] / spacing + 1]
    sites = np.stack([xs.ravel(), ys.ravel()], axis=1) + rng.uniform(0, 1, (xs.size, 2))
    rows, cols = np.mgrid[0 : shape[0] : 2, 0 : shape[1] : 2]
    points = np.stack([cols.ravel(), rows.ravel()], axis=1) / spacing
    distance, number = spatial.cKDTree(sites).query(points, k=2)
    border = ((distance[:, 1] - distance[:, 0]) * spacing / 2).reshape(rows.shape)
    numbers = np.repeat(np.repeat(number[:, 0].reshape(rows.shape), 2, axis=0), 2, axis=1)[: shape[0], : shape[1]]
    fine = ndimage.zoom(border.astype(np.float32), 2, order=1, mode="nearest", grid_mode=True)[: shape[0], : shape[1]]
    return numbers, fine


def terraces(rng: np.random.Generator, land: Landscape, relief: Relief, suited: np.ndarray) -> None:
    """Cut terraces into suited slopes: steps along the contours, each with its crop; changes base, tone and relief."""
    shape = land.shape
    wobble = noise.fractal(rng, shape, longest=60, shortest=14, slope=2.5)
    rise = 1.9
    level = (relief.elevation + 0.22 * wobble) / rise
    step = np.floor(level)
    rest = level - step
    parcel, border = _parcels(rng, shape, 42.0)
    code = (step.astype(np.int64) * 7919 + parcel * 104729) % 4093
    draw = rng.random((2, 4093))
    weights = np.cumsum(TERRACE_WEIGHTS)
    chosen = np.searchsorted(weights, draw[0] * weights[-1])
    looks = np.array([NATURAL_INDEX[name] for name in TERRACE_CROPS], np.uint8)[chosen]
    steep = relief.slope > 0.06
    riser = (steep & (rest > 0.80)) | (border < 0.7)
    land.base[suited] = np.where(riser, np.uint8(NATURAL_INDEX["ridge"]), looks[code])[suited]
    assert land.tone is not None
    assert land.relief is not None
    land.tone[suited] = np.where(riser, np.nan, (draw[1][code] * 2 - 1) * 0.8)[suited]
    flattened = (step + 0.15 * rest + 0.85 * noise.smoothstep(rest, 0.72, 1.0)) * rise
    weight = np.clip(ndimage.gaussian_filter(suited.astype(np.float32), 2.0) * 2 - 1, 0, 1)
    land.relief += weight * (flattened - level * rise).astype(np.float32)


def cover(rng: np.random.Generator, land: Landscape, relief: Relief, floor: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Clothe a relief with forest, scrub, grass, rock and fields.

    Args:
        rng: the generator that is drawn from.
        land: its base, tone, relief and trees are set.
        relief: the relief at 1 m.
        floor: 0 on the valley floor to 1 on the slopes, at 1 m.
        far: distance to the river, metres, at 1 m.

    Returns:
        bool [height, width]: where fields lie.
    """
    shape = land.shape
    broad = noise.fractal(rng, shape, longest=500, shortest=25, slope=2.6)
    fine = noise.fractal(rng, shape, longest=30, shortest=3, slope=1.5)
    gy, gx = np.gradient(ndimage.gaussian_filter(relief.elevation, 6.0))
    # Forest holds the steep and the shaded (north-western) slopes; sunny gentle ones are cleared.
    wooded = (
        0.55 * broad + 0.22 * fine + 3.0 * np.clip(relief.slope - 0.30, -0.25, 0.25) + 0.9 * np.clip(gx + gy, -0.5, 0.5)
    )
    wooded += 0.35 * np.clip((relief.above - 45) / 60, -1, 1) + 0.35
    base = np.full(shape, NATURAL_INDEX["grass"], np.uint8)
    base[wooded < -0.9 + 0.15 * fine] = NATURAL_INDEX["dry grass"]
    base[(wooded > -0.25) & (wooded <= 0.0)] = NATURAL_INDEX["scrub"]
    forest = wooded > 0.0
    base[forest] = NATURAL_INDEX["forest floor"]
    craggy = (
        noise.fractal(rng, shape, longest=120, shortest=4, slope=1.9) + 4.0 * (relief.slope - 0.60) + 0.5 * relief.form
    )
    rock = (craggy > 2.05) & (relief.slope > 0.38)
    scree = (craggy > 1.75) & (relief.slope > 0.36) & ~rock
    base[scree], base[rock] = NATURAL_INDEX["scree"], NATURAL_INDEX["rock"]
    farmed = 7.0 * (0.36 - relief.slope) - 0.35 * relief.form + 0.6 * noise.smoothstep(relief.above, 110.0, 15.0)
    farmed += 0.55 * noise.fractal(rng, shape, longest=380, shortest=70, slope=3.0) - 0.6 * (wooded > 0.6)
    suited = (farmed > 0.75) & (relief.slope < 0.40) | (floor < 0.5) & (far > 13 + 5 * broad)
    suited = ndimage.binary_opening(ndimage.binary_closing(suited, iterations=4), iterations=8) & ~rock
    land.base = base
    terraces(rng, land, relief, suited)
    open_ground = ~suited
    conifer = np.clip(0.45 + 0.5 * noise.fractal(rng, shape, longest=200, shortest=30, slope=2.5), 0.02, 0.98)
    dense = np.where(forest & open_ground & ~rock & ~scree, 0.93, 0.0)
    dense[(base == NATURAL_INDEX["scrub"]) & open_ground] = 0.22
    sparse = np.where(open_ground & ~rock, 0.05, 0.004) + 0.12 * (suited & (far < 40))
    land.plant(trees.scatter(rng, dense, 4.4, (1.5, 3.2), conifer))
    land.plant(trees.scatter(rng, 0.55 * dense, 8.5, (2.6, 4.8), conifer))
    land.plant(trees.scatter(rng, sparse, 5.0, (1.0, 2.8), 0.3))
    return suited
