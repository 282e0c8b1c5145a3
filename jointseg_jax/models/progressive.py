"""Progressive super-resolution from 10 m to 1 m: each stage adds detail to the bicubic of the input.

The paper's generator is an ESRGAN x4 and a second stage that sees the upsampled input and the first stage's image. The
factor 2.5 of that stage follows from the total of 10. Any rational factors with product 10 work.
"""

import dataclasses
from fractions import Fraction
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jointseg_jax.models.layers import (
    Conv,
    UpsampledConv,
    he_init,
    icnr,
    leaky_relu,
    pixel_shuffle,
    pixel_unshuffle,
)
from jointseg_jax.models.resampling import resample
from jointseg_jax.models.rrdb import Trunk


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        factor: upsampling factor.
        blocks: RRDBs in its trunk.
        features: channels of the trunk.
        growth: growth of the dense blocks.
        tail_features: channels of the tail, from the first upsampling on.
        unshuffle: factor by which the lattice of the trunk is coarser than that of the stage's input.
        subpixel: whether the trunk also adds to the residual directly, by a sub-pixel convolution, where the stage's
            lattice is a whole number of times finer than the trunk's.
    """

    factor: Fraction
    blocks: int = 23
    features: int = 64
    growth: int = 32
    tail_features: int = 64
    unshuffle: int = 1
    subpixel: bool = False


@dataclasses.dataclass(frozen=True)
class Features:
    """Features of a stage for the segmenter: an array [b, h, w, c] and its spacing in metres."""

    spacing: Fraction
    array: jax.Array


@dataclasses.dataclass(frozen=True)
class SuperResolved:
    """The outputs of all stages.

    Every stage's image [b, h, w, 3] float32, its spacing, and features of all trunks and the last tail.
    """

    images: tuple[jax.Array, ...]
    spacings: tuple[Fraction, ...]
    features: tuple[Features, ...]


def stage_spacings(stages: tuple[Stage, ...], spacing: Fraction) -> tuple[Fraction, ...]:
    """Spacing of each stage's image, for input at `spacing`.

    Raises `ValueError` unless the total factor is an integer after every stage, which lets tiles begin at any input
    pixel, and 10 after the last.
    """
    spacings = []
    at = spacing
    for stage in stages:
        at = at / stage.factor
        spacings.append(at)
        if (spacing / at).denominator != 1:
            raise ValueError(
                f"a stage at {float(at):g} m does not divide the input's {float(spacing):g} m pixel into whole parts"
            )
    if at * 10 != spacing:
        raise ValueError(f"stage factors {[str(s.factor) for s in stages]} multiply to {spacing / at}, not to 10")
    return tuple(spacings)


def image_resample(image: jax.Array, scale: Fraction) -> jax.Array:
    """The float32 bicubic to which stages add. [b, h, w, bands] -> [b, scale * h, scale * w, bands]."""
    return resample(image.astype(jnp.float32), scale, "bicubic")


class StageNet(nn.Module):
    """The network of one stage: [unshuffle] -> conv -> RRDB trunk -> conv -> upsampling tail -> residual image.

    A narrow tail is a bottleneck: all detail must pass its few channels. The sub-pixel convolution (Shi et al. 2016,
    arXiv 1609.05158) leads around it.
    """

    stage: Stage
    bands: int = 3
    scan: bool | None = None
    remat: str = "none"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """x: [b, h, w, c] -> residual image float32, trunk features, last tail features.

        Without sub-pixel convolution, the parameters of a stage of factor 4 are those of BasicSR's RRDBNet x4.
        """
        stage = self.stage
        x = pixel_unshuffle(x, stage.unshuffle) if stage.unshuffle > 1 else x
        first = Conv(stage.features, dtype=self.dtype, kernel_init=he_init, name="conv_first")(x)
        trunk = Trunk(stage.blocks, stage.features, stage.growth, self.scan, self.remat, self.dtype, name="trunk")(
            first
        )
        trunk = first + Conv(stage.features, dtype=self.dtype, name="conv_body")(trunk)
        factor = stage.factor * stage.unshuffle
        x = self._upsample(trunk, factor)
        tail = leaky_relu(Conv(stage.tail_features, dtype=self.dtype, kernel_init=he_init, name="conv_hr")(x))
        # The residual is float32 and starts at zero, so an untrained stage is exactly its base.
        zero = nn.initializers.zeros
        residual = Conv(self.bands, dtype=jnp.float32, kernel_init=zero, name="conv_last")(tail)
        if stage.subpixel and factor.denominator == 1:
            count = self.bands * factor.numerator**2
            direct = Conv(count, dtype=jnp.float32, kernel_init=zero, name="conv_subpixel")(trunk)
            residual = residual + pixel_shuffle(direct, factor.numerator)
        return residual, trunk, tail

    def _upsample(self, x: jax.Array, factor: Fraction) -> jax.Array:
        """Upsamples features by a whole or fractional factor.

        A fraction uses bilinear + conv. A whole factor uses doublings as in ESRGAN (nearest + conv), then pixel shuffle
        for the odd rest.
        """
        features = self.stage.tail_features
        if factor.denominator != 1:
            x = resample(x, factor)
            return leaky_relu(Conv(features, dtype=self.dtype, kernel_init=he_init, name="conv_up1")(x))
        remaining, count = factor.numerator, 0
        while remaining % 2 == 0:
            count += 1
            x = leaky_relu(UpsampledConv(features, dtype=self.dtype, name=f"conv_up{count}")(x))
            remaining //= 2
        if remaining > 1:
            init = icnr(he_init, remaining)
            shuffled = Conv(features * remaining**2, dtype=self.dtype, kernel_init=init, name="conv_shuffle")(x)
            x = leaky_relu(pixel_shuffle(shuffled, remaining))
        return x


class ProgressiveSR(nn.Module):
    """The chain of stages.

    Attributes:
        stages: one `Stage` each; their factors multiply to 10.
        spacing: of the input lattice, metres.
        scan, remat, dtype: see `Trunk`.
    """

    stages: tuple[Stage, ...]
    spacing: Fraction = Fraction(10)
    scan: bool | None = None
    remat: str = "none"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, inputs: jax.Array, base: jax.Array) -> SuperResolved:
        """Runs all stages.

        Args:
            inputs: [b, h, w, c], all inputs at 10 m, normalised, zero where invalid.
            base: [b, h, w, 3], the image bands of the input, normalised.

        Returns:
            Images in the normalised units of `base`.
        """
        spacings = stage_spacings(self.stages, self.spacing)
        images: list[jax.Array] = []
        features: list[Features] = []
        before, detail = self.spacing, None
        for number, (stage, after) in enumerate(zip(self.stages, spacings, strict=True), start=1):
            x = inputs
            if images:
                x = jnp.concatenate([images[-1], resample(inputs, self.spacing / before, "bicubic")], axis=-1)
            net = StageNet(stage, base.shape[-1], self.scan, self.remat, self.dtype, name=f"stage{number}")
            residual, trunk, tail = net(x)
            # Later stages add to the detail of earlier ones instead of learning it again.
            detail = residual if detail is None else image_resample(detail, before / after) + residual
            images.append(image_resample(base, self.spacing / after) + detail)
            features.append(Features(before * stage.unshuffle, trunk))
            before = after
        features.append(Features(before, tail))
        return SuperResolved(tuple(images), spacings, tuple(features))
