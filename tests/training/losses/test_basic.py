"""Losses respect masks and global counts."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from whole_batch import cross_entropy, dice, mean

from jointseg_jax.models.jointseg import Outputs
from jointseg_jax.training.losses.basic import stage_targets
from jointseg_jax.training.losses.masked_mean import normalise, weighted_sum
from jointseg_jax.training.losses.objective import Objective

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


def test_means_count_valid_only():
    x = jnp.array([[1.0, 2.0, 100.0]])
    assert mean(x, jnp.array([[1.0, 1.0, 0.0]])) == 1.5
    assert mean(x, jnp.zeros((1, 3))) == 0


def test_means_of_pieces_add_up_to_the_whole():
    x, weight = jnp.array([1.0, 2.0, 100.0, 5.0]), jnp.array([1.0, 0.5, 0.0, 2.0])
    whole = normalise(weight)
    pieces = [weighted_sum(x[i:j], whole[i:j]) for i, j in ((0, 1), (1, 4))]
    np.testing.assert_allclose(sum(pieces), 12 / 3.5, rtol=1e-6)


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


def outputs_and_batch():
    logits, label = logits_and_label()
    image = jnp.zeros((3, 20, 20, 3))
    batch = {"image": image, "image_valid": jnp.ones((3, 20, 20), bool), "label": label}
    features = (image[..., :2] + jnp.arange(20.0)[:, None, None], logits)
    return Outputs(logits, (image[:, ::2, ::2] + 0.5, image + 0.25), (Fraction(2), Fraction(1)), features), batch


def evaluated(objective, step=0, learned=None):
    outputs, batch = outputs_and_batch()
    values = objective.losses(outputs, batch, objective.weights(batch, outputs.spacings))
    return float(objective.total(values, learned or {}, jnp.int32(step))), values


STD = (0.5, 0.5, 0.5)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_objective_weighs_its_parts(weight):
    total, parts = evaluated(Objective(STD, sr=weight, stages=(1.0, 2.0), dice=0.5))
    expected = parts["cross_entropy"] + 0.5 * parts["dice"]
    if weight:
        assert parts["l1_stage1"] == pytest.approx(1.0, rel=3e-6)
        assert parts["l1_stage2"] == pytest.approx(0.5, rel=3e-6)
        expected += parts["l1_stage1"] + 2.0 * parts["l1_stage2"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_what_has_no_weight_is_not_computed():
    _, parts = evaluated(Objective(STD, stages=(1.0, 0.0), cross_entropy=0.0))
    assert set(parts) == {"l1_stage1", "dice"}


def test_optional_parts_count_with_their_weight():
    plain, _ = evaluated(Objective(STD, stages=(1.0, 1.0)))
    more, parts = evaluated(Objective(STD, stages=(1.0, 1.0), boundary=0.3, affinity=0.2, affinity_grid=10))
    assert min(parts["boundary"], parts["affinity"]) > 0
    np.testing.assert_allclose(more, plain + 0.3 * parts["boundary"] + 0.2 * parts["affinity"], rtol=1e-6)
    total, unlabelled = evaluated(Objective(STD, stages=(1.0, 1.0), cross_entropy=0.7, dice=0.0, completeness=0.6))
    assert set(unlabelled) == {"positive_unlabelled", "l1_stage1", "l1_stage2"}  # in place of the cross-entropy
    resolved = unlabelled["l1_stage1"] + unlabelled["l1_stage2"]
    np.testing.assert_allclose(total, 0.7 * unlabelled["positive_unlabelled"] + resolved, rtol=1e-6)
    _, balanced = evaluated(Objective(STD, stages=(1.0, 1.0), class_weights=(0.1, 1.9)))
    assert abs(balanced["cross_entropy"] - parts["cross_entropy"]) > 1e-3


def test_a_shift_in_metres_is_rounded_to_each_stages_pixels():
    _, parts = evaluated(Objective(STD, stages=(1.0, 1.0), shift=1.0))
    assert set(parts) >= {"shift_stage2", "l1_stage1", "l1_stage2"}
    assert "shift_stage1" not in parts  # half a pixel of 2 m
    assert parts["shift_stage2"] == 0  # flat images: of equal shifts the shortest


def test_segmentation_comes_in_over_its_ramp():
    ramped = Objective(STD, stages=(1.0, 1.0), segmentation_start=10, segmentation_ramp=10)
    early, parts = evaluated(ramped, step=10)
    np.testing.assert_allclose(early, parts["l1_stage1"] + parts["l1_stage2"], rtol=1e-6)
    np.testing.assert_allclose(
        evaluated(ramped, step=15)[0] - early, 0.5 * (parts["cross_entropy"] + parts["dice"]), rtol=1e-5
    )


def test_learned_uncertainties_weigh_the_two_tasks():
    learned = {"sr": jnp.float32(0.4), "segmentation": jnp.float32(-0.2)}
    total, parts = evaluated(Objective(STD, stages=(1.0, 1.0), weighting="uncertainty"), learned=learned)
    sr, segmentation = parts["l1_stage1"] + parts["l1_stage2"], parts["cross_entropy"] + parts["dice"]
    np.testing.assert_allclose(total, np.exp(-0.4) * sr + 0.4 + np.exp(0.2) * segmentation - 0.2, rtol=1e-6)
