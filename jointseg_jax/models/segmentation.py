"""The segmenter: recognition at 5 m and coarser, a light exit at 1 m, fused with super-resolution features.

Convolutions at 1 m cost a hundred times those at 10 m for the same channels. So the 1 m image enters by space-to-depth
and the 1 m logits leave by depth-to-space, and wide layers and wide context lie on coarse lattices.

SEG-ESRGAN (Salgueiro et al. 2022) concatenates features of the SR branch into a segmentation encoder. Fusion at every
level, the dilated context at 10 m and the light exit are ours.
"""

from fractions import Fraction
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jointseg_jax.models.attention import ChannelAttention, SpatialAttention
from jointseg_jax.models.layers import (
    ChannelNorm,
    Conv,
    default_init,
    icnr,
    leaky_relu,
    pixel_shuffle,
    pixel_unshuffle,
)
from jointseg_jax.models.progressive import Features
from jointseg_jax.models.resampling import area_mean, resample


class Fusion(nn.Module):
    """Adds the super-resolution features of this scale, then applies channel and spatial attention, as a residual.

    Without features (a control without SR branch) only their projection is absent.

    Attributes:
        scale: 10 m lattice / this lattice, at most 1.
        attention: whether channels and places are weighted by attention.
        dtype: of the computation.
    """

    scale: Fraction
    attention: bool = True
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
        if self.attention:
            y = ChannelAttention(self.scale, dtype=self.dtype, name="channels")(y, valid)
            y = SpatialAttention(dtype=self.dtype, name="places")(y)
        return x + y


class Segmenter(nn.Module):
    """Logits at 1 m from an image at 1 m, the input at 10 m and, if given, the SR branch's features.

    Attributes:
        lattices: spacings, metres: 1 m of the exit, then the levels, finest first; the second is a whole number of
            metres, the last is the input's.
        widths: channels of the exit and of each level.
        classes: number of classes.
        blocks: residual blocks at each level but the last.
        dilations: of the residual blocks at the last level, one each: its context.
        attention: see `Fusion`.
        fusion: whether the levels and the exit see the SR branch's features.
        dtype: of the computation; logits are float32.
    """

    lattices: tuple[Fraction, ...] = (Fraction(1), Fraction(5), Fraction(10))
    widths: tuple[int, ...] = (8, 48, 96)
    classes: int = 2
    blocks: int = 1
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    attention: bool = True
    fusion: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, image: jax.Array, inputs: jax.Array, valid: jax.Array, features: tuple[Features, ...] = ()
    ) -> tuple[jax.Array, jax.Array]:
        """Runs the levels down to 10 m and back, then the exit.

        Args:
            image: [b, 10h, 10w, 3] normalised.
            inputs: [b, h, w, c] normalised, zero where invalid.
            valid: [b, h, w, 1] float32, 1 where any input is valid.
            features: of the SR branch.

        Returns:
            Logits [b, 10h, 10w, classes], float32, and the last features before them, [b, 10h, 10w, widths[0]].
        """
        features = features if self.fusion else ()
        lattices, widths = self.lattices[1:], self.widths[1:]
        coarse, factor = lattices[-1], int(lattices[0])
        x = pixel_unshuffle(image, factor)
        skips: list[jax.Array] = []
        for level, (spacing, width) in enumerate(zip(lattices, widths, strict=True), start=1):
            if level > 1:
                x = area_mean(x, lattices[level - 2] / spacing)
            if spacing == coarse:
                x = jnp.concatenate([x, inputs.astype(x.dtype)], axis=-1)
            x = leaky_relu(Conv(width, dtype=self.dtype, name=f"level{level}_in")(x))
            dilations = self.dilations if spacing == coarse else (1,) * self.blocks
            for number, dilation in enumerate(dilations, start=1):
                x = ResidualBlock(dilation, self.dtype, name=f"level{level}_block{number}")(x)
            fusion = Fusion(spacing / coarse, self.attention, self.dtype, name=f"level{level}_fusion")
            x = fusion(x, nearest_feature(features, spacing), valid)
            skips.append(x)
        for level in range(len(lattices) - 1, 0, -1):
            width = widths[level - 1]
            # Project before resampling, because the finer lattice has more pixels and fewer channels.
            x = Conv(width, size=1, dtype=self.dtype, name=f"level{level}_up")(x)
            x = resample(x, lattices[level] / lattices[level - 1], "bilinear") + skips[level - 1]
            x = leaky_relu(Conv(width, dtype=self.dtype, name=f"level{level}_out")(x))
        x = self._exit(x, image, nearest_feature(features, self.lattices[0]), factor)
        return Conv(self.classes, size=1, dtype=jnp.float32, name="head")(x), x

    def _exit(self, x: jax.Array, image: jax.Array, feature: jax.Array | None, factor: int) -> jax.Array:
        """Depth to space, then one refinement that sees the 1 m image. Returns [b, 10h, 10w, widths[0]]."""
        width = self.widths[0]
        shuffle = Conv(width * factor**2, dtype=self.dtype, kernel_init=icnr(default_init, factor), name="exit_shuffle")
        x = leaky_relu(pixel_shuffle(shuffle(x), factor))
        y = Conv(width, dtype=self.dtype, name="exit_refine")(jnp.concatenate([x, image.astype(x.dtype)], axis=-1))
        if feature is not None:
            y = y + Conv(width, size=1, dtype=self.dtype, name="exit_project")(feature)
        return x + leaky_relu(y)


class ResidualBlock(nn.Module):
    """Normalise over channels, convolve twice, the first time with `dilation`, add."""

    dilation: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b, h, w, c]."""
        width = x.shape[-1]
        y = Conv(width, dtype=self.dtype, dilation=self.dilation, name="conv1")(ChannelNorm(name="norm")(x))
        return x + Conv(width, dtype=self.dtype, name="conv2")(leaky_relu(y))


def nearest_feature(features: tuple[Features, ...], spacing: Fraction) -> jax.Array | None:
    """The feature closest to `spacing` in ratio (the later of two equal ones), resampled onto that lattice."""
    if not features:
        return None
    chosen = min(reversed(features), key=lambda f: max(f.spacing / spacing, spacing / f.spacing))
    scale = chosen.spacing / spacing
    return resample(chosen.array, scale, "bilinear") if scale > 1 else area_mean(chosen.array, scale)
