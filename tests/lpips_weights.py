"""Weights and images for tests of LPIPS, drawn by a rule that NumPy alone repeats: nothing large is stored."""

import numpy as np

# Of torchvision's `features`: position, outputs, inputs, side of the kernel.
LAYERS = {
    "alex": ((0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)),
    "vgg": (
        (0, 64, 3, 3), (2, 64, 64, 3), (5, 128, 64, 3), (7, 128, 128, 3), (10, 256, 128, 3), (12, 256, 256, 3),
        (14, 256, 256, 3), (17, 512, 256, 3), (19, 512, 512, 3), (21, 512, 512, 3), (24, 512, 512, 3),
        (26, 512, 512, 3), (28, 512, 512, 3),
    ),
}  # fmt: skip
JUDGED = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


def backbone(name, seed):
    """Entries of torchvision's file: kernels uniform in +-sqrt(6 / fan in), biases in +-0.1, in the order of layers."""
    rng = np.random.default_rng(seed)
    found = {}
    for position, outputs, inputs, side in LAYERS[name]:
        bound = (6 / (inputs * side**2)) ** 0.5
        kernel = bound * (2 * rng.random((outputs, inputs, side, side)) - 1)
        found[f"features.{position}.weight"] = kernel.astype(np.float32)
        found[f"features.{position}.bias"] = (0.2 * rng.random(outputs) - 0.1).astype(np.float32)
    return found


def linear(name, seed):
    """Entries of the package's file: uniform in 0..1."""
    rng = np.random.default_rng(seed + 1000)
    shapes = [(1, channels, 1, 1) for channels in JUDGED[name]]
    return {f"lin{i}.model.1.weight": rng.random(shape).astype(np.float32) for i, shape in enumerate(shapes)}


def images(seed, number, height, width):
    """Pairs [2, number, height, width, 3] in -1..1, float32: a picture, and the picture with noise."""
    rng = np.random.default_rng(seed + 2000)
    first = 2 * rng.random((number, height, width, 3)) - 1
    return np.stack([first, np.clip(first + 0.6 * rng.random(first.shape) - 0.3, -1, 1)]).astype(np.float32)
