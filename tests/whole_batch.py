"""The losses of a whole batch, from its masks: what a training step of one piece computes."""

import jax.numpy as jnp

from jointseg_jax.training.losses import adversarial, basic, optional
from jointseg_jax.training.losses.masked_mean import normalise, weighted_sum


def mean(x, weight):
    return weighted_sum(x, normalise(jnp.broadcast_to(weight, x.shape)))


def cross_entropy(logits, label):
    return basic.cross_entropy(logits, label, normalise(basic.labelled(label)))


def dice(logits, label):
    return basic.dice(logits, label, normalise(basic.labelled_samples(label)))


def boundary_loss(logits, label, reach=3):
    return basic.cross_entropy(logits, label, normalise(optional.boundary_band(label, reach)))


def weighted_cross_entropy(logits, label, weights):
    return basic.cross_entropy(logits, label, normalise(optional.class_weight_map(label, weights)))


def positive_unlabelled(logits, label, completeness):
    return optional.positive_unlabelled(logits, label, normalise(basic.labelled(label)), completeness)


def feature_affinity(features_a, features_b, valid, grid):
    return optional.feature_affinity(
        features_a, features_b, valid, grid, normalise(optional.affinity_pairs(valid, grid))
    )


def shift_tolerant_l1(prediction, target, valid, reach):
    mask = optional.shift_mask(valid, reach)
    l1, length = optional.shift_tolerant_l1(prediction, target, normalise(mask), reach)
    return l1, mean(length, mask.any((1, 2, 3)))


def generator_gan(real, fake, kind, valid):
    return adversarial.generator_gan(real, fake, kind, normalise(valid))


def discriminator_gan(real, fake, kind, valid):
    return adversarial.discriminator_gan(real, fake, kind, normalise(valid))


def feature_matching(real, fake, valid):
    return adversarial.feature_matching(real, fake, normalise(valid))


def perceptual(real, fake, layers, valid=None):
    if valid is None:
        first = next(iter(fake.values()), jnp.ones((1, 1, 1, 1)))
        valid = jnp.ones((*first.shape[:3], 1))
    return adversarial.perceptual(real, fake, layers, normalise(valid))
