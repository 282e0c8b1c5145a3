"""Light and clouds: the sun, shaded relief, cast shadows, the open sky, and clouds with their shadows."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from jointseg_jax.landscape import noise

# Share of the light that still reaches a shaded surface (sky and neighbours), by band: the sky is blue.
DIFFUSE = np.array([0.33, 0.28, 0.25, 0.22, 0.17, 0.16], np.float32)
CLOUDY = 1.0 / 3.0  # share of scenes with clouds
MOST_CLOUD = 0.10  # share of a scene that clouds cover at most
MOST_SHADED = 0.3  # share of a scene that their shadows touch at most: clouds beside a small scene may shade most of it
CLOUD_CELL = 5  # metres; clouds have no finer detail than this
DARKNESS = 0.62  # opacity of the shadow under the thickest cloud


@dataclass(frozen=True)
class Sun:
    """Position of the sun: azimuth in degrees clockwise from north (up), elevation in degrees above the horizon."""

    azimuth: float
    elevation: float

    @property
    def towards(self) -> tuple[float, float]:
        """Unit vector on the map (x right, y down) that points to the sun."""
        return float(np.sin(np.radians(self.azimuth))), float(-np.cos(np.radians(self.azimuth)))

    @property
    def rise(self) -> float:
        """Metres that a ray gains per metre on the map: the tangent of the elevation."""
        return float(np.tan(np.radians(self.elevation)))


def sun_of(rng: np.random.Generator, year: int) -> Sun:
    """Draw the sun of a scene: about 10:30 local time in spring or autumn, so it stands in the south-east."""
    azimuth, elevation = rng.uniform(126, 148), rng.uniform(40, 50)
    wobble = np.random.default_rng([int(rng.integers(2**31)), year]).uniform(-3, 3, 2)
    return Sun(float(azimuth + wobble[0]), float(elevation + wobble[1]))


def slope_light(surface: np.ndarray, sun: Sun) -> np.ndarray:
    """Return the light a relief at 1 m receives relative to flat ground; 1 on the flat, 0 turned away."""
    gy, gx = np.gradient(surface)
    facing = 1.0 - (gx * np.float32(sun.towards[0]) + gy * np.float32(sun.towards[1])) / np.float32(sun.rise)
    return np.maximum(facing, 0.0) / np.sqrt(1.0 + gx * gx + gy * gy)


def shadows(height: np.ndarray, sun: Sun) -> np.ndarray:
    """Return how deeply each pixel lies in shadow, 0..1 float32, for heights above ground at 1 m, metres.

    A ray is followed from every pixel towards the sun, metre by metre, until it is above the tallest object.
    """
    shaded = np.full(height.shape, -np.inf, np.float32)
    sx, sy = sun.towards
    rows, cols = height.shape
    for step in range(1, int(float(height.max()) / sun.rise) + 2):
        dx, dy = round(sx * step), round(sy * step)
        if abs(dx) >= cols or abs(dy) >= rows:
            break
        to = (slice(max(0, -dy), rows - max(0, dy)), slice(max(0, -dx), cols - max(0, dx)))
        source = (slice(max(0, dy), rows - max(0, -dy)), slice(max(0, dx), cols - max(0, -dx)))
        ray = height[source] - np.float32(sun.rise * np.hypot(dx, dy))
        np.maximum(shaded[to], ray, out=shaded[to])
    depth = (shaded - height) / np.float32(0.9 * sun.rise)
    return np.clip(depth + 0.35, 0.0, 1.0, out=depth)


def openness(height: np.ndarray) -> np.ndarray:
    """Return how much sky a pixel sees between the objects around it, about 0.6..1, float32."""
    around = ndimage.gaussian_filter(height, 5.0, truncate=2.5)
    return 1.0 / (1.0 + 0.045 * np.maximum(around - height, 0.0))


def clouds(rng: np.random.Generator, shape: tuple[int, int], sun: Sun) -> tuple[np.ndarray, np.ndarray]:
    """Draw the fair-weather clouds of an overpass.

    Returns:
        Opacity of cloud and of cloud shadow, each float32 [height, width] in 0..1; both zero for most overpasses.
    """
    if rng.random() >= CLOUDY:
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    rows, cols = -(-shape[0] // CLOUD_CELL), -(-shape[1] // CLOUD_CELL)
    throw = rng.uniform(180.0, 420.0) / sun.rise / CLOUD_CELL
    dx, dy = round(sun.towards[0] * throw), round(sun.towards[1] * throw)
    pad = max(abs(dx), abs(dy)) + 1
    size = (rows + 2 * pad, cols + 2 * pad)
    puffs = noise.fractal(rng, size, longest=110.0, shortest=4.0, slope=3.3)
    puffs += 0.5 * noise.fractal(rng, size, longest=300.0, shortest=60.0, slope=3.0)
    window = (slice(pad, pad + rows), slice(pad, pad + cols))
    threshold = float(np.quantile(puffs[window], 1.0 - rng.uniform(0.01, 0.8 * MOST_CLOUD)))
    # A place lies in shadow if there is cloud between it and the sun.
    shaded = (slice(pad + dy, pad + dy + rows), slice(pad + dx, pad + dx + cols))
    while True:
        opacity = noise.smoothstep(puffs, threshold - 0.15, threshold + 0.75) ** 0.8
        if opacity[window].mean() <= MOST_CLOUD and (opacity[shaded] > 0).mean() <= MOST_SHADED:
            break
        threshold += 0.1
    layers = (opacity[window], DARKNESS * ndimage.gaussian_filter(opacity[shaded], 1.2))
    fine = [ndimage.zoom(layer, CLOUD_CELL, order=3, mode="nearest", grid_mode=True) for layer in layers]
    cloud, shadow = (np.clip(f[: shape[0], : shape[1]], 0, 1).astype(np.float32) for f in fine)
    return cloud, shadow
