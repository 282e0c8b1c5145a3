"""From the stored numbers of a map's layers to their values; JAX is not loaded for it."""

import numpy as np


def decoded(stored: np.ndarray, known: np.ndarray, scale: float | None, offset: float | None) -> np.ndarray:
    """The values of stored numbers, float32; NaN where not `known`, which has the same shape or broadcasts to it."""
    values = stored.astype(np.float32) * np.float32(1 if scale is None else scale) + np.float32(offset or 0)
    return np.where(known, values, np.float32(np.nan))


def is_class(name: str) -> bool:
    """Whether a layer holds classes, not quantities."""
    return name in ("impervious", "set")
