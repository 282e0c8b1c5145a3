"""The basic losses over masked pixels: cross-entropy, Dice, and the targets of the stages.

Weights are normalised over the whole global batch, see `masked_mean`.
"""

from fractions import Fraction

import jax
import jax.numpy as jnp
import optax

from jointseg_jax.models.resampling import masked_area_mean
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.training.losses.masked_mean import weighted_sum


def stage_targets(
    image: jax.Array, valid: jax.Array, spacings: tuple[Fraction, ...]
) -> list[tuple[jax.Array, jax.Array]]:
    """The area mean of the image over valid pixels on each stage's lattice, with validity.

    image: [b, 10h, 10w, 3]; valid: [b, 10h, 10w, 1] float. Returns pairs [b, h_k, w_k, 3], [b, h_k, w_k, 1].
    """
    return [masked_area_mean(image, valid, 1 / spacing) for spacing in spacings]


def labelled(label: jax.Array) -> jax.Array:
    """1 where a pixel is labelled, 0 where it is ignored (255). label: integers of any shape; returns float32."""
    return (label != IGNORE).astype(jnp.float32)


def labelled_samples(label: jax.Array) -> jax.Array:
    """1 for each sample that has a labelled pixel. label: integers [b, h, w]; returns float32 [b]."""
    return (label != IGNORE).any((1, 2)).astype(jnp.float32)


def cross_entropy(logits: jax.Array, label: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean cross-entropy. logits: [b, h, w, classes]; label: [b, h, w]; weight: normalised [b, h, w]."""
    classes = jnp.where(label != IGNORE, label, 0).astype(jnp.int32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), classes)
    return weighted_sum(losses, weight)


def dice(logits: jax.Array, label: jax.Array, weight: jax.Array, smooth: float = 1.0) -> jax.Array:
    """Mean over samples of 1 - soft Dice of the last class, computed per sample (Milletari et al. 2016).

    logits: [b, h, w, classes]; label: [b, h, w]; weight: normalised [b], 0 for samples without a labelled pixel.
    """
    known = labelled(label)
    positive = (label == logits.shape[-1] - 1).astype(jnp.float32)
    probability = jax.nn.softmax(logits)[..., -1] * known
    overlap = jnp.sum(probability * positive, (1, 2))
    size = jnp.sum(probability, (1, 2)) + jnp.sum(positive, (1, 2))
    return weighted_sum(1 - (2 * overlap + smooth) / (size + smooth), weight)
