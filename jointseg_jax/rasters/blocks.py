"""Arrays on lattices n times finer or coarser: pixels repeated, blocks of pixels averaged."""

import numpy as np


def repeat_pixels(x: np.ndarray, n: int) -> np.ndarray:
    """Repeats every pixel n x n times: [h, w, ...] -> [n * h, n * w, ...]."""
    return x.repeat(n, 0).repeat(n, 1)


def block_mean(x: np.ndarray, n: int) -> np.ndarray:
    """Means of n x n blocks, the remainder cut off: [h, w, ...] -> [h // n, w // n, ...]."""
    h, w = x.shape[0] // n, x.shape[1] // n
    return x[: h * n, : w * n].reshape(h, n, w, n, *x.shape[2:]).mean((1, 3))
