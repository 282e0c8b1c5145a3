"""Trees: where they stand and how their crowns are drawn into a canopy lattice at 1 m."""

import numpy as np

from jointseg_jax.landscape import geometry, materials, noise

HUES = 64


def crowns(points: np.ndarray, radius: np.ndarray, hue: np.ndarray, slender: float | np.ndarray = 2.1) -> np.ndarray:
    """Return trees [n, 5] (x, y, crown radius, height, hue) whose height is `slender` times their radius, and 1 m."""
    return np.column_stack([points, radius, slender * radius + 1.0, hue])


def scatter(
    rng: np.random.Generator,
    density: np.ndarray,
    spacing: float,
    radius: tuple[float, float],
    conifers: float | np.ndarray = 0.0,
) -> np.ndarray:
    """Place trees on a jittered lattice, thinned by a density.

    Args:
        rng: the generator that is drawn from.
        density: float [height, width] at 1 m, the chance 0..1 that a place holds a tree.
        spacing: metres between neighbours.
        radius: smallest and largest crown radius, metres.
        conifers: the share of conifers, a number or a lattice like `density`.

    Returns:
        float64 [n, 5]: x, y, crown radius, height, hue.
    """
    height, width = density.shape
    ys, xs = np.mgrid[0 : height : spacing * 0.87, 0:width:spacing]
    xs = xs + (np.arange(len(ys)) % 2 * spacing / 2)[:, None]
    points = np.stack([xs.ravel(), ys.ravel()], axis=1) + rng.uniform(-0.48, 0.48, (xs.size, 2)) * spacing
    chance, size, hue, kind = rng.random((4, len(points)))
    cells = tuple(np.clip(points[:, ::-1].astype(int), 0, (height - 1, width - 1)).T)
    crown = radius[0] + (radius[1] - radius[0]) * size**1.6
    conifer = kind < np.broadcast_to(conifers, density.shape)[cells]
    tinted = np.where(conifer, -0.15 - 0.85 * hue, 0.05 + 0.95 * hue)
    made = crowns(points, crown * np.where(conifer, 0.8, 1.0), tinted, np.where(conifer, 4.25, 2.1))
    return made[chance < density[cells]]


def row(
    rng: np.random.Generator,
    line: np.ndarray,
    shift: float,
    spacing: float,
    radius: float = 2.2,
    gaps: float = 0.2,
    jitter: float = 0.6,
) -> np.ndarray:
    """Place a row of trees [n, 5] beside a line [n, 2], `shift` metres to its right."""
    points = geometry.offset(geometry.resample(line, spacing), shift)
    points = points[rng.random(len(points)) > gaps]
    points += rng.normal(0, jitter, points.shape)
    return crowns(points, radius * rng.uniform(0.7, 1.2, len(points)), rng.uniform(0.1, 0.9, len(points)))


def canopy(trees: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw crowns; return canopy height float32 [height, width], metres (0 where open), and hue uint8, 0..HUES-1."""
    code = np.zeros(shape[0] * shape[1], np.int32)
    reach = np.ceil(trees[:, 2]).astype(int)
    for size in np.unique(reach):
        dy, dx = (d.ravel() for d in np.mgrid[-size : size + 1, -size : size + 1])
        group = trees[reach == size]
        for x, y, radius, tall, hue in (chunk.T[..., None] for chunk in np.array_split(group, len(group) // 20000 + 1)):
            cols, rows = np.floor(x).astype(int) + dx, np.floor(y).astype(int) + dy
            squared = ((cols + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2) / radius**2
            # Conifers are cones, broadleaved crowns are domes.
            profile = np.maximum(1.0 - squared, 0.0) ** np.where(hue < 0, 1.0, 0.5)
            tint = np.clip((hue + 1) / 2 * HUES, 0, HUES - 1).astype(np.int32)
            value = ((tall * (0.4 + 0.6 * profile) * 50).astype(np.int32) << 8) | tint
            inside = (squared < 1) & (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
            np.maximum.at(code, (rows * shape[1] + cols)[inside], value[inside])
    grid = code.reshape(shape)
    return (grid >> 8).astype(np.float32) / 50, (grid & 255).astype(np.uint8)


def tints() -> np.ndarray:
    """Return the spectrum of every hue, float32 [HUES, 6]: conifers, then broadleaved trees to autumn tints."""
    hue = ((np.arange(HUES, dtype=np.float32) + 0.5) / HUES * 2 - 1)[:, None]
    autumn = 0.7 * noise.smoothstep(hue, 0.75, 1.0)
    leaves = (materials.BROADLEAF * (1 - autumn) + materials.AUTUMN * autumn) * (0.85 + 0.35 * hue)
    return np.where(hue < 0, materials.CONIFER * (1 + 0.35 * (hue + 0.5)), leaves).astype(np.float32)
