"""The losses that every run has, over masked pixels: cross-entropy, Dice, and the stages' targets.

Each is a `Mean` over the whole global batch, so that neither sharding nor accumulation changes anything.
"""

from fractions import Fraction

import jax
import jax.numpy as jnp
import optax

from jointseg_jax.models.resampling import masked_area_mean
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.training.means import Mean, mean


def stage_targets(
    image: jax.Array, valid: jax.Array, spacings: tuple[Fraction, ...]
) -> list[tuple[jax.Array, jax.Array]]:
    """The image on each stage's lattice, as its area mean over valid pixels, with validity.

    image: [b, 10h, 10w, 3]; valid: [b, 10h, 10w, 1] float. Returns pairs [b, h_k, w_k, 3], [b, h_k, w_k, 1].
    """
    return [masked_area_mean(image, valid, 1 / spacing) for spacing in spacings]


def cross_entropy(logits: jax.Array, label: jax.Array) -> Mean:
    """Mean cross-entropy over labelled pixels. logits: [b, h, w, classes]; label: [b, h, w], 255 ignored."""
    known = label != IGNORE
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(known, label, 0).astype(jnp.int32))
    return mean(losses, known)


def dice(logits: jax.Array, label: jax.Array, smooth: float = 1.0) -> Mean:
    """Mean over samples of 1 - soft Dice of the last class, each sample by itself (Milletari et al. 2016).

    Samples without a labelled pixel do not count. logits: [b, h, w, classes]; label: [b, h, w].
    """
    known = (label != IGNORE).astype(jnp.float32)
    positive = (label == logits.shape[-1] - 1).astype(jnp.float32)
    probability = jax.nn.softmax(logits)[..., -1] * known
    overlap = jnp.sum(probability * positive, (1, 2))
    size = jnp.sum(probability, (1, 2)) + jnp.sum(positive, (1, 2))
    return mean(1 - (2 * overlap + smooth) / (size + smooth), jnp.sum(known, (1, 2)) > 0)
