"""From inks to reflectance: spectra, texture, crowns, light and the sensor's blur."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from jointseg_jax.data.synthetic import light, materials, noise, spectra, trees
from jointseg_jax.data.synthetic.paint import SUB, InkTable

CHUNK = 240  # rows rendered at a time
PSF_SIGMA = 0.6  # pixels
HAZE = np.array([0.011, 0.008, 0.005, 0.002, 0.001, 0.0], np.float32)
NOISE = 0.0016


@dataclass(frozen=True)
class Texture:
    """Noise fields at 1 m, zero mean and unit deviation, float32 [height, width]."""

    grain: np.ndarray
    blotch: np.ndarray
    patch: np.ndarray
    vigor: np.ndarray


def textures(rng: np.random.Generator, shape: tuple[int, int]) -> Texture:
    """Draw the noise fields of a scene."""
    return Texture(
        grain=noise.fractal(rng, shape, longest=4.0, shortest=2.0, slope=0.6),
        blotch=noise.fractal(rng, shape, longest=16.0, shortest=3.0, slope=2.0),
        patch=noise.fractal(rng, shape, longest=110.0, shortest=12.0, slope=2.6),
        vigor=noise.fractal(rng, shape, longest=160.0, shortest=4.0, slope=2.0),
    )


@dataclass(frozen=True)
class Above:
    """What stands on the ground, at 1 m: heights and crown heights in metres, and the hue of crowns."""

    height: np.ndarray
    canopy: np.ndarray
    hue: np.ndarray


def _rows(table: InkTable, ink: np.ndarray, top: int, wave: np.ndarray) -> np.ndarray:
    """Return the brightness of furrows, joints and wheel tracks, relative to 1."""
    y, x = np.ogrid[top : top + ink.shape[0], 0 : ink.shape[1]]
    phase = table.wave_x[ink] * x.astype(np.float32) + table.wave_y[ink] * y.astype(np.float32)
    phase += wave
    brightness = np.sin(phase)
    brightness *= table.rows[ink]
    tram = table.tram[ink]
    if tram.any():
        position = phase * (table.period[ink] / np.float32(2 * np.pi * materials.TRAM_SPACING))
        position -= np.floor(position)
        near = np.abs(position - 0.5) * np.float32(materials.TRAM_SPACING)
        brightness -= tram * np.clip(1.5 - np.abs(near - 1.0), 0.0, 1.0)
    return brightness


def render(
    inks: np.ndarray,
    table: InkTable,
    texture: Texture,
    above: Above,
    shade: np.ndarray,
    sun: light.Sun,
    rng: np.random.Generator,
) -> np.ndarray:
    """Turn a painted canvas into reflectance as a sensor sees it.

    Args:
        inks: int32 [height * SUB, width * SUB].
        table: what the inks look like.
        texture: the noise fields.
        above: buildings and trees.
        shade: float32 [height, width], light on the relief relative to flat ground.
        sun: the sun.
        rng: for haze and sensor noise.

    Returns:
        float32 [height, width, 6].
    """
    shape = shade.shape
    tall = np.maximum(above.height, above.canopy)
    shadow = light.shadows(tall, sun)
    # Crowns let light through, so one shades the next only in part.
    shadow *= np.where(above.canopy > above.height, np.float32(0.72), np.float32(1.0))
    sky = light.openness(tall)
    crown_light = _crown_light(above, sun)
    cover = np.clip((above.canopy - above.height) / 1.5, 0.0, 0.96)
    crowns = trees.tints()
    veil = 1.0 + 0.35 * noise.fractal(rng, shape, longest=900.0, shortest=200.0, slope=3.0)
    image = np.empty((*shape, 6), np.float32)
    for top in range(0, shape[0], CHUNK):
        rows = slice(top, min(top + CHUNK, shape[0]))
        fine = inks[rows.start * SUB : rows.stop * SUB]
        ink = fine[::SUB, ::SUB]
        shine = texture.grain[rows] * table.grain[ink]
        shine += texture.blotch[rows] * table.blotch[ink]
        shine += texture.patch[rows] * table.patch[ink]
        shine += _rows(table, ink, top, 0.9 * texture.patch[rows] + 0.25 * texture.blotch[rows])
        shine = np.maximum(1.0 + shine, 0.3)
        lush = np.clip(texture.vigor[rows], -2.5, 2.5) * table.vigor[ink]
        leaves = crown_light[rows] * (1.0 + 0.10 * texture.grain[rows] + 0.07 * texture.blotch[rows])
        lit = (1.0 - shadow[rows]) * shade[rows]
        for band in range(6):
            spectrum = table.spectrum[:, band]
            value = sum(spectrum[fine[i::SUB, j::SUB]] for i in range(SUB) for j in range(SUB)) / np.float32(SUB * SUB)
            value *= shine * np.exp(lush * spectra.LUSH[band])
            value += cover[rows] * (crowns[above.hue[rows], band] * leaves - value)
            diffuse = light.DIFFUSE[band]
            value *= (1 - diffuse) * lit + diffuse * sky[rows]
            image[rows, :, band] = value + HAZE[band] * veil[rows]
    for band in range(6):
        image[..., band] = ndimage.gaussian_filter(image[..., band], PSF_SIGMA, truncate=3.0)
    for top in range(0, shape[0], CHUNK):
        part = image[top : top + CHUNK]
        part += NOISE * rng.standard_normal(part.shape, dtype=np.float32) * (0.5 + part)
        np.clip(part, 0.002, 0.95, out=part)
    return image


def _crown_light(above: Above, sun: light.Sun) -> np.ndarray:
    """Return how crowns catch the light: bright towards the sun, dark away from it and between them."""
    gy, gx = np.gradient(ndimage.gaussian_filter(above.canopy, 0.5))
    sx, sy = sun.towards
    facing = -(gx * np.float32(sx) + gy * np.float32(sy))
    return np.clip(0.97 + 0.20 * facing, 0.55, 1.40)
