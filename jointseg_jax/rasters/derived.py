"""Layers made from others: backscatter in dB from linear power, slope and aspect from elevation."""

import numpy as np

# Bands of terrain. Slope is rise over run. Northness and eastness are the horizontal parts of the surface's unit
# normal, sin(slope) times cosine and sine of the aspect (the direction of descent, clockwise from north): aspect itself
# jumps at north, and is noise on a plain.
TERRAIN = ("slope", "northness", "eastness")


def decibel(power: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Backscatter `[h, w, bands]` in dB from linear power, and where it is valid `[h, w]`; 0 is no measurement."""
    present = valid & (power > 0).all(-1)
    found = 10 * np.log10(np.where(present[..., None], power, 1.0))
    return found.astype(np.float32), present


def terrain(
    elevation: np.ndarray, valid: np.ndarray, spacing: float, bands: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Bands of `TERRAIN` on a north-up lattice, by the gradient of Horn (1981) over 3 x 3 pixels.

    Args:
        elevation: `[h + 2, w + 2]`, metres: one pixel more on every side.
        valid: where it is known, `[h + 2, w + 2]`.
        spacing: of its pixels, metres.
        bands: of the result.

    Returns:
        float32 `[h, w, bands]`, and where all nine pixels are known `[h, w]`.
    """
    height, width = elevation.shape[0] - 2, elevation.shape[1] - 2
    z = np.where(valid, elevation, 0.0).astype(np.float64)

    def at(row: int, col: int, values: np.ndarray = z) -> np.ndarray:
        return values[row : row + height, col : col + width]

    east = (at(0, 2) + 2 * at(1, 2) + at(2, 2) - at(0, 0) - 2 * at(1, 0) - at(2, 0)) / (8 * spacing)
    north = (at(0, 0) + 2 * at(0, 1) + at(0, 2) - at(2, 0) - 2 * at(2, 1) - at(2, 2)) / (8 * spacing)
    slope = np.hypot(east, north)
    length = np.sqrt(1 + slope**2)
    made = {"slope": slope, "northness": -north / length, "eastness": -east / length}
    known = np.asarray(np.stack([at(row, col, valid) for row in range(3) for col in range(3)]).all(0))
    return np.stack([made[band] for band in bands], -1).astype(np.float32), known
