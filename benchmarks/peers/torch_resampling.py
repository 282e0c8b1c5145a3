"""Resampling by rational factors in PyTorch, with the numbers of `jointseg_jax.models.resampling`. Images are NCHW."""

import math
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS_LAST = torch.channels_last


def bilinear(x: Tensor, scale: Fraction) -> Tensor:
    if scale == 1:
        return x
    size = [int(n * scale) for n in x.shape[2:]]
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def area_mean(x: Tensor, scale: Fraction) -> Tensor:
    """Mean over the ground of each coarser pixel, partly covered pixels by their share."""
    p, q = scale.numerator, scale.denominator
    if q == 1:
        return x
    return F.avg_pool2d(x if p == 1 else F.interpolate(x, scale_factor=p, mode="nearest"), q)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """Channels ordered (row, column, feature), as TensorFlow and JAX code has them; PyTorch's feature comes first."""
    b, c, h, w = x.shape
    x = x.view(b, factor, factor, c // factor**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(b, c // factor**2, h * factor, w * factor).contiguous(memory_format=CHANNELS_LAST)


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    b, c, h, w = x.shape
    x = x.view(b, c, h // factor, factor, w // factor, factor).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(b, c * factor**2, h // factor, w // factor).contiguous(memory_format=CHANNELS_LAST)


def cubic_kernel(scale: Fraction) -> Tensor:
    """[p * p, 1, q + 4, q + 4] for a scale p / q: the taps of each output phase, for steps of q input pixels."""
    p, q = scale.numerator, scale.denominator

    def weight(distance: float) -> float:
        d = abs(distance)
        if d <= 1:
            return 1.5 * d**3 - 2.5 * d**2 + 1
        return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0

    rows = []
    for phase in range(p):
        centre = (phase + 0.5) * q / p - 0.5
        taps = [weight(offset - centre) for offset in range(-2, q + 2)]
        rows.append([t / math.fsum(taps) for t in taps])
    one = torch.tensor(rows, dtype=torch.float64)
    return torch.einsum("iy,jx->ijyx", one, one).reshape(p * p, 1, q + 4, q + 4).float()
