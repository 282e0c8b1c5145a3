"""Progressive super-resolution: stages that bring 10 m input to 1 m, each adding detail to the bicubic of the input.

The paper's generator is an ESRGAN x4 followed by a second stage that sees the input upsampled together with the first
stage's image; the remaining factor of 2.5 is our arithmetic. Any rational factors with product 10 work.
"""

import dataclasses
from fractions import Fraction
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jointseg_jax.models.layers import Conv, UpsampledConv, leaky_relu, pixel_shuffle, pixel_unshuffle
from jointseg_jax.models.resampling import resample
from jointseg_jax.models.rrdb import Trunk


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        factor: by how much it refines.
        blocks: RRDBs in its trunk.
        features: channels of the trunk.
        growth: growth of the dense blocks.
        tail_features: channels of the tail, from the first upsampling on.
        unshuffle: the trunk runs on a lattice this many times coarser than the stage's input (1: on the input's own).
    """

    factor: Fraction
    blocks: int = 23
    features: int = 64
    growth: int = 32
    tail_features: int = 64
    unshuffle: int = 1


@dataclasses.dataclass(frozen=True)
class Features:
    """Features a stage leaves for the segmenter: an array [b, h, w, c] and its spacing in metres."""

    spacing: Fraction
    array: jax.Array


@dataclasses.dataclass(frozen=True)
class SuperResolved:
    """What the chain returns.

    Every stage's image [b, h, w, 3] float32, with spacing, and features of trunks and last tail.
    """

    images: tuple[jax.Array, ...]
    spacings: tuple[Fraction, ...]
    features: tuple[Features, ...]


def stage_spacings(stages: tuple[Stage, ...], spacing: Fraction) -> tuple[Fraction, ...]:
    """Spacing of each stage's image, the input lying on `spacing`.

    Raises `ValueError` unless every stage refines the input by a whole factor (so that tiles may begin at any input
    pixel) and the last by 10.
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
    """The float32 bicubic that stages add to. [b, h, w, bands] -> [b, scale * h, scale * w, bands]."""
    return resample(image.astype(jnp.float32), scale, "bicubic")


class StageNet(nn.Module):
    """The network of one stage: [unshuffle] -> conv -> RRDB trunk -> conv -> upsampling tail -> residual image."""

    stage: Stage
    bands: int = 3
    scan: bool | None = None
    remat: str = "none"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """x: [b, h, w, c] -> residual image float32, trunk features, last tail features.

        The parameters of a stage of factor 4 are those of BasicSR's RRDBNet x4.
        """
        stage = self.stage
        x = pixel_unshuffle(x, stage.unshuffle) if stage.unshuffle > 1 else x
        first = Conv(stage.features, dtype=self.dtype, name="conv_first")(x)
        trunk = Trunk(stage.blocks, stage.features, stage.growth, self.scan, self.remat, self.dtype, name="trunk")(
            first
        )
        trunk = first + Conv(stage.features, dtype=self.dtype, name="conv_body")(trunk)
        x = self._upsample(trunk, stage.factor * stage.unshuffle)
        tail = leaky_relu(Conv(stage.tail_features, dtype=self.dtype, name="conv_hr")(x))
        # The residual leaves in float32 and starts at zero: an untrained stage is exactly its bicubic.
        residual = Conv(self.bands, dtype=jnp.float32, kernel_init=nn.initializers.zeros, name="conv_last")(tail)
        return residual, trunk, tail

    def _upsample(self, x: jax.Array, factor: Fraction) -> jax.Array:
        """Doublings as in ESRGAN (nearest + conv).

        Then a whole factor by pixel shuffle, or a fraction by bilinear + conv.
        """
        features = self.stage.tail_features
        if factor.denominator != 1:
            return leaky_relu(Conv(features, dtype=self.dtype, name="conv_up1")(resample(x, factor)))
        remaining, count = factor.numerator, 0
        while remaining % 2 == 0:
            count += 1
            x = leaky_relu(UpsampledConv(features, dtype=self.dtype, name=f"conv_up{count}")(x))
            remaining //= 2
        if remaining > 1:
            x = leaky_relu(
                pixel_shuffle(Conv(features * remaining**2, dtype=self.dtype, name="conv_shuffle")(x), remaining)
            )
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
            inputs: [b, h, w, c] everything known at 10 m, normalised, zero where invalid.
            base: [b, h, w, 3] the image bands of the input, normalised.

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
            # What a stage found beyond the bicubic is carried on: the next one adds to it instead of finding it again.
            detail = residual if detail is None else image_resample(detail, before / after) + residual
            images.append(image_resample(base, self.spacing / after) + detail)
            features.append(Features(before * stage.unshuffle, trunk))
            before = after
        features.append(Features(before, tail))
        return SuperResolved(tuple(images), spacings, tuple(features))
