"""Improvement, omission and hallucination of images at 2.5 m, as opensr-test 1.3.3 computes them by default.

Source: the package opensr-test, and Aybar et al., "A Comprehensive Benchmark for Optical Remote Sensing Image
Super-Resolution", IEEE GRSL 21, 2024. Histogram matching, alignment and the threshold of detail are functions of a
whole image. So a site is cut into chips of the size of the benchmark's images, whatever its tiling, and figures are
means over chips.
"""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.exposure import match_histograms
from skimage.registration import phase_cross_correlation

from jointseg_jax.evaluation.sums import Sums

SPACING = Fraction(5, 2)  # metres, of the benchmark's images
_SCALE = 4
_CHIP = 128  # coarse pixels on a side, as the benchmark's images, which have 484 or 512 pixels of 2.5 m
_LEAST_CHIP = 32
_LEAST_VALID = 0.5  # of a chip's pixels
# Defaults of opensr-test 1.3.3.
_BORDER = 16  # pixels of 2.5 m that do not count
_DETAIL_QUANTILE = 0.75  # of the distance between input and target: pixels with less detail do not count
_SHARPNESS = 0.05  # "im_score", "om_score" and "ha_score"
_TEMPERATURE = 0.25
_STEPS = 50  # of the shift, per pixel
_FARTHEST = 5.0  # pixels; a larger shift is not believed
_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class Correctness(Sums):
    """Sums over chips of three shares whose sum is one."""

    chips: int = 0
    improvement: float = 0.0
    omission: float = 0.0
    hallucination: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Chips and the mean shares; None without chips."""
        shares = {name: getattr(self, name) for name in ("improvement", "omission", "hallucination")}
        return {"chips": self.chips, **{name: x / self.chips if self.chips else None for name, x in shares.items()}}


class Chips:
    """Cuts strips of a site into square chips, from its top left corner, and scores them.

    What remains at the right and at the bottom is left out. A site smaller than `_CHIP` is cut into chips as long as
    its shorter side.
    """

    def __init__(self, height: int, width: int):
        """Takes the size of the site in coarse pixels."""
        self._side, self._width = min(_CHIP, height, width), width
        self._rest: tuple[np.ndarray, ...] = ()

    def add(
        self, coarse: np.ndarray, target: np.ndarray, valid: np.ndarray, images: Sequence[np.ndarray]
    ) -> list[Correctness]:
        """Adds the next rows of the site; scores the chips that they complete.

        Args:
            coarse: the input [h, width, bands].
            target: [4 h, 4 width, bands].
            valid: bool [4 h, 4 width].
            images: [4 h, 4 width, bands] each.

        Returns:
            One sum for each image.
        """
        rows: tuple[np.ndarray, ...] = (coarse, target, valid, *images)
        if self._rest:
            rows = tuple(np.concatenate(pair) for pair in zip(self._rest, rows, strict=True))
        found = [Correctness() for _ in images]
        side = self._side
        while side >= _LEAST_CHIP and len(rows[0]) >= side:
            for left in range(0, self._width - side + 1, side):
                near, *fine = (x[: k * side, k * left : k * (left + side)] for x, k in _scaled(rows))
                for i, image in enumerate(fine[2:]):
                    found[i] += score_chip(near, image, fine[0], fine[1])
            rows = tuple(x[k * side :] for x, k in _scaled(rows))
        self._rest = rows
        return found


def _scaled(rows: Sequence[np.ndarray]) -> list[tuple[np.ndarray, int]]:
    """Arrays with the number of their pixels along a coarse pixel: the first is coarse."""
    return [(x, _SCALE if i else 1) for i, x in enumerate(rows)]


def score_chip(
    coarse: np.ndarray, image: np.ndarray, target: np.ndarray, valid: np.ndarray, *, align: bool = True
) -> Correctness:
    """Scores one image.

    The image gets the target's histogram, per band, and the shift that aligns it best with the target (phase
    correlation of the band means). Distances between it, target and bilinear input are mean normalised differences
    |a - b| / |a + b| over bands. Each pixel with detail then has three distances, from what is improved, omitted and
    invented; their softmin gives the shares.

    The package knows no invalid pixels. Here the histograms, the threshold and the means leave them out, and the
    alignment sees the target in their place.

    Args:
        coarse: [h, w, bands], at least 9 pixels on a side.
        image: [4 h, 4 w, bands].
        target: [4 h, 4 w, bands].
        valid: bool [4 h, 4 w].
        align: False leaves the shift out, as `harm_apply_spatial=False` in the package.

    Returns:
        The sums over one chip; of none, if less than half of it is valid or no pixel can be judged.
    """
    fine, near = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER], _BORDER // _SCALE
    coarse, image, target, valid = coarse[near:-near, near:-near], image[fine], target[fine], valid[fine]
    if valid.mean() < _LEAST_VALID:
        return Correctness()
    harmonised = target.copy()
    harmonised[valid] = match_histograms(image[valid], target[valid], channel_axis=-1)
    if align:
        harmonised = _aligned(harmonised, target)
    bilinear = ndimage.zoom(coarse, (_SCALE, _SCALE, 1), order=1, mode="nearest", grid_mode=True)
    reference, improved, added = (
        _distance(a, b)[valid] for a, b in ((bilinear, target), (harmonised, target), (harmonised, bilinear))
    )
    rank = int(_DETAIL_QUANTILE * reference.size) - 1
    threshold = np.partition(reference, rank)[rank]
    judged = (reference > threshold) | (improved > threshold) | (added > threshold)
    shares = _shares(*(x[judged] for x in (reference, improved, added)))
    shares = shares[:, np.isfinite(shares).all(0)]
    return Correctness(1, *shares.mean(1, dtype=np.float64).tolist()) if shares.size else Correctness()


def _aligned(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The image, shifted onto the target, if that is not too far."""
    shift, _, _ = phase_cross_correlation(target.mean(-1), image.mean(-1), upsample_factor=_STEPS)
    if np.linalg.norm(shift) > _FARTHEST:
        return image
    return np.asarray(ndimage.shift(image, (*shift, 0), order=1, mode="nearest"))


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean over bands of the normalised difference. [h, w]."""
    return np.asarray((np.abs(a - b) / np.abs(a + b + _EPSILON)).mean(-1))


def _shares(reference: np.ndarray, improved: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Shares of improvement, omission and hallucination [3, n]; NaN where the input equals target and image."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        from_target, from_input = improved / reference, added / reference
        damp = 1 - np.exp(-_SHARPNESS * (from_target + from_input - 1))
        distances = np.stack(
            [
                from_target + from_input * damp,
                from_input + from_target * damp,
                np.exp(-_SHARPNESS * from_target * from_input),
            ]
        )
        weights = np.exp(-distances / _TEMPERATURE)
        return np.asarray(weights / weights.sum(0))
