"""The joint network of `jointseg_jax.models` in idiomatic PyTorch.

Images are NCHW in channels_last. Submodules have the names of the JAX parameter tree, so parameters convert by name.
Nearest x2 + 3 x 3 convolution is computed as written; the JAX package computes the same numbers in another way.
"""

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmarks.peers.torch_layers import conv, in_float32, leaky_relu
from benchmarks.peers.torch_resampling import CHANNELS_LAST, bilinear, cubic_kernel, depth_to_space, space_to_depth
from benchmarks.peers.torch_segmenter import Segmenter

DENSE_CONVS, DENSE_BLOCKS, RESIDUAL_SCALE = 5, 3, 0.2


class DenseBlock(nn.Module):
    def __init__(self, features: int, growth: int):
        super().__init__()
        for i in range(DENSE_CONVS):
            last = i == DENSE_CONVS - 1
            setattr(self, f"conv{i + 1}", conv(features + i * growth, features if last else growth))

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for i in range(1, DENSE_CONVS):
            seen = torch.cat([seen, leaky_relu(getattr(self, f"conv{i}")(seen))], 1)
        return x + getattr(self, f"conv{DENSE_CONVS}")(seen) * RESIDUAL_SCALE


class RRDB(nn.Module):
    def __init__(self, features: int, growth: int):
        super().__init__()
        self.dense = nn.ModuleList(DenseBlock(features, growth) for _ in range(DENSE_BLOCKS))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for block in self.dense:
            y = block(y)
        return x + y * RESIDUAL_SCALE


class Tail(nn.Module):
    """From the trunk's features to the residual image and the tail's features; its convolutions belong to the stage."""

    def __init__(self, stage: dict[str, Any], bands: int):
        super().__init__()
        self.factor = Fraction(stage["factor"]) * stage["unshuffle"]
        trunk, tail = stage["features"], stage["tail_features"]
        self.doublings, self.shuffle, inputs = 0, 1, trunk
        if self.factor.denominator != 1:
            self.conv_up1 = conv(trunk, tail)
            inputs = tail
        else:
            remaining = self.factor.numerator
            while remaining % 2 == 0:
                self.doublings += 1
                setattr(self, f"conv_up{self.doublings}", conv(inputs, tail))
                inputs, remaining = tail, remaining // 2
            if remaining > 1:
                self.shuffle = remaining
                self.conv_shuffle = conv(inputs, tail * remaining**2)
                inputs = tail
        self.conv_hr = conv(inputs, tail)
        self.conv_last = conv(tail, bands)
        direct = stage["subpixel"] and self.factor.denominator == 1
        self.conv_subpixel = conv(trunk, bands * self.factor.numerator**2) if direct else None

    def forward(self, trunk: Tensor) -> tuple[Tensor, Tensor]:
        x = trunk
        if self.factor.denominator != 1:
            x = leaky_relu(self.conv_up1(bilinear(x, self.factor)))
        for i in range(self.doublings):
            up = getattr(self, f"conv_up{i + 1}")
            x = leaky_relu(up(F.interpolate(x, scale_factor=2, mode="nearest")))
        if self.shuffle > 1:
            x = leaky_relu(depth_to_space(self.conv_shuffle(x), self.shuffle))
        tail = leaky_relu(self.conv_hr(x))
        residual = in_float32(self.conv_last, tail)
        if self.conv_subpixel is not None:
            residual = residual + depth_to_space(in_float32(self.conv_subpixel, trunk), self.factor.numerator)
        return residual, tail


class StageNet(nn.Module):
    def __init__(self, stage: dict[str, Any], inputs: int, bands: int, remat: bool):
        super().__init__()
        self.unshuffle, self.remat, features = stage["unshuffle"], remat, stage["features"]
        self.conv_first = conv(inputs * self.unshuffle**2, features)
        self.trunk = nn.ModuleList(RRDB(features, stage["growth"]) for _ in range(stage["blocks"]))
        self.conv_body = conv(features, features)
        self.tail = Tail(stage, bands)
        self.block: Callable[[RRDB, Tensor], Tensor] = lambda block, x: block(x)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.unshuffle > 1:
            x = space_to_depth(x, self.unshuffle)
        first = y = self.conv_first(x)
        for block in self.trunk:
            y = checkpoint(self.block, block, y, use_reentrant=False) if self.remat else self.block(block, y)
        trunk = first + self.conv_body(y)
        return (*self.tail(trunk), trunk)


class JointNetwork(nn.Module):
    """Normalise, super-resolve, segment.

    Args:
        network: the description of the JAX model by `benchmarks.subject.describe`.
    """

    def __init__(self, network: dict[str, Any]):
        super().__init__()
        self.inputs, self.index, self.bands = network["inputs"], network["image_index"], len(network["image_index"])
        channels = network["dates"] * sum(len(m["mean"]) for m in self.inputs)
        self.stages = nn.ModuleList()
        self.spacings, features, before = [], [], Fraction(10)
        for number, stage in enumerate(network["stages"]):
            seen = channels + (self.bands if number else 0)
            self.stages.append(StageNet(stage, seen, self.bands, network["remat"]))
            features.append((before * stage["unshuffle"], stage["features"]))
            before = before / Fraction(stage["factor"])
            self.spacings.append(before)
        features.append((before, network["stages"][-1]["tail_features"]))
        self.seg = Segmenter(network, channels, features)
        first = self.inputs[0]
        for name in ("mean", "std"):
            picked = torch.tensor([first[name][i] for i in self.index]).view(-1, 1, 1)
            self.register_buffer(f"image_{name}", picked, persistent=False)
        for m in self.inputs:
            for name in ("mean", "std"):
                self.register_buffer(f"{name}_{m['name']}", torch.tensor(m[name]).view(-1, 1, 1), persistent=False)
        scales = {10 / spacing for spacing in self.spacings} | {a / b for a, b in itertools.pairwise(self.spacings)}
        self.sharpening = network["sharpening"]
        if self.sharpening:
            taps = torch.tensor(self.sharpening["taps"])  # [taps, bands]
            self.register_buffer("observed", taps.T[:, None, None, :], persistent=False)
        for scale in sorted(scales):
            self.register_buffer(f"cubic{scale.numerator}_{scale.denominator}", cubic_kernel(scale), persistent=False)

    def cubic(self, x: Tensor, scale: Fraction) -> Tensor:
        """Bicubic enlargement (Keys, a = -1/2, the edge continued), float32; `F.interpolate` takes a = -3/4."""
        p, q = scale.numerator, scale.denominator
        b, c, h, w = x.shape
        with torch.autocast(x.device.type, enabled=False):
            y = F.pad(x.float().reshape(b * c, 1, h, w), (2, 2, 2, 2), mode="replicate")
            y = F.pixel_shuffle(F.conv2d(y, getattr(self, f"cubic{p}_{q}"), stride=q), p)
            return y.view(b, c, h * p // q, w * p // q).contiguous(memory_format=CHANNELS_LAST)

    def sharpen(self, base: Tensor) -> Tensor:
        """The base whose bicubic enlargement, observed, is close to the given one; both normalised."""
        if not self.sharpening:
            return base
        with torch.autocast(base.device.type, enabled=False):
            seen = base.float() * self.image_std + self.image_mean
            light = to_linear(seen) if self.sharpening["linear_light"] else seen
            across, reach, found = self.observed, self.observed.shape[-1] // 2, light
            for _ in range(self.sharpening["iterations"]):
                padded = F.pad(found, (reach, reach, reach, reach), mode="replicate")
                rows = F.conv2d(padded, across.transpose(2, 3), groups=self.bands)
                found = found + light - F.conv2d(rows, across, groups=self.bands)
            sharp = to_display(found) if self.sharpening["linear_light"] else found
            return (sharp - self.image_mean) / self.image_std

    def normalise(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """All inputs [b, c, h, w], the image bands' mean over valid dates [b, 3, h, w], any valid [b, 1, h, w]."""
        channels, seen, base = [], [], None
        for m in self.inputs:
            values, valid = batch[f"values_{m['name']}"], batch[f"valid_{m['name']}"].float().unsqueeze(2)
            normal = (values - getattr(self, f"mean_{m['name']}")) / getattr(self, f"std_{m['name']}") * valid
            if base is None:
                base = normal[:, :, self.index].sum(1) / valid.sum(1).clamp(min=1)
            channels.append(normal.flatten(1, 2))
            seen.append(valid.amax(1))
        assert base is not None
        inputs = torch.cat(channels, 1).contiguous(memory_format=CHANNELS_LAST)
        return inputs, base, torch.stack(seen).amax(0)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Logits [b, classes, 10h, 10w] and the stages' images, in the units of the input, float32."""
        inputs, base, valid = self.normalise(batch)
        base = self.sharpen(base)
        images: list[Tensor] = []
        features: list[Tensor] = []
        x, detail = inputs, inputs
        for number, (net, spacing) in enumerate(zip(self.stages, self.spacings, strict=True)):
            if number:
                x = torch.cat([images[-1], self.cubic(inputs, 10 / self.spacings[number - 1])], 1)
            residual, tail, trunk = net(x)
            detail = residual + self.cubic(detail, self.spacings[number - 1] / spacing) if number else residual
            images.append(self.cubic(base, 10 / spacing) + detail)
            features.append(trunk)
        logits = self.seg(images[-1], inputs, valid, [*features, tail])
        return logits, [i * self.image_std + self.image_mean for i in images]

    def compile_parts(self) -> None:
        """Compiles blocks, tails and segmenter each by themselves; all blocks of a stage share one program."""
        # Their parameters are inputs of the program, so that 23 blocks share it.
        block = torch.compile(lambda block, x: block(x), dynamic=False)
        for stage in self.stages:
            stage.block = block
            stage.tail.compile(dynamic=False)
        self.seg.compile(dynamic=False)


def to_linear(display: Tensor) -> Tensor:
    return torch.where(display <= 0.04045, display / 12.92, ((display.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def to_display(light: Tensor) -> Tensor:
    bright = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light.clamp(min=1e-5) * 12.92, bright)
