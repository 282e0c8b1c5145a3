"""The segmenter of `jointseg_jax.models.segmentation` in PyTorch."""

from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers.torch_layers import conv, in_float32, leaky_relu
from benchmarks.peers.torch_resampling import area_mean, bilinear, depth_to_space, space_to_depth


class Attention(nn.Module):
    """Channel attention from means over sliding windows at 10 m, then spatial attention, after the fusion's conv."""

    def __init__(self, width: int, feature: int | None, scale: Fraction, levels: int):
        super().__init__()
        self.scale, self.window = scale, 3**levels
        self.conv = conv(width, width)
        self.project = None if feature is None else conv(feature, width, 1)
        hidden = max(4, width // 4)
        self.squeeze, self.excite, self.places = conv(width, hidden, 1), conv(hidden, width, 1), conv(2, 1, 7)

    def forward(self, x: Tensor, feature: Tensor | None, valid: Tensor) -> Tensor:
        y = self.conv(x)
        if self.project is not None:
            y = y + self.project(feature)
        y = leaky_relu(y)
        pooled = area_mean(y, self.scale).float()
        mean = self.window_sum(pooled * valid) / self.window_sum(valid).clamp(min=1)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(mean))))
        y = y * bilinear(gate, 1 / self.scale).to(y.dtype)
        summary = torch.cat([y.mean(1, keepdim=True), y.amax(1, keepdim=True)], 1)
        return x + y * torch.sigmoid(self.places(summary))

    def window_sum(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.window, stride=1, padding=self.window // 2, divisor_override=1)


class ResidualBlock(nn.Module):
    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.conv1 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.conv2 = conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normal = wide * torch.rsqrt(wide.square().mean(1, keepdim=True) + 1e-6) * self.scale[:, None, None]
        return x + self.conv2(leaky_relu(self.conv1(normal.to(x.dtype))))


class Segmenter(nn.Module):
    def __init__(self, network: dict[str, Any], inputs: int, features: list[tuple[Fraction, int]]):
        super().__init__()
        spacings = [Fraction(s) for s in network["lattices"]]
        self.lattices, self.factor = spacings[1:], int(spacings[1])
        width, *widths = network["widths"]
        self.picks, self.dilations = [], []
        for level, (spacing, here) in enumerate(zip(self.lattices, widths, strict=True), start=1):
            coarsest = level == len(widths)
            before = 3 * self.factor**2 if level == 1 else widths[level - 2]
            setattr(self, f"level{level}_in", conv(before + (inputs if coarsest else 0), here))
            dilations = network["dilations"] if coarsest else [1] * network["segmenter_blocks"]
            self.dilations.append(dilations)
            for block, dilation in enumerate(dilations, start=1):
                setattr(self, f"level{level}_block{block}", ResidualBlock(here, dilation))
            pick = nearest(features, spacing)
            self.picks.append((pick, features[pick][0] / spacing))
            scale = spacing / self.lattices[-1]
            fusion = Attention(here, features[pick][1], scale, network["window_levels"])
            setattr(self, f"level{level}_fusion", fusion)
        for level in range(1, len(widths)):
            setattr(self, f"level{level}_up", conv(widths[level], widths[level - 1], 1))
            setattr(self, f"level{level}_out", conv(widths[level - 1], widths[level - 1]))
        pick = nearest(features, Fraction(1))
        self.exit_pick = (pick, features[pick][0])
        self.exit_shuffle = conv(widths[0], width * self.factor**2)
        self.exit_refine = conv(width + 3, width)
        self.exit_project = conv(features[pick][1], width, 1)
        self.head = conv(width, network["classes"], 1)

    def forward(self, image: Tensor, inputs: Tensor, valid: Tensor, features: list[Tensor]) -> Tensor:
        x = space_to_depth(image, self.factor)
        skips = []
        for level, (pick, scale) in enumerate(self.picks, start=1):
            if level > 1:
                x = area_mean(x, self.lattices[level - 2] / self.lattices[level - 1])
            if level == len(self.picks):
                x = torch.cat([x, inputs.to(x.dtype)], 1)
            x = leaky_relu(getattr(self, f"level{level}_in")(x))
            for block in range(1, len(self.dilations[level - 1]) + 1):
                x = getattr(self, f"level{level}_block{block}")(x)
            x = getattr(self, f"level{level}_fusion")(x, onto(features[pick], scale), valid)
            skips.append(x)
        for level in range(len(self.picks) - 1, 0, -1):
            x = getattr(self, f"level{level}_up")(x)
            x = bilinear(x, self.lattices[level] / self.lattices[level - 1]) + skips[level - 1]
            x = leaky_relu(getattr(self, f"level{level}_out")(x))
        x = leaky_relu(depth_to_space(self.exit_shuffle(x), self.factor))
        pick, scale = self.exit_pick
        y = self.exit_refine(torch.cat([x, image.to(x.dtype)], 1)) + self.exit_project(onto(features[pick], scale))
        return in_float32(self.head, x + leaky_relu(y))


def nearest(features: list[tuple[Fraction, int]], spacing: Fraction) -> int:
    """The feature with the closest lattice in ratio; of two equally close, the later."""
    return min(reversed(range(len(features))), key=lambda k: ratio(features[k][0], spacing))


def onto(feature: Tensor, scale: Fraction) -> Tensor:
    return bilinear(feature, scale) if scale > 1 else area_mean(feature, scale)


def ratio(a: Fraction, b: Fraction) -> Fraction:
    return max(a / b, b / a)
