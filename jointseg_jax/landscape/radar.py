"""Sentinel-1 backscatter at 10 m, simulated from land cover, building heights and relief."""

import numpy as np

from jointseg_jax.landscape import noise
from jointseg_jax.landscape.model import LandCover
from jointseg_jax.rasters.blocks import block_mean

# Typical C-band backscatter, VV and VH in dB, of a cell wholly covered by a class.
LEVELS: dict[LandCover, tuple[float, float]] = {
    LandCover.FOREST: (-8.8, -13.8),
    LandCover.CROP: (-11.0, -17.0),
    LandCover.GRASS: (-12.0, -18.2),
    LandCover.BARE: (-13.0, -21.0),
    LandCover.WATER: (-20.5, -27.5),
    LandCover.ROAD: (-14.0, -21.0),
    LandCover.BUILDING: (-2.2, -9.2),
    LandCover.PAVED: (-11.5, -19.5),
    LandCover.GREENHOUSE: (-8.5, -17.0),
}
DOUBLE_BOUNCE = 4.0  # dB that tall buildings add at most
LOOKS = 4.4  # equivalent number of looks of a ground-range detected product
INCIDENCE = np.radians(39.0)
LAYOVER = 3.0  # dB that slopes add or take at most


def _shares(landcover: np.ndarray, code: int) -> np.ndarray:
    return block_mean((landcover == code).astype(np.float32), 10)


def backscatter(
    rng: np.random.Generator, landcover: np.ndarray, height: np.ndarray, elevation: np.ndarray
) -> np.ndarray:
    """Simulate backscatter with speckle.

    Args:
        rng: the generator that is drawn from.
        landcover: uint8 [height, width] at 1 m.
        height: float32 [height, width], heights above ground at 1 m, metres.
        elevation: float32 [height/10, width/10], metres.

    Returns:
        float32 [height/10, width/10, 2], VV and VH in dB.
    """
    shape = elevation.shape
    power = np.zeros((*shape, 2), np.float32)
    built = _shares(landcover, LandCover.BUILDING)
    masked = np.where(landcover == LandCover.BUILDING, height, 0.0).astype(np.float32)
    tall = block_mean(masked, 10) / np.maximum(built, 0.05)
    bounce = DOUBLE_BOUNCE * (1.0 - np.exp(-tall / 15.0))
    for cover, levels in LEVELS.items():
        share = _shares(landcover, cover)
        for band, level in enumerate(levels):
            gain = bounce if cover is LandCover.BUILDING else 0.0
            power[..., band] += share * 10.0 ** ((level + gain) / 10.0)
    # Slopes that face the antenna (to the west, on an ascending pass) return more.
    tilt = np.arctan(np.gradient(elevation, 10.0, axis=1)) if min(shape) > 1 else np.zeros(shape)
    slope = 10 * np.log10(np.sin(INCIDENCE) / np.sin(np.clip(INCIDENCE - tilt, np.radians(8), np.radians(80))))
    drift = 0.7 * noise.fractal(rng, shape, longest=40.0, shortest=2.0, slope=2.0)
    power *= 10.0 ** ((np.clip(slope, -LAYOVER, LAYOVER) + drift) / 10.0)[..., None]
    power *= rng.gamma(LOOKS, 1.0 / LOOKS, power.shape)
    return (10.0 * np.log10(np.maximum(power, 1e-4))).astype(np.float32)
