"""The segmentation pyramid: lattices from 1 m to 10 m, each fused with the super-resolution features of its scale.

SEG-ESRGAN (Salgueiro et al. 2022) concatenates features of the SR branch into a segmentation encoder. Fusion at every
level and the light head are ours.
"""

from fractions import Fraction
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jointseg_jax.models.attention import ChannelAttention, SpatialAttention
from jointseg_jax.models.layers import ChannelNorm, Conv, leaky_relu
from jointseg_jax.models.progressive import Features
from jointseg_jax.models.resampling import area_mean, resample


class Fusion(nn.Module):
    """Adds the super-resolution features of this scale, then applies channel and spatial attention, as a residual.

    Without features (a control without SR branch) only their projection is absent.
    """

    scale: Fraction
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, feature: jax.Array | None, valid: jax.Array) -> jax.Array:
        """Returns [b, h, w, c].

        x: [b, h, w, c]; feature: [b, h, w, any] on the same lattice; valid: [b, h10, w10, 1] at 10 m.
        """
        y = Conv(x.shape[-1], dtype=self.dtype, name="conv")(x)
        if feature is not None:
            y = y + Conv(x.shape[-1], size=1, dtype=self.dtype, name="project")(feature)
        y = leaky_relu(y)
        y = ChannelAttention(self.scale, dtype=self.dtype, name="channels")(y, valid)
        y = SpatialAttention(dtype=self.dtype, name="places")(y)
        return x + y


class Segmenter(nn.Module):
    """Logits at 1 m from an image at 1 m, the input at 10 m and, if given, the SR branch's features.

    Attributes:
        lattices: spacings of the levels, metres, finest first; the last is the input's.
        widths: channels of each level.
        classes: number of classes.
        blocks: residual convolution blocks at each level but the finest, which stays light.
        dtype: of the computation; logits are float32.
    """

    lattices: tuple[Fraction, ...] = (Fraction(1), Fraction(5, 2), Fraction(10))
    widths: tuple[int, ...] = (16, 32, 64)
    classes: int = 2
    blocks: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, image: jax.Array, inputs: jax.Array, valid: jax.Array, features: tuple[Features, ...] = ()
    ) -> tuple[jax.Array, jax.Array]:
        """Runs the pyramid down to 10 m and back.

        Args:
            image: [b, 10h, 10w, 3] normalised.
            inputs: [b, h, w, c] normalised, zero where invalid.
            valid: [b, h, w, 1] float32, 1 where any input is valid.
            features: of the SR branch.

        Returns:
            Logits [b, 10h, 10w, classes], float32, and the last features before them, [b, 10h, 10w, widths[0]].
        """
        coarse = self.lattices[-1]
        x = leaky_relu(Conv(self.widths[0], dtype=self.dtype, name="stem")(image))
        skips: list[jax.Array] = []
        for level, (spacing, width) in enumerate(zip(self.lattices, self.widths, strict=True)):
            name = f"level{level + 1}"
            if level:
                x = area_mean(x, self.lattices[level - 1] / spacing)
                if spacing == coarse:
                    x = jnp.concatenate([x, inputs.astype(x.dtype)], axis=-1)
                x = leaky_relu(Conv(width, dtype=self.dtype, name=f"{name}_in")(x))
                for block in range(self.blocks):
                    x = ResidualBlock(self.dtype, name=f"{name}_block{block + 1}")(x)
            feature = nearest_feature(features, spacing)
            x = Fusion(spacing / coarse, self.dtype, name=f"{name}_fusion")(x, feature, valid)
            skips.append(x)
        for level in range(len(self.lattices) - 2, -1, -1):
            width = self.widths[level]
            # Project before resampling, because the finer lattice has more pixels and fewer channels.
            x = Conv(width, size=1, dtype=self.dtype, name=f"level{level + 1}_up")(x)
            x = resample(x, self.lattices[level + 1] / self.lattices[level], "bilinear") + skips[level]
            x = leaky_relu(Conv(width, dtype=self.dtype, name=f"level{level + 1}_out")(x))
        return Conv(self.classes, dtype=jnp.float32, name="head")(x), x


class ResidualBlock(nn.Module):
    """Normalise over channels, convolve twice, add."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b, h, w, c]."""
        width = x.shape[-1]
        y = leaky_relu(Conv(width, dtype=self.dtype, name="conv1")(ChannelNorm(name="norm")(x)))
        return x + Conv(width, dtype=self.dtype, name="conv2")(y)


def nearest_feature(features: tuple[Features, ...], spacing: Fraction) -> jax.Array | None:
    """The feature closest to `spacing` in ratio (the later of two equal ones), resampled onto that lattice."""
    if not features:
        return None
    chosen = min(reversed(features), key=lambda f: max(f.spacing / spacing, spacing / f.spacing))
    scale = chosen.spacing / spacing
    return resample(chosen.array, scale, "bilinear") if scale > 1 else area_mean(chosen.array, scale)
