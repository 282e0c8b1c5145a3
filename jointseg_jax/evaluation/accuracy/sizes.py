"""How many units to label, and in which stratum: Olofsson et al. 2014, section 5.1."""

import math

import numpy as np


def total_size(weights: np.ndarray, right: np.ndarray, target: float, units: float = math.inf) -> int:
    """The sample size that gives the standard error of overall accuracy aimed at (equation 13).

    Args:
        weights: share of the area of every stratum.
        right: conjectured share of each stratum that is right (user's accuracy).
        target: standard error.
        units: in the population; the second term of the denominator is negligible for a map of many pixels.
    """
    deviation = np.sqrt(right * (1 - right))
    below = target**2 + (weights @ deviation**2) / units
    return max(1, math.ceil(round((weights @ deviation) ** 2 / below, 6)))


def allocate(weights: np.ndarray, total: int, minimum: int) -> np.ndarray:
    """Units per stratum: the minimum where the proportional share is less, the rest in proportion.

    The result adds up to `total`, or to `minimum` per stratum if that is more.
    """
    count = len(weights)
    total = max(total, minimum * count)
    held = np.zeros(count, bool)
    while True:
        free = total - minimum * held.sum()
        share = np.where(held, 0, weights) / max(weights[~held].sum(), 1e-300) * free
        short = ~held & (share < minimum)
        if not short.any():
            break
        held |= short
    sizes = np.where(held, minimum, np.floor(share)).astype(int)
    # Largest remainders get what rounding left.
    order = np.argsort(-(np.where(held, -1, share - np.floor(share))), kind="stable")
    sizes[order[: total - sizes.sum()]] += 1
    return sizes
