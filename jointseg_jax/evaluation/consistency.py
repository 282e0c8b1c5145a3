"""What speaks for the super-resolved image without the true one: its agreement with the input, and its support."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from jointseg_jax.data.sensor import Sensor
from jointseg_jax.evaluation.sums import Sums
from jointseg_jax.models.sensor import SensorModel
from jointseg_jax.rasters.contract import IGNORE

_REACH = 2  # coarse pixels at the border of an image, whose observation lacks neighbours


@dataclasses.dataclass(frozen=True)
class Consistency(Sums):
    """Sums over coarse pixels and bands of the residual (observed again - input) and of the variance of the noise."""

    values: int = 0
    residual: float = 0.0
    squared_residual: float = 0.0
    noise_values: int = 0
    noise_variance: float = 0.0

    @classmethod
    def of(
        cls, image: np.ndarray, seen: np.ndarray, valid: np.ndarray, sensor: SensorModel, noise: Sensor | None = None
    ) -> "Consistency":
        """Observes an image again and compares it with the input, but for pixels at the border.

        Args:
            image: [factor * h, factor * w, bands].
            seen: the input [h, w, bands].
            valid: bool [h, w].
            sensor: of the network.
            noise: the sensor that knows the noise of the input's bands; None if no one does.
        """
        factor = image.shape[0] // seen.shape[0]
        again = np.asarray(sensor.observe(jnp.asarray(image[None]), factor))[0]
        inner = np.zeros_like(valid)
        inner[_REACH:-_REACH, _REACH:-_REACH] = valid[_REACH:-_REACH, _REACH:-_REACH]
        residual = (again - seen)[inner].astype(np.float64)
        found = cls(residual.size, float(residual.sum()), float(np.square(residual).sum()))
        if noise is None:
            return found
        sigma = noise.noise(seen[inner]).astype(np.float64)
        return found + cls(noise_values=sigma.size, noise_variance=float(np.square(sigma).sum()))

    def figures(self) -> dict[str, Any]:
        """Bias, RMSE, the noise of one observation (RMS) and RMSE / noise; None without pixels or known noise."""
        bias = rmse = noise = None
        if self.values:
            bias, rmse = self.residual / self.values, math.sqrt(self.squared_residual / self.values)
        if self.noise_values:
            noise = math.sqrt(self.noise_variance / self.noise_values)
        return {
            "bias": bias,
            "rmse": rmse,
            "noise": noise,
            "rmse_over_noise": rmse / noise if rmse is not None and noise else None,
        }


@dataclasses.dataclass(frozen=True)
class MeanSupport(Sums):
    """Sum over labelled 1 m pixels of how much of the image is measured, see `models.support`."""

    pixels: int = 0
    total: float = 0.0

    @classmethod
    def of(cls, support: np.ndarray, label: np.ndarray) -> "MeanSupport":
        """Sums where the label is known; both [h, w]."""
        known = support[label != IGNORE]
        return cls(known.size, float(known.sum(dtype=np.float64)))

    def figure(self) -> float | None:
        """The mean; None without pixels."""
        return self.total / self.pixels if self.pixels else None
