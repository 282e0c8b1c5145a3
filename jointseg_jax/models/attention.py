"""Channel and spatial attention over a bounded neighbourhood (after CBAM, Woo et al. 2018, arXiv 1807.06521).

CBAM pools over the whole feature map, so a map would depend on its division into tiles. Here the channel gate comes
from means over sliding windows of the 10 m lattice: shifting a tile by whole 10 m pixels only shifts the gate.
"""

from fractions import Fraction
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jointseg_jax.models.layers import Conv, window_mean
from jointseg_jax.models.resampling import area_mean, resample

_REDUCTION = 4
_MIN_HIDDEN = 4


class ChannelAttention(nn.Module):
    """Scales channels by a gate computed from the neighbourhood's mean activations.

    Attributes:
        scale: 10 m lattice / this lattice, at most 1 (1/10 at 1 m), for pooling at 10 m.
        levels: the window is 3**levels coarse pixels wide.
        dtype: of the computation.
    """

    scale: Fraction
    levels: int = 2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array) -> jax.Array:
        """x: [b, h, w, c]; valid: [b, h * scale, w * scale, 1] at 10 m. Returns [b, h, w, c]."""
        channels = x.shape[-1]
        pooled = window_mean(area_mean(x, self.scale).astype(jnp.float32), valid, self.levels)
        hidden = nn.relu(
            Conv(max(_MIN_HIDDEN, channels // _REDUCTION), size=1, dtype=self.dtype, name="squeeze")(pooled)
        )
        gate = nn.sigmoid(Conv(channels, size=1, dtype=self.dtype, name="excite")(hidden))
        return x * resample(gate, 1 / self.scale, "bilinear").astype(x.dtype)


class SpatialAttention(nn.Module):
    """Scales pixels by a gate computed from the channel mean and maximum around them."""

    size: int = 7
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b, h, w, c]."""
        summary = jnp.concatenate([x.mean(-1, keepdims=True), x.max(-1, keepdims=True)], axis=-1)
        gate = nn.sigmoid(Conv(1, size=self.size, dtype=self.dtype, name="conv")(summary))
        return x * gate
