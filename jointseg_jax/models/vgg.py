"""Activations of VGG19 (Simonyan and Zisserman 2014, arXiv 1409.1556) for a perceptual loss.

The network is not trained here: its weights come from a file the user names (`training.published.load_vgg19`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.models.layers import conv2d

# Convolutions and channels of each group; groups are separated by a 2 x 2 max pool.
_GROUPS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
LAYERS = tuple(f"conv{g}_{c}" for g, (count, _) in enumerate(_GROUPS, 1) for c in range(1, count + 1))
# The layers of Real-ESRGAN's perceptual loss.
PERCEPTUAL_LAYERS = ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4")
# Statistics of ImageNet for RGB in 0..1, as torchvision's weights expect.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def vgg19_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of the parameters: {"conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, ...} up to conv5_4."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    inputs = 3
    for name in LAYERS:
        outputs = _GROUPS[_group(name) - 1][1]
        shapes[name] = {"kernel": (3, 3, inputs, outputs), "bias": (outputs,)}
        inputs = outputs
    return shapes


def vgg19_activations(
    params: Mapping[str, Mapping[str, Any]],
    x: jax.Array,
    layers: Sequence[str] = PERCEPTUAL_LAYERS,
    dtype: Any = jnp.float32,
) -> dict[str, jax.Array]:
    """Activations before ReLU of the named layers; deeper layers are not computed.

    Args:
        params: {"conv1_1": {"kernel": [3, 3, in, out], "bias": [out]}, ...}, at least up to the deepest layer.
        x: [b, h, w, 3] RGB in 0..1; normalised here by ImageNet's statistics.
        layers: some of `LAYERS`.
        dtype: of the computation.

    Returns:
        {name: [b, h / 2**(g-1), w / 2**(g-1), channels]} for the layers "convg_*", halves rounded down.

    Raises:
        ValueError: a layer is unknown, or the image is too small for the pools.
    """
    unknown = [name for name in layers if name not in LAYERS]
    if unknown:
        raise ValueError(f"VGG19 has no layer {unknown[0]!r}: use {', '.join(LAYERS)}")
    depth = max((LAYERS.index(name) for name in layers), default=-1)
    least = reduction(LAYERS[depth]) if layers else 1
    height, width = x.shape[1:3]
    if min(height, width) < least:
        raise ValueError(
            f"{LAYERS[depth]} of VGG19 needs images of {least} x {least} pixels or more, not {height} x {width}"
        )
    mean, std = np.asarray(IMAGE_MEAN, np.float32), np.asarray(IMAGE_STD, np.float32)
    y = ((x.astype(jnp.float32) - mean) / std).astype(dtype)
    found: dict[str, jax.Array] = {}
    group = 1
    for number, name in enumerate(LAYERS[: depth + 1]):
        if number:
            y = jax.nn.relu(y)
        if _group(name) > group:
            y, group = _max_pool(y), _group(name)
        y = conv2d(y, jnp.asarray(params[name]["kernel"], dtype), jnp.asarray(params[name]["bias"], dtype))
        found[name] = y
    return {name: found[name] for name in layers}


def reduction(name: str) -> int:
    """The number of image pixels along one pixel of a layer."""
    return 2 ** (_group(name) - 1)


def _group(name: str) -> int:
    return int(name[len("conv")])


def _max_pool(x: jax.Array) -> jax.Array:
    """Maximum of each 2 x 2 pixels; an odd last row or column is dropped. [b, h, w, c] -> [b, h/2, w/2, c].

    It reshapes the array, because the gradient of a window reduction is slow on every device.
    """
    b, h, w, c = x.shape
    x = x[:, : h - h % 2, : w - w % 2].reshape(b, h // 2, 2, w // 2, 2, c)
    return x.max((2, 4))
