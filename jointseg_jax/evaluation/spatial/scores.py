"""All scores of a site that need its whole map."""

import dataclasses
from typing import Any

import numpy as np

from jointseg_jax.evaluation.spatial.blocks import BlockCounts, ByDensity
from jointseg_jax.evaluation.spatial.boundaries import BoundaryScore
from jointseg_jax.evaluation.spatial.fraction import Fractions
from jointseg_jax.evaluation.spatial.objects import ObjectScore
from jointseg_jax.evaluation.spatial.resolution import RingCorrelation
from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.rasters.contract import IGNORE

PART = 6000  # pixels, a multiple of all cells and blocks


@dataclasses.dataclass(frozen=True)
class SpatialScores(Sums):
    """Scores of a site's whole map; they add up over sites.

    Attributes:
        map_fraction: of the classes.
        probability_fraction: of the mean probability, which keeps what the threshold discards.
        boundaries: of the classes.
        objects: of the classes.
        resolution: of the probability.
        density: of the classes, by density of the reference.
        blocks: of the classes.
    """

    map_fraction: Fractions = dataclasses.field(default_factory=Fractions)
    probability_fraction: Fractions = dataclasses.field(default_factory=Fractions)
    boundaries: BoundaryScore = dataclasses.field(default_factory=BoundaryScore)
    objects: ObjectScore = dataclasses.field(default_factory=ObjectScore)
    resolution: RingCorrelation = dataclasses.field(default_factory=RingCorrelation)
    density: ByDensity = dataclasses.field(default_factory=ByDensity)
    blocks: BlockCounts = dataclasses.field(default_factory=BlockCounts)

    @classmethod
    def of(cls, mapped: np.ndarray, probability: np.ndarray, reference: np.ndarray) -> "SpatialScores":
        """Scores a site, in parts of at most 36 km2, so that memory stays bounded.

        Args:
            mapped: classes [h, w], 0, 1, or 255 for unknown.
            probability: of class 1, [h, w].
            reference: classes, likewise.
        """
        total = cls()
        for row in range(0, mapped.shape[0], PART):
            for col in range(0, mapped.shape[1], PART):
                part = np.s_[row : row + PART, col : col + PART]
                total += cls._of_part(mapped[part], probability[part], reference[part])
        return total

    @classmethod
    def _of_part(cls, mapped: np.ndarray, probability: np.ndarray, reference: np.ndarray) -> "SpatialScores":
        known = (mapped != IGNORE) & (reference != IGNORE)
        if not known.any():
            return cls()
        return cls(
            Fractions.of(mapped == 1, reference == 1, known),
            Fractions.of(probability, reference == 1, known),
            BoundaryScore.of(mapped, reference),
            ObjectScore.of(mapped, reference),
            RingCorrelation.of(probability, reference == 1, known),
            ByDensity.of(mapped, reference),
            BlockCounts.of(mapped, reference),
        )

    def figures(self) -> dict[str, Any]:
        """The metrics, as written to metrics.json."""
        return {
            "fraction": {"map": self.map_fraction.figures(), "probability": self.probability_fraction.figures()},
            "boundary": self.boundaries.figures(),
            "objects": self.objects.figures(),
            "resolution": self.resolution.figures(),
            "by_density": self.density.figures(),
            "intervals": self.blocks.intervals(),
        }
