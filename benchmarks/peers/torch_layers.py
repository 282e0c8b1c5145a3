"""Convolutions and rectifiers of the network in PyTorch, shared by its parts."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2


def leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def conv(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2)


def in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """Applies a layer outside autocast, in float32, as JAX computes the last layers."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float())
