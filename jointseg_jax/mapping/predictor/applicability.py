"""The area of applicability of a network: how unlike its training ground a place is, judged by the input alone.

Meyer, Pebesma (2021), Methods in Ecology and Evolution 12. The features of a 10 m pixel are the mean and the standard
deviation of every band around it. All features count alike, because a network has no importance per feature.
"""

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from jointseg_jax.mapping.predictor.tiles import Readable
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles

if TYPE_CHECKING:  # takes a third of a second, and most maps need no dissimilarity
    from scipy.spatial import KDTree

AT_THRESHOLD = 100  # the product stores round(100 x dissimilarity / threshold)
MOST = 2 * AT_THRESHOLD  # larger values are stored as this
_REACH = 8  # input pixels: the features are those of 170 m


@dataclasses.dataclass(frozen=True)
class Applicability:
    """The training ground, as places in the space of features.

    Attributes:
        vectors: float32 [places, features], little-endian, divided by `scale`.
        scale: standard deviation of each feature over the places.
        unit: mean distance between two places.
        threshold: the largest dissimilarity of training ground from other training ground, without outliers.
    """

    vectors: bytes
    scale: tuple[float, ...]
    unit: float
    threshold: float

    def __post_init__(self) -> None:
        size = 4 * len(self.scale)
        if not size or not self.vectors or len(self.vectors) % size or not (self.unit > 0 and self.threshold > 0):
            raise ValueError(f"{len(self.vectors)} bytes of {len(self.scale)} features, unit {self.unit:g}")

    @classmethod
    def of(cls, vectors: np.ndarray, groups: np.ndarray) -> "Applicability":
        """Measures training ground.

        Args:
            vectors: features of places, [places, features].
            groups: number of each place's site or block, at least two different ones; a place is compared with those
                of other groups, because its neighbours are alike.
        """
        from scipy.spatial.distance import cdist

        scale = vectors.std(0, dtype=np.float64)
        scale[scale == 0] = 1.0
        scaled = (vectors / scale).astype("<f4")
        distance = cdist(scaled, scaled)
        unit = float(distance.sum() / (len(scaled) * (len(scaled) - 1))) or 1.0
        distance[groups[:, None] == groups[None]] = np.inf
        nearest = distance.min(1) / unit
        first, third = np.quantile(nearest, (0.25, 0.75))
        inside = nearest[nearest <= third + 1.5 * (third - first)]  # the upper whisker of a box plot, as in the paper
        return cls(scaled.tobytes(), tuple(scale.tolist()), unit, float(inside.max()) or 1.0)

    @functools.cached_property
    def _tree(self) -> "KDTree":
        from scipy.spatial import KDTree

        return KDTree(np.frombuffer(self.vectors, "<f4").reshape(-1, len(self.scale)))

    def levels(self, scene: Readable, window: Window) -> np.ndarray:
        """The dissimilarity of a window as the product stores it: uint8 [h, w], up to 100 inside the area."""
        handles = Handles()
        try:
            found = features(scene, window, handles)
        finally:
            handles.close()
        distance, _ = self._tree.query((found / np.asarray(self.scale)).reshape(-1, len(self.scale)))
        level = np.minimum(AT_THRESHOLD * distance / (self.unit * self.threshold), MOST)
        return np.round(level).astype(np.uint8).reshape(window.height, window.width)


def features(scene: Readable, window: Window, handles: Handles) -> np.ndarray:
    """Mean and standard deviation of each band over the valid pixels within 170 m, float64 [h, w, 2 x bands].

    The unit is the band's standard deviation over the training ground. What is absent everywhere is the training mean.
    Every pixel is summed by itself, in one order, so the features do not depend on the window.
    """
    reads = scene.read(window.pad(_REACH), handles)
    parts = []
    for modality in scene.contract.modalities:
        values, valid = standardised(modality, reads[modality.name])
        count = np.maximum(_around(valid[..., None].astype(np.float64)), 1)
        mean = _around(values) / count
        parts += [mean, np.sqrt(np.maximum(_around(np.square(values)) / count - np.square(mean), 0))]
    return np.concatenate(parts, -1)


def standardised(modality: Modality, read: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The mean over valid dates, in training standard deviations from the training mean, and where there is one.

    Args:
        modality: with statistics.
        read: of it, see `Scene.read`.

    Returns:
        float64 [h, w, bands], zero where no date is valid, and bool [h, w].
    """
    mean, deviation = modality.normalisation()
    valid = read["valid"][..., None]
    dates = valid.sum(0)
    total = np.where(valid, (read["values"] - mean) / deviation, 0.0).sum(0)
    return total / np.maximum(dates, 1), dates[..., 0] > 0


def _around(values: np.ndarray) -> np.ndarray:
    """Sums over the window of the features: [h + 16, w + 16, n] to [h, w, n]."""
    ones, core = np.ones(2 * _REACH + 1), slice(_REACH, -_REACH)
    rows = ndimage.correlate1d(values, ones, axis=0, mode="constant")[core]
    return np.asarray(ndimage.correlate1d(rows, ones, axis=1, mode="constant")[:, core])
