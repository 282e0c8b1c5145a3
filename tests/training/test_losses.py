"""Losses respect masks and global counts."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jointseg_jax.models.jointseg import Outputs
from jointseg_jax.training.losses import LossWeights, cross_entropy, dice, joint_loss, masked_mean, stage_targets

pytestmark = pytest.mark.quick


def logits_and_label(seed=0, batch=3, size=20):
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(rng.standard_normal((batch, size, size, 2)), jnp.float32)
    return logits, jnp.asarray(rng.integers(0, 2, (batch, size, size)), jnp.uint8)


def test_cross_entropy_ignores_255():
    logits, label = logits_and_label()
    masked = label.at[:, :7].set(255)
    wild = logits.at[:, :7].set(1e4)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits[:, 7:], label[:, 7:].astype(jnp.int32)).mean()
    np.testing.assert_allclose(cross_entropy(wild, masked), expected, rtol=1e-6)


def test_losses_of_nothing_are_zero_with_zero_gradient():
    logits, label = logits_and_label()
    nothing = jnp.full_like(label, 255)
    for loss in (cross_entropy, dice):
        value, gradient = jax.value_and_grad(loss)(logits, nothing)
        assert value == 0
        assert not np.any(gradient)


def test_dice_of_a_perfect_and_of_an_inverted_map():
    _, label = logits_and_label()
    sure = 40.0 * (label[..., None] == jnp.arange(2)).astype(jnp.float32)
    assert dice(sure, label) < 1e-3
    assert dice(-sure, label) > 0.99


def test_dice_is_per_sample():
    """A sample that is wholly ignored neither helps nor hurts the others."""
    logits, label = logits_and_label()
    np.testing.assert_allclose(dice(logits, label.at[1].set(255)), dice(logits[::2], label[::2]), rtol=1e-5)


def test_masked_mean_counts_valid_only():
    x = jnp.array([[1.0, 2.0, 100.0]])
    assert masked_mean(x, jnp.array([[1.0, 1.0, 0.0]])) == 1.5
    assert masked_mean(x, jnp.zeros((1, 3))) == 0


def test_stage_targets_are_area_means_of_valid_pixels():
    image = jnp.arange(400.0).reshape(1, 20, 20, 1) * jnp.ones((1, 1, 1, 3))
    valid = jnp.ones((1, 20, 20, 1)).at[:, :, 10:].set(0)
    (coarse, seen), (fine, _) = stage_targets(image, valid, (Fraction(10), Fraction(1)))
    np.testing.assert_allclose(
        coarse[0, :, 0, 0],
        [np.arange(400).reshape(20, 20)[:10, :10].mean(), np.arange(400).reshape(20, 20)[10:, :10].mean()],
    )
    np.testing.assert_array_equal(seen[0, :, :, 0], [[1, 0], [1, 0]])
    np.testing.assert_array_equal(fine, image * valid)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_joint_loss_weighs_its_parts(weight):
    logits, label = logits_and_label()
    image = jnp.zeros((3, 20, 20, 3))
    batch = {"image": image, "image_valid": jnp.ones((3, 20, 20), bool), "label": label}
    outputs = Outputs(logits, (image[:, ::2, ::2] + 0.5, image + 0.25), (Fraction(2), Fraction(1)))
    weights = LossWeights(sr=weight, stages=(1.0, 2.0), cross_entropy=1.0, dice=0.5)
    total, parts = joint_loss(outputs, batch, weights, np.full(3, 0.5, np.float32))
    assert parts["l1_stage1"] == 1.0
    assert parts["l1_stage2"] == 0.5
    expected = parts["cross_entropy"] + 0.5 * parts["dice"] + weight * (1.0 + 2.0 * 0.5)
    np.testing.assert_allclose(total, expected, rtol=1e-6)
