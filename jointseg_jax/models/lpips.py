"""LPIPS 0.1 (Zhang et al. 2018, arXiv 1801.03924): how unlike two photographs look, by the activations of a network.

The network is not trained here: its weights come from files the user names (`load_lpips` of `training.checkpoints`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Of RGB in -1..1, as the paper's code has them: mean and standard deviation of ImageNet, rounded.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10  # added to the length of a pixel's activations


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution with a rectifier behind it.

    Attributes:
        position: among torchvision's `features`, which number convolutions, rectifiers and pools alike.
        kernel: [h, w, in, out].
        stride: in pixels.
        padding: zeros on every side.
        pooled: a max pool lies before it.
        judged: its activations after the rectifier count.
    """

    position: int
    kernel: tuple[int, int, int, int]
    stride: int = 1
    padding: int = 1
    pooled: bool = False
    judged: bool = False


@dataclasses.dataclass(frozen=True)
class Backbone:
    """The part of a network for photographs whose activations are compared; `pool` is the side of its max pools."""

    name: str
    convolutions: tuple[Convolution, ...]
    pool: int

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the activations that count."""
        return tuple(c.kernel[-1] for c in self.convolutions if c.judged)


def _vgg16() -> Backbone:
    found = []
    position, inputs = 0, 3
    for group, (count, outputs) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))):
        for i in range(count):
            pooled = group > 0 and i == 0
            found.append(Convolution(position, (3, 3, inputs, outputs), pooled=pooled, judged=i == count - 1))
            position, inputs = position + 2, outputs
        position += 1
    return Backbone("VGG16", tuple(found), pool=2)


VGG16 = _vgg16()
ALEXNET = Backbone(
    "AlexNet",
    (
        Convolution(0, (11, 11, 3, 64), stride=4, padding=2, judged=True),
        Convolution(3, (5, 5, 64, 192), padding=2, pooled=True, judged=True),
        Convolution(6, (3, 3, 192, 384), pooled=True, judged=True),
        Convolution(8, (3, 3, 384, 256), judged=True),
        Convolution(10, (3, 3, 256, 256), judged=True),
    ),
    pool=3,
)


def lpips(
    backbone: Backbone, params: Mapping[str, Any], target: jax.Array, images: Sequence[jax.Array]
) -> list[jax.Array]:
    """The distances of images from a target.

    Args:
        backbone: `ALEXNET` or `VGG16`.
        params: "convolutions": for each a "kernel" [h, w, in, out] and a "bias" [out]; "linear": for each that is
            judged its weights [channels].
        target: [b, h, w, 3] RGB in -1..1.
        images: of the same shape and range.

    Returns:
        For each image [b]: 0 for the target itself, larger for what looks less like it.

    Raises:
        ValueError: the images are too small for the pools.
    """
    wanted = _activations(backbone, params, target)
    found = []
    for image in images:
        pairs = zip(params["linear"], _activations(backbone, params, image), wanted, strict=True)
        # In float32 also where the device would round factors: the distances are small differences.
        layers = [jnp.dot(jnp.square(a - b), weights, precision="highest").mean((1, 2)) for weights, a, b in pairs]
        found.append(jnp.stack(layers).sum(0))
    return found


def _activations(backbone: Backbone, params: Mapping[str, Any], x: jax.Array) -> list[jax.Array]:
    """Activations [b, h', w', channels] of the judged layers, each pixel scaled to length 1."""
    y = (x.astype(jnp.float32) - np.asarray(_SHIFT, np.float32)) / np.asarray(_SCALE, np.float32)
    found = []
    for convolution, layer in zip(backbone.convolutions, params["convolutions"], strict=True):
        if convolution.pooled:
            window = (1, backbone.pool, backbone.pool, 1)
            y = jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, window, (1, 2, 2, 1), "VALID")
        side = (convolution.padding, convolution.padding)
        y = jax.lax.conv_general_dilated(
            y,
            layer["kernel"],
            (convolution.stride, convolution.stride),
            (side, side),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision="highest",
        )
        y = jax.nn.relu(y + layer["bias"])
        if not y.size:
            raise ValueError(f"images of {x.shape[1]} x {x.shape[2]} pixels are too small for {backbone.name}")
        if convolution.judged:
            found.append(y / (jnp.linalg.norm(y, axis=-1, keepdims=True) + _EPSILON))
    return found
