"""What size an object must have to be found: buildings and yards by their area, roads by their width."""

import dataclasses
from typing import Any

import numpy as np
from scipy import ndimage

from jointseg_jax.evaluation.sums import Sums, ratio
from jointseg_jax.rasters.contract import IGNORE

AREAS = (0, 25, 50, 100, 200, 500, 1000, 2000, 5000, 20000)  # m2, lower bounds of the classes
WIDTHS = (1, 3, 5, 9, 15, 25, 45)  # m, lower bounds; odd, because a disc of odd diameter lies on pixel centres
_LEAST = 0.5  # recall


def _areas() -> np.ndarray:
    return np.zeros(len(AREAS), np.int64)


def _widths() -> np.ndarray:
    return np.zeros(len(WIDTHS), np.int64)


@dataclasses.dataclass(frozen=True)
class ObjectScore(Sums):
    """Counts per class of area (objects) and of width (pixels).

    Attributes:
        objects: connected parts (4 neighbours) of the reference's class 1, int64 [areas].
        found: those of which the map has at least half.
        mapped: connected parts of the map's class 1.
        false: those of which the reference has less than half.
        pixels: reference pixels of class 1 by local width, int64 [widths].
        hits: those that the map has, too.
    """

    objects: np.ndarray = dataclasses.field(default_factory=_areas)
    found: np.ndarray = dataclasses.field(default_factory=_areas)
    mapped: np.ndarray = dataclasses.field(default_factory=_areas)
    false: np.ndarray = dataclasses.field(default_factory=_areas)
    pixels: np.ndarray = dataclasses.field(default_factory=_widths)
    hits: np.ndarray = dataclasses.field(default_factory=_widths)

    @classmethod
    def of(cls, mapped: np.ndarray, reference: np.ndarray) -> "ObjectScore":
        """Counts the objects of class 1 in two class maps [h, w] (0, 1, 255 for unknown).

        Objects that touch an unknown pixel or the edge have no known size and are left out.
        """
        known = (mapped != IGNORE) & (reference != IGNORE)
        ours, theirs = (known & (classes == 1) for classes in (mapped, reference))
        objects, found = _by_area(theirs, ours, known)
        parts, right = _by_area(ours, theirs, known)
        width = _local_width(theirs)
        return cls(
            objects,
            found,
            parts,
            parts - right,
            *(np.bincount(width[mask], minlength=len(WIDTHS)) for mask in (theirs, theirs & ours)),
        )

    def figures(self) -> dict[str, Any]:
        """Recall and share of false objects by area, pixel recall by width, and the smallest sizes that are found.

        The smallest area (width) is the lower bound of the first class from which on every class that occurs has a
        recall of at least one half; None if the largest has less.
        """
        by_area = [
            {
                "from_m2": lower,
                "objects": int(n),
                "recall": ratio(found, n),
                "mapped": int(mapped),
                "false_share": ratio(false, mapped),
            }
            for lower, n, found, mapped, false in zip(
                AREAS, self.objects, self.found, self.mapped, self.false, strict=True
            )
        ]
        by_width = [
            {"from_m": lower, "pixels": int(n), "recall": ratio(hits, n)}
            for lower, n, hits in zip(WIDTHS, self.pixels, self.hits, strict=True)
        ]
        return {
            "by_area": by_area,
            "by_width": by_width,
            "smallest_area_m2": _smallest(AREAS, [row["recall"] for row in by_area]),
            "smallest_width_m": _smallest(WIDTHS, [row["recall"] for row in by_width]),
        }


def _by_area(mask: np.ndarray, other: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole parts of a mask per class of area, and those of which `other` covers at least half."""
    parts, count = ndimage.label(mask)
    rim = ~ndimage.binary_erosion(known)  # with what lies outside taken as unknown
    whole = np.ones(count + 1, bool)
    whole[np.unique(parts[rim])] = whole[0] = False
    area = np.bincount(parts.ravel(), minlength=count + 1)
    covered = np.bincount(parts[other], minlength=count + 1)
    classes = np.searchsorted(AREAS, area[whole], side="right") - 1
    caught = 2 * covered[whole] >= area[whole]
    return np.bincount(classes, minlength=len(AREAS)), np.bincount(classes[caught], minlength=len(AREAS))


def _local_width(mask: np.ndarray) -> np.ndarray:
    """The class of width of every pixel of a mask, uint8 [h, w]: the largest disc in the mask that covers the pixel.

    That is the granulometry by openings with discs (Serra 1982), by distance transforms. Beyond the edge of the raster
    the mask goes on.
    """
    found = np.zeros(mask.shape, np.uint8)
    if not mask.any():
        return found
    # Without any background the transform has nothing to measure to.
    depth = ndimage.distance_transform_edt(mask) if not mask.all() else np.full(mask.shape, np.inf)
    for k, width in enumerate(WIDTHS[1:], start=1):
        radius = width // 2
        core = depth > radius
        if not core.any():
            break
        found[mask & (ndimage.distance_transform_edt(~core) <= radius)] = k
    return found


def _smallest(sizes: tuple[int, ...], recalls: list[float | None]) -> int | None:
    smallest = None
    for size, recall in zip(reversed(sizes), reversed(recalls), strict=True):
        if recall is None:
            continue
        if recall < _LEAST:
            break
        smallest = size
    return smallest
