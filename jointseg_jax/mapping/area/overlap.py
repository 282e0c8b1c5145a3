"""Measures on some windows how well the maps of two overlapping scenes agree."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.predictor.tiles import cores
from jointseg_jax.mapping.scenes.merged_scene import MergedScene
from jointseg_jax.rasters.blocks import repeat_pixels
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.rasters.lattice import Window

_SCENES = 3  # the first in order of preference; all their pairs are compared
_WINDOWS = 2  # per pair
_LEAST = 0.1  # share of a full window in which both must have data


def compare_overlaps(
    predictor: Predictor, ground: MergedScene, valid: Sequence[np.ndarray], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Maps windows in the overlap of two scenes from each scene, and compares the maps.

    The agreement shows how much the map depends on the choice of scene: on season, haze, co-registration, and
    construction between the dates. It does not measure accuracy.

    Args:
        predictor: the network and its tiling.
        ground: a tile.
        valid: per scene, bool `[h, w]`: where it has data on ground that the tile owns.
        names: of the scenes.

    Returns:
        Per pair with enough overlap: `scenes`, `windows`, `pixels` (1 m, where both have data), `class_agreement`
        (share of them with the same class) and `mean_difference` (mean absolute difference of the probability).
    """
    threshold = predictor.trained.meta.calibration.threshold
    found: list[dict[str, Any]] = []
    for a, b in itertools.combinations(range(min(_SCENES, len(valid))), 2):
        both = valid[a] & valid[b]
        windows = _fullest(both, predictor.tile)
        if not windows:
            continue
        pixels, same, difference = 0, 0, 0.0
        # Sequentially, because the reported memory is that of one run.
        first, second = ([t.probability for t in predictor.run_windows(ground.preferring(k), windows)] for k in (a, b))
        for window, ours, theirs in zip(windows, first, second, strict=True):
            part = both[window.slices()]
            mask = repeat_pixels(part, FINE_FACTOR)
            p, q = ours[mask], theirs[mask]
            pixels += len(p)
            same += int(((p >= threshold) == (q >= threshold)).sum())
            difference += float(np.abs(p - q).sum(dtype=np.float64))
        found.append(
            {
                "scenes": [names[a], names[b]],
                "windows": len(windows),
                "pixels": pixels,
                "class_agreement": same / pixels,
                "mean_difference": difference / pixels,
            }
        )
    return found


def _fullest(both: np.ndarray, tile: int) -> list[Window]:
    """The cores with the most common ground; ties keep their order."""
    height, width = both.shape
    counted = [(int(both[w.slices()].sum()), w) for w in cores(height, width, tile)]
    least = max(1.0, _LEAST * min(tile, height) * min(tile, width))
    enough = sorted((c for c in counted if c[0] >= least), key=lambda c: -c[0])
    return [window for _, window in enough[:_WINDOWS]]
