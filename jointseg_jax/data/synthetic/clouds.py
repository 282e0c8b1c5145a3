"""Fair-weather clouds over some scenes, and the shadows they throw."""

import numpy as np
from scipy import ndimage

from jointseg_jax.data.synthetic import noise
from jointseg_jax.data.synthetic.light import Sun

CHANCE = 1.0 / 3.0
MOST = 0.10  # share of a scene that clouds cover at most
CELL = 5  # metres; clouds have no finer detail than this
DARKNESS = 0.62  # opacity of the shadow under the thickest cloud


def _refined(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return ndimage.zoom(field, CELL, order=3, mode="nearest", grid_mode=True)[: shape[0], : shape[1]]


def clouds(rng: np.random.Generator, shape: tuple[int, int], sun: Sun) -> tuple[np.ndarray, np.ndarray]:
    """Draw the clouds of an overpass.

    Returns:
        Opacity of cloud and of cloud shadow, each float32 [height, width] in 0..1; both zero for most overpasses.
    """
    if rng.random() >= CHANCE:
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    rows, cols = -(-shape[0] // CELL), -(-shape[1] // CELL)
    throw = rng.uniform(180.0, 420.0) / sun.rise / CELL
    dx, dy = round(sun.towards[0] * throw), round(sun.towards[1] * throw)
    pad = max(abs(dx), abs(dy)) + 1
    size = (rows + 2 * pad, cols + 2 * pad)
    puffs = noise.fractal(rng, size, longest=110.0, shortest=4.0, slope=3.3)
    puffs += 0.5 * noise.fractal(rng, size, longest=300.0, shortest=60.0, slope=3.0)
    window = (slice(pad, pad + rows), slice(pad, pad + cols))
    cover = rng.uniform(0.01, 0.8 * MOST)
    threshold = float(np.quantile(puffs[window], 1.0 - cover))
    opacity = noise.smoothstep(puffs, threshold - 0.15, threshold + 0.75) ** 0.8
    while opacity[window].mean() > MOST:
        threshold += 0.1
        opacity = noise.smoothstep(puffs, threshold - 0.15, threshold + 0.75) ** 0.8
    # A place lies in shadow if there is cloud between it and the sun.
    cast = opacity[pad + dy : pad + dy + rows, pad + dx : pad + dx + cols]
    shadow = DARKNESS * ndimage.gaussian_filter(cast, 1.2)
    return (
        np.clip(_refined(opacity[window], shape), 0, 1).astype(np.float32),
        np.clip(_refined(shadow, shape), 0, 1).astype(np.float32),
    )
