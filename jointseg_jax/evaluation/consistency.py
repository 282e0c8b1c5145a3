"""What speaks for the super-resolved image without the true one: its agreement with the input, and its support."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.models.sensor import SensorModel
from jointseg_jax.rasters.contract import IGNORE

_REACH = 2  # coarse pixels at the border of an image, whose observation lacks neighbours


@dataclasses.dataclass(frozen=True)
class Consistency(Sums):
    """Sums over coarse pixels and bands of the residual (observed again - input), in the input's units."""

    values: int = 0
    residual: float = 0.0
    squared_residual: float = 0.0

    @classmethod
    def of(cls, image: np.ndarray, seen: np.ndarray, valid: np.ndarray, sensor: SensorModel) -> "Consistency":
        """Observes an image again and compares it with the input, but for pixels at the border.

        Args:
            image: [factor * h, factor * w, bands].
            seen: the input [h, w, bands].
            valid: bool [h, w].
            sensor: of the network.
        """
        factor = image.shape[0] // seen.shape[0]
        again = np.asarray(sensor.observe(jnp.asarray(image[None]), factor))[0]
        inner = np.zeros_like(valid)
        inner[_REACH:-_REACH, _REACH:-_REACH] = valid[_REACH:-_REACH, _REACH:-_REACH]
        residual = (again - seen)[inner].astype(np.float64)
        return cls(residual.size, float(residual.sum()), float(np.square(residual).sum()))

    def figures(self) -> dict[str, Any]:
        """Bias and RMSE; None without pixels."""
        if not self.values:
            return {"bias": None, "rmse": None}
        return {"bias": self.residual / self.values, "rmse": math.sqrt(self.squared_residual / self.values)}


@dataclasses.dataclass(frozen=True)
class MeanSupport:
    """Sum over labelled 1 m pixels of how much of the image is measured, see `models.support`."""

    pixels: int = 0
    total: float = 0.0

    def __add__(self, other: "MeanSupport") -> "MeanSupport":
        return MeanSupport(self.pixels + other.pixels, self.total + other.total)

    @classmethod
    def of(cls, support: np.ndarray, label: np.ndarray) -> "MeanSupport":
        """Sums where the label is known; both [h, w]."""
        known = support[label != IGNORE]
        return cls(known.size, float(known.sum(dtype=np.float64)))

    def figure(self) -> float | None:
        """The mean; None without pixels."""
        return self.total / self.pixels if self.pixels else None
