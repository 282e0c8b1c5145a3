"""The observation of a 10 m sensor as a differentiable operator, and its regularised inverse.

The point spread is a Gaussian x the box of a 10 m pixel per band (`data/sensor.py` derives the Gaussian from the
published MTF and simulates with the same kernel). Back-projection with the bicubic B and the observation A,
x <- x + B (y - A x) from x = B y, never leaves the span of B: x = B z with z <- z + (y - A B z). A B is a separable
kernel of a few taps on the 10 m lattice, so the inverse costs next to nothing, at any factor.
"""

import dataclasses
import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.models.resampling import Stencil, apply_stencil, resample, stencil

_SIGMAS = 4  # of the Gaussian, beyond which its tail is cut
_LEAST_LIGHT = 1e-5  # linear light below which the display encoding has no useful slope


@dataclasses.dataclass(frozen=True)
class SensorModel:
    """The nominal sensor behind the image bands of the input.

    Attributes:
        sigma: of the Gaussian, in coarse pixels, per band.
        linear_light: the values are a display stretch 0..1 (sRGB encoding); the sensor acts on its linear light.
    """

    sigma: tuple[float, ...]
    linear_light: bool = False

    def observe(self, image: jax.Array, factor: int) -> jax.Array:
        """What the sensor sees of an image, without noise; edge pixels continue beyond the edge.

        Args:
            image: [b, factor * h, factor * w, bands] in physical units.
            factor: pixels of the image along a coarse pixel.

        Returns:
            [b, h, w, bands] in the same units.
        """
        return self._encode(self._blur(self._decode(image), factor))

    def sharpen(self, seen: jax.Array, iterations: int) -> jax.Array:
        """The coarse image whose bicubic enlargement, observed, is close to the given one.

        Args:
            seen: [b, h, w, bands] in physical units.
            iterations: back-projections; more sharpen more and amplify noise.
        """
        return self._encode(self._solve(self._decode(seen), iterations))

    def project(self, image: jax.Array, seen: jax.Array, factor: int, iterations: int) -> jax.Array:
        """The image with the least bicubic correction that makes its observation agree with the input.

        Args:
            image: [b, factor * h, factor * w, bands] in physical units.
            seen: [b, h, w, bands], the input.
            factor: pixels of the image along a coarse pixel.
            iterations: as of `sharpen`.
        """
        light = self._decode(image)
        missing = self._solve(self._decode(seen) - self._blur(light, factor), iterations)
        return self._encode(light + resample(missing, factor, "bicubic"))

    def _blur(self, light: jax.Array, factor: int) -> jax.Array:
        taps = _observation(self.sigma, factor)
        return apply_stencil(apply_stencil(light, taps, factor, 1), taps, factor, 2)

    def _solve(self, seen: jax.Array, iterations: int) -> jax.Array:
        taps, solution = observed_bicubic(self.sigma), seen
        for _ in range(iterations):
            again = apply_stencil(apply_stencil(solution, taps, 1, 1), taps, 1, 2)
            solution = solution + (seen - again)
        return solution

    def _decode(self, values: jax.Array) -> jax.Array:
        """Display values to linear light (IEC 61966-2-1); other units as they are."""
        if not self.linear_light:
            return values
        bright = ((jnp.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4
        return jnp.where(values <= 0.04045, values / 12.92, bright)

    def _encode(self, light: jax.Array) -> jax.Array:
        """Inverse of `_decode`; light below zero becomes zero, which no display can show."""
        if not self.linear_light:
            return light
        bright = 1.055 * jnp.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
        return jnp.where(light <= 0.0031308, jnp.maximum(light, _LEAST_LIGHT) * 12.92, bright)


@functools.cache
def _observation(sigma: tuple[float, ...], factor: int) -> Stencil:
    """Taps along one axis of a coarse pixel over pixels `factor` times finer: offset, and a weight per band."""
    reach = math.ceil(_SIGMAS * max(sigma) * factor)
    offsets = range(-reach, factor + reach)
    weights = np.array([_weights(s * factor, factor, offsets) for s in sigma]).T
    return (tuple((o, tuple(w)) for o, w in zip(offsets, weights.tolist(), strict=True)),)


def _weights(sigma: float, factor: int, offsets: range) -> np.ndarray:
    """The integral of Gaussian x box at pixel centres, with a sum of one."""

    def below(x: float) -> float:
        return 0.5 * (1 + math.erf(x / (sigma * math.sqrt(2))))

    centre = (factor - 1) / 2
    spread = np.array([below(o - centre + factor / 2) - below(o - centre - factor / 2) for o in offsets])
    return spread / spread.sum()


@functools.cache
def observed_bicubic(sigma: tuple[float, ...]) -> Stencil:
    """Taps along one axis of `observe(bicubic enlargement)`, which maps the coarse lattice onto itself."""
    factor = 10  # as fine as the finest lattice; the taps hardly depend on it
    enlarge = stencil(Fraction(factor), "bicubic")
    taps: dict[int, np.ndarray] = {}
    for offset, weight in _observation(sigma, factor)[0]:
        block, phase = divmod(offset, factor)
        for further, share in enlarge[phase]:
            at = block + further
            taps[at] = taps.get(at, np.zeros(len(sigma))) + np.asarray(weight) * share
    kept = {at: w for at, w in taps.items() if np.abs(w).max() > 1e-6}
    total = sum(kept.values())
    return (tuple((at, tuple((w / total).tolist())) for at, w in sorted(kept.items())),)
