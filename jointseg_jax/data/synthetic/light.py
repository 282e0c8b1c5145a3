"""The sun: where it stands, how slopes catch it, and the shadows that upright things cast."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# Share of the light that still reaches a shaded surface (sky and neighbours), by band: the sky is blue.
DIFFUSE = np.array([0.33, 0.28, 0.25, 0.22, 0.17, 0.16], np.float32)
STEP = 1.0  # metres between the samples along a shadow


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


def hillshade(elevation: np.ndarray, spacing: float, sun: Sun) -> np.ndarray:
    """Return the light a relief receives relative to flat ground; float32, 1 on the flat, 0 turned away."""
    gy, gx = np.gradient(elevation.astype(np.float32), np.float32(spacing))
    sx, sy = sun.towards
    facing = 1.0 - (gx * np.float32(sx) + gy * np.float32(sy)) / np.float32(sun.rise)
    return np.maximum(facing, 0.0) / np.sqrt(1.0 + gx * gx + gy * gy)


def shadows(height: np.ndarray, sun: Sun, reach: float | None = None) -> np.ndarray:
    """Return how deeply each pixel lies in shadow, 0..1 float32, for heights above ground at 1 m, metres.

    A ray is followed from every pixel towards the sun; whatever rises above it takes the light away.
    """
    tallest = float(height.max()) if reach is None else reach
    shaded = np.full(height.shape, -np.inf, np.float32)
    sx, sy = sun.towards
    rows, cols = height.shape
    for step in range(1, int(tallest / (sun.rise * STEP)) + 2):
        dx, dy = round(sx * step * STEP), round(sy * step * STEP)
        if abs(dx) >= cols or abs(dy) >= rows:
            break
        to = (slice(max(0, -dy), rows - max(0, dy)), slice(max(0, -dx), cols - max(0, dx)))
        source = (slice(max(0, dy), rows - max(0, -dy)), slice(max(0, dx), cols - max(0, -dx)))
        ray = height[source] - np.float32(sun.rise * np.hypot(dx, dy))
        np.maximum(shaded[to], ray, out=shaded[to])
    depth = (shaded - height) / np.float32(0.9 * sun.rise)
    return np.clip(depth + 0.35, 0.0, 1.0, out=depth)


def openness(height: np.ndarray) -> np.ndarray:
    """Return how much sky a pixel sees among the things around it, about 0.6..1, float32."""
    around = ndimage.gaussian_filter(height, 5.0, truncate=2.5)
    return 1.0 / (1.0 + 0.045 * np.maximum(around - height, 0.0))
