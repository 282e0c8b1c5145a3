"""Jumps between dates, measured on ground that no date shows as changed: of season, of haze, of radiometry."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jointseg_jax.change.inputs import Image

SURE_OF = {"pervious": (0.0, 0.1), "impervious": (0.9, 1.0)}  # mean probability of a 10 m pixel
_LEAST = 50  # pixels of 10 m


def stable_ground(means: np.ndarray, without: int) -> dict[str, np.ndarray]:
    """Ground that all other dates show alike and surely: bool [h, w] by class.

    Args:
        means: [dates, h, w]: mean probability of 10 m pixels, NaN without data.
        without: the date that is judged; it must not choose its own ground.
    """
    others = np.delete(means, without, 0)
    known = np.isfinite(others)
    return {
        name: known.any(0) & (~known | ((others >= low) & (others <= high))).all(0)
        for name, (low, high) in SURE_OF.items()
    }


def jump(means: np.ndarray, at: int, reference: int, images: Sequence[Image | None]) -> dict[str, Any]:
    """How a date differs from the reference on stable ground.

    Args:
        means: see `stable_ground`, over the images' windows.
        at, reference: indexes of dates.
        images: per date; None where the input cannot be read.

    Returns:
        By class `pixels`, `probability` (mean difference), and `bands`: the median difference of every band, in the
        units of the input, where both inputs can be read. A class with fewer than 50 pixels is left out.
    """
    found: dict[str, Any] = {}
    for name, ground in stable_ground(means, at).items():
        both = ground & np.isfinite(means[at]) & np.isfinite(means[reference])
        if both.sum() < _LEAST:
            continue
        change = float((means[at] - means[reference])[both].mean())
        found[name] = {"pixels": int(both.sum()), "probability": round(change, 4)}
        own, other = images[at], images[reference]
        if own is None or other is None or own.bands != other.bands:
            continue
        seen = both & own.valid & other.valid
        if seen.sum() >= _LEAST:
            steps = np.median(own.values[seen] - other.values[seen], 0)
            found[name]["bands"] = {band: round(float(v), 5) for band, v in zip(own.bands, steps, strict=True)}
    return found
