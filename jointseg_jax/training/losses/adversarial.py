"""Losses of the adversarial phase: generator and discriminator, feature matching, perceptual.

Pure functions over masked pixels in float32. Weights are normalised over the whole global batch, see `masked_mean`. The
caller evaluates the networks. The real side has no gradient (stop_gradient) in the losses of the generator.
"""

import functools
import operator
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from jointseg_jax.training.losses.masked_mean import weight_like, weighted_sum

GAN_KINDS = ("vanilla", "relativistic")


def _check(kind: str) -> None:
    if kind not in GAN_KINDS:
        raise ValueError(f"the adversarial loss {kind!r} is unknown: use one of {', '.join(GAN_KINDS)}")


def _against(logits: jax.Array, others: jax.Array, weight: jax.Array) -> jax.Array:
    """Logits relative to the mean of the others over the valid pixels of the whole batch."""
    return logits - weighted_sum(others, weight_like(weight, others))


def _judged(logits: jax.Array, real: bool, weight: jax.Array) -> jax.Array:
    """Mean binary cross-entropy of logits against one class; softplus does not overflow."""
    return weighted_sum(jax.nn.softplus(-logits if real else logits), weight_like(weight, logits))


def generator_gan(real_logits: jax.Array | None, fake_logits: jax.Array, kind: str, weight: jax.Array) -> jax.Array:
    """The adversarial loss of the generator.

    "vanilla": the non-saturating loss (Goodfellow et al. 2014), mean of -log D(fake). "relativistic": relativistic
    average (Jolicoeur-Martineau 2018) as in ESRGAN (Wang et al. 2018; BasicSR), the mean of two terms: fake logits
    minus the mean real one should be positive, real logits minus the mean fake one negative.

    Args:
        real_logits: [b, h, w, 1] of the discriminator on real images, held fixed; may be None for "vanilla".
        fake_logits: [b, h, w, 1] on generated ones.
        kind: "vanilla" or "relativistic".
        weight: of the real image's pixels, normalised [b, H, W, 1], on the logits' lattice or a finer one; also used
            for fakes.

    Raises:
        ValueError: the kind is unknown, or "relativistic" has no real logits.
    """
    _check(kind)
    fake = fake_logits.astype(jnp.float32)
    if kind == "vanilla":
        return _judged(fake, True, weight)
    if real_logits is None:
        raise ValueError("the relativistic adversarial loss compares with the logits of real images: pass them")
    real = jax.lax.stop_gradient(real_logits.astype(jnp.float32))
    return 0.5 * (
        _judged(_against(real, fake, weight), False, weight) + _judged(_against(fake, real, weight), True, weight)
    )


def discriminator_gan(real_logits: jax.Array, fake_logits: jax.Array, kind: str, weight: jax.Array) -> jax.Array:
    """The adversarial loss of the discriminator.

    "vanilla": the sum of the means over real and over fake pixels (Real-ESRGAN); "relativistic": the mean of the two
    relativistic terms (ESRGAN). Fakes come from a generator held fixed. Arguments and errors: see `generator_gan`.
    """
    _check(kind)
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)
    if kind == "vanilla":
        return _judged(real, True, weight) + _judged(fake, False, weight)
    return 0.5 * (
        _judged(_against(real, fake, weight), True, weight) + _judged(_against(fake, real, weight), False, weight)
    )


def feature_matching(
    real_features: Sequence[jax.Array], fake_features: Sequence[jax.Array], weight: jax.Array
) -> jax.Array:
    """Mean over layers of the L1 between the discriminator's features of real and fake (pix2pixHD, Wang et al. 2018).

    Args:
        real_features: [b, h_k, w_k, c_k] each, held fixed.
        fake_features: likewise.
        weight: normalised [b, H, W, 1] of the real image; a coarse pixel has the weight of the fine pixels under it.

    Raises:
        ValueError: the lists differ in length or are empty.
    """
    if len(real_features) != len(fake_features) or not real_features:
        raise ValueError(
            f"there are {len(real_features)} layers of real features, but {len(fake_features)} of fake ones"
        )
    layers = [_l1(real, fake, weight) for real, fake in zip(real_features, fake_features, strict=True)]
    return functools.reduce(operator.add, layers) / len(layers)


def perceptual(
    real_activations: Mapping[str, jax.Array],
    fake_activations: Mapping[str, jax.Array],
    layers: Mapping[str, float],
    weight: jax.Array,
) -> jax.Array:
    """Weighted sum over layers of the L1 between activations of a fixed network (ESRGAN's perceptual loss).

    Args:
        real_activations: by name, [b, h_k, w_k, c_k] each, held fixed.
        fake_activations: likewise.
        layers: weights of the layers, by name.
        weight: normalised [b, H, W, 1] of the real image; both sides of each layer divide its sides by one factor.

    Raises:
        ValueError: a weighted layer has no activations, or no layer has a weight.
    """
    missing = sorted(set(layers) - (set(real_activations) & set(fake_activations)))
    if missing or not layers:
        raise ValueError(f"activations of {missing} are missing" if missing else "no layer has a perceptual weight")
    parts = [factor * _l1(real_activations[k], fake_activations[k], weight) for k, factor in layers.items()]
    return functools.reduce(operator.add, parts)


def _l1(real: jax.Array, fake: jax.Array, weight: jax.Array) -> jax.Array:
    difference = jnp.abs(jax.lax.stop_gradient(real).astype(jnp.float32) - fake.astype(jnp.float32))
    return weighted_sum(difference, weight_like(weight, difference))
