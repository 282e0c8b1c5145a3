"""How well boundaries are placed: boundary F1 and boundary IoU at tolerances of 1, 2 and 3 m."""

import dataclasses
from typing import Any

import numpy as np
from scipy import ndimage

from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.rasters.contract import IGNORE

TOLERANCES = (1, 2, 3)  # pixels of 1 m
_RIM = max(TOLERANCES) + 1  # pixels; nearer to an unknown pixel, a boundary may belong to what is unknown


def _zeros() -> np.ndarray:
    return np.zeros(len(TOLERANCES), np.int64)


@dataclasses.dataclass(frozen=True)
class BoundaryScore(Sums):
    """Pixel counts per tolerance, each int64 [3].

    Attributes:
        mapped: contour pixels of the map.
        mapped_near: those within the tolerance of the reference's contour.
        reference: contour pixels of the reference.
        reference_near: those within the tolerance of the map's contour.
        both: pixels in the boundary region of map and reference, as wide as the tolerance.
        either: pixels in one of them at least.
    """

    mapped: np.ndarray = dataclasses.field(default_factory=_zeros)
    mapped_near: np.ndarray = dataclasses.field(default_factory=_zeros)
    reference: np.ndarray = dataclasses.field(default_factory=_zeros)
    reference_near: np.ndarray = dataclasses.field(default_factory=_zeros)
    both: np.ndarray = dataclasses.field(default_factory=_zeros)
    either: np.ndarray = dataclasses.field(default_factory=_zeros)

    @classmethod
    def of(cls, mapped: np.ndarray, reference: np.ndarray) -> "BoundaryScore":
        """Counts the boundaries of class 1 in two class maps [h, w] (0, 1, 255 for unknown).

        Pixels within 4 m of an unknown pixel or of the edge are left out.
        """
        known = (mapped != IGNORE) & (reference != IGNORE)
        judged = ndimage.minimum_filter(known, 2 * _RIM + 1, mode="constant", cval=0)
        ours, theirs = (known & (classes == 1) for classes in (mapped, reference))
        our_contour, their_contour = (
            _region(mask, 1, ndimage.generate_binary_structure(2, 1)) for mask in (ours, theirs)
        )
        counts = []
        for tolerance in TOLERANCES:
            disc = _disc(tolerance)
            near_theirs, near_ours = (ndimage.binary_dilation(c, disc) for c in (their_contour, our_contour))
            a, b = (_region(mask, tolerance, disc) for mask in (ours, theirs))
            pairs = (
                our_contour, our_contour & near_theirs, their_contour, their_contour & near_ours, a & b, a | b,
            )  # fmt: skip
            counts.append([int((part & judged).sum()) for part in pairs])
        return cls(*np.array(counts, np.int64).T)

    def figures(self) -> dict[str, Any]:
        """Per tolerance: boundary F1 (Csurka et al. 2013) and boundary IoU (Cheng et al. 2021), or None."""
        found = {}
        for k, tolerance in enumerate(TOLERANCES):
            precision, recall = (
                float(near[k] / count[k]) if count[k] else None
                for near, count in ((self.mapped_near, self.mapped), (self.reference_near, self.reference))
            )
            f1 = None
            if precision is not None and recall is not None:
                f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            iou = float(self.both[k] / self.either[k]) if self.either[k] else None
            found[f"{tolerance}m"] = {"precision": precision, "recall": recall, "f1": f1, "iou": iou}
        return found


def _disc(radius: int) -> np.ndarray:
    rows, cols = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(rows**2 + cols**2 <= radius**2)


def _region(mask: np.ndarray, width: int, structure: np.ndarray) -> np.ndarray:
    """The pixels of a mask that are within `width` of its outside; beyond the edge the mask is taken to go on."""
    return mask & ~ndimage.binary_erosion(mask, structure, border_value=1)
