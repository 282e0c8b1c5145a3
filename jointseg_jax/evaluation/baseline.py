"""A plain baseline at 10 m: ridge regression of the impervious fraction on the input's pixel and its neighbours.

A network that maps fractions worse than this has learned nothing from its context.
"""

import dataclasses
import math

import numpy as np

from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.data.prepare.recipe import strips
from jointseg_jax.data.prepare.splits import CODES
from jointseg_jax.mapping.predictor.applicability import standardised
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE, Contract
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles, read_window
from jointseg_jax.rasters.scene import Scene

_RIDGE = 1e-4  # of the mean square of the features
_MOST = 2_000_000  # 10 m pixels: 200 km2


@dataclasses.dataclass(frozen=True)
class Regression:
    """The coefficients of a fraction, float64 [features], see `_features`."""

    coefficients: np.ndarray

    def fraction(self, scene: Scene, handles: Handles) -> np.ndarray:
        """The estimated impervious fraction of a scene's 10 m pixels, between 0 and 1, float32 [h, w]."""
        height, width = scene.shape
        found = np.empty((height, width), np.float32)
        for window in strips(height, width):
            found[window.slices()] = np.clip(_features(scene, window, handles) @ self.coefficients, 0, 1)
        return found


def fit(data: Dataset, contract: Contract, dates: int | None = None) -> Regression | None:
    """Fits the regression on a dataset's training ground; None without labelled training ground.

    Of more than 200 km2, every so many strips are used, so that a large dataset costs no more than a small one.

    Args:
        data: the dataset.
        contract: of the network; its modalities are the features.
        dates: use only the first dates of each site; None for all.
    """
    gram: np.ndarray | None = None
    moment = np.zeros(0)
    handles = Handles()
    try:
        places = [(s, w) for s in data.sites.values() if s.pixels.get("train") for w in strips(s.height, s.width)]
        every = math.ceil(sum(window.height * window.width for _, window in places) / _MOST)
        for site, window in places[:: max(1, every)]:
            fraction, counted = _reference(data, site, window, handles)
            if counted.any():
                scene = data.scene(site.name, contract).first_dates(dates)
                features = _features(scene, window, handles)[counted]
                if gram is None:
                    gram, moment = np.zeros((features.shape[1],) * 2), np.zeros(features.shape[1])
                gram += features.T @ features
                moment += features.T @ fraction[counted]
    finally:
        handles.close()
    if gram is None:
        return None
    return Regression(np.linalg.solve(gram + _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), moment))


def _features(scene: Scene, window: Window, handles: Handles) -> np.ndarray:
    """One, then per band the pixel, its square and its 8 neighbours, in standard deviations: float64 [h, w, features].

    Dates are averaged; what is missing is the mean of the training ground, so zero.
    """
    parts = [np.ones((window.height, window.width, 1))]
    reads = scene.read(window.pad(1), handles)
    for modality in scene.contract.modalities:
        values, _ = standardised(modality, reads[modality.name])
        for row in range(3):
            for col in range(3):
                parts.append(values[row : row + window.height, col : col + window.width])
        parts.append(np.square(values[1:-1, 1:-1]))
    return np.concatenate(parts, axis=-1, dtype=np.float64)


def _reference(data: Dataset, site: Site, window: Window, handles: Handles) -> tuple[np.ndarray, np.ndarray]:
    """The labelled fraction of 10 m pixels, and which are training ground with a known half at least: [h, w] each."""
    ground = read_window(handles.get(str(data.root / site.split)), window)[0][..., 0] == CODES["train"]
    if not ground.any():
        return np.zeros(ground.shape), ground
    label = read_window(handles.get(str(data.root / site.label)), window.scale(FINE_FACTOR))[0][..., 0]
    cells = label.reshape(window.height, FINE_FACTOR, window.width, FINE_FACTOR)
    known = (cells != IGNORE).sum((1, 3))
    return (cells == 1).sum((1, 3)) / np.maximum(known, 1), ground & (2 * known >= FINE_FACTOR**2)
