"""Losses over masked pixels.

Every sum is divided by the count over the whole global batch, so that sharding changes nothing.
"""

import dataclasses
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jointseg_jax.models.jointseg import Outputs
from jointseg_jax.models.layers import masked_area_mean
from jointseg_jax.rasters.contract import IGNORE


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of the parts of the joint loss.

    Attributes:
        sr: of the sum over stages of their L1.
        stages: of each stage's L1.
        cross_entropy: of the mean over labelled pixels.
        dice: of the mean over samples of 1 - Dice of the impervious class.
    """

    sr: float
    stages: tuple[float, ...]
    cross_entropy: float
    dice: float


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of `x` where `mask` (broadcastable) is one; zero where it is nowhere."""
    mask = jnp.broadcast_to(mask, x.shape)
    return jnp.sum(x * mask) / jnp.maximum(jnp.sum(mask), 1)


def stage_targets(
    image: jax.Array, valid: jax.Array, spacings: tuple[Fraction, ...]
) -> list[tuple[jax.Array, jax.Array]]:
    """The image on each stage's lattice, as its area mean over valid pixels, with validity.

    image: [b, 10h, 10w, 3]; valid: [b, 10h, 10w, 1] float. Returns pairs [b, h_k, w_k, 3], [b, h_k, w_k, 1].
    """
    return [masked_area_mean(image, valid, 1 / spacing) for spacing in spacings]


def cross_entropy(logits: jax.Array, label: jax.Array) -> jax.Array:
    """Mean cross-entropy over labelled pixels. logits: [b, h, w, classes]; label: [b, h, w], 255 ignored."""
    known = label != IGNORE
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(known, label, 0).astype(jnp.int32))
    return masked_mean(losses, known.astype(jnp.float32))


def dice(logits: jax.Array, label: jax.Array, smooth: float = 1.0) -> jax.Array:
    """Mean over samples of 1 - soft Dice of the last class, each sample by itself (Milletari et al. 2016).

    Samples without a labelled pixel do not count. logits: [b, h, w, classes]; label: [b, h, w].
    """
    known = (label != IGNORE).astype(jnp.float32)
    positive = (label == logits.shape[-1] - 1).astype(jnp.float32)
    probability = jax.nn.softmax(logits)[..., -1] * known
    overlap = jnp.sum(probability * positive, (1, 2))
    size = jnp.sum(probability, (1, 2)) + jnp.sum(positive, (1, 2))
    counts = (jnp.sum(known, (1, 2)) > 0).astype(jnp.float32)
    return masked_mean(1 - (2 * overlap + smooth) / (size + smooth), counts)


def joint_loss(
    outputs: Outputs, batch: dict[str, jax.Array], weights: LossWeights, std: jax.Array | np.ndarray
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The joint loss and its parts.

    Args:
        outputs: of the network, images in physical units.
        batch: with `image`, `image_valid`, `label`.
        weights: of the parts.
        std: [3] by which image differences are divided, so that the L1 of reflectance and of a display stretch weigh
            alike.

    Returns:
        The scalar loss and a dict of its unweighted parts.
    """
    parts = {
        "cross_entropy": cross_entropy(outputs.logits, batch["label"]),
        "dice": dice(outputs.logits, batch["label"]),
    }
    total = weights.cross_entropy * parts["cross_entropy"] + weights.dice * parts["dice"]
    valid = batch["image_valid"].astype(jnp.float32)[..., None]
    targets = stage_targets(batch["image"], valid, outputs.spacings)
    for number, (image, (target, seen)) in enumerate(zip(outputs.images, targets, strict=True), start=1):
        l1 = masked_mean(jnp.abs(image - target) / std, seen)
        parts[f"l1_stage{number}"] = l1
        total = total + weights.sr * weights.stages[number - 1] * l1
    return total, parts
