"""The positive-unlabelled risk against plain NumPy, under masks, and where most positives are hidden."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy
from whole_batch import cross_entropy, positive_unlabelled

from jointseg_jax.errors import InputError
from jointseg_jax.training.set_up import label_share, set_up


def logits_and_label(seed=0, shape=(3, 20, 20)):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, shape).astype(np.uint8)
    label[:, :3] = 255
    return rng.standard_normal((*shape, 2)).astype(np.float32), label


def by_hand(logits, label, completeness):
    known = label != 255
    shifted = logits[known].astype(np.float64)
    losses = np.log(np.exp(shifted).sum(-1, keepdims=True)) - shifted
    shown = (label[known] == 1) / completeness
    return (losses[:, 1] * shown).mean() + max(0.0, losses[:, 0].mean() - (losses[:, 0] * shown).mean())


@pytest.mark.parametrize("completeness", [0.95, 0.6])
def test_the_risk_is_the_formula(completeness):
    logits, label = logits_and_label()
    wild = np.where((label == 255)[..., None], 1e4, logits)
    found = positive_unlabelled(jnp.asarray(wild), jnp.asarray(label), completeness)
    np.testing.assert_allclose(found, by_hand(logits, label, completeness), rtol=1e-5)


def test_complete_labels_have_their_cross_entropy():
    logits, label = (jnp.asarray(x) for x in logits_and_label())
    (a, da), (b, db) = (
        jax.jit(jax.value_and_grad(loss))(logits, label)
        for loss in (cross_entropy, lambda x, y: positive_unlabelled(x, y, 1.0))
    )
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(da, db, atol=1e-8)


def test_what_the_pervious_part_cannot_owe_has_no_gradient():
    """A network that knows the labels by heart: the estimate is below zero, and the unlabelled pull no further."""
    label = jnp.zeros((1, 4, 4), jnp.uint8).at[:, :2].set(1)
    logits = jnp.where((label == 1)[..., None], jnp.array([-9.0, 9.0]), jnp.array([9.0, -9.0]))
    value, gradient = jax.jit(jax.value_and_grad(lambda x: positive_unlabelled(x, label, 0.5)))(logits)
    assert 0 <= value < 1e-6
    assert not gradient[label == 0].any()


def test_nothing_labelled_is_zero_with_zero_gradient():
    logits, label = logits_and_label()
    nothing = jnp.full_like(jnp.asarray(label), 255)
    value, gradient = jax.value_and_grad(lambda x: positive_unlabelled(x, nothing, 0.5))(jnp.asarray(logits))
    assert value == 0
    assert not gradient.any()
    with pytest.raises(ValueError, match="above 0"):
        positive_unlabelled(jnp.asarray(logits), nothing, 0.0)


def test_hidden_impervious_ground_is_found_where_cross_entropy_calls_it_pervious():
    """Two overlapping classes in three features; of the impervious 30 % six in ten are not drawn."""
    rng = np.random.default_rng(0)
    truth = rng.random((40, 16, 16)) < 0.3
    features = rng.standard_normal((*truth.shape, 3)) + 1.5 * truth[..., None] * np.array([1.0, 0.5, 0.0])
    label = (truth & (rng.random(truth.shape) < 0.4)).astype(np.uint8)
    x, y = jnp.asarray(features, jnp.float32), jnp.asarray(label)
    optimizer = optax.adam(0.05)

    def f1(loss):
        def update(carry, _):
            params, state = carry
            change, state = optimizer.update(jax.grad(lambda p: loss(x @ p["w"] + p["b"], y))(params), state)
            return (optax.apply_updates(params, change), state), None

        start = {"w": jnp.zeros((3, 2)), "b": jnp.zeros(2)}
        (params, _), _ = jax.jit(lambda c: jax.lax.scan(update, c, length=200))((start, optimizer.init(start)))
        called = np.asarray((x @ params["w"] + params["b"]).argmax(-1) == 1)
        return 2 * (called & truth).sum() / (called.sum() + truth.sum()), called.mean()

    plain, few = f1(cross_entropy)
    completeness = float(label.mean()) / 0.3
    found, share = f1(lambda logits, label: positive_unlabelled(logits, label, completeness))
    assert few < 0.1
    assert share == pytest.approx(0.3, abs=0.06)
    assert found > plain + 0.3


def incomplete(config, **changes):
    config.model = toy.network("10", blocks=(0,))
    config.loss.update({"dice": 0.0, "prior": 0.9} | changes)
    return config


def test_a_run_compares_the_prior_with_its_labels(config):
    experiment = set_up(incomplete(config))
    shown = label_share(experiment.data)[1]
    assert 0.05 < shown < 0.9
    assert experiment.method.objective.completeness == pytest.approx(shown / 0.9)
    assert set_up(incomplete(config, prior=0.0, dice=1.0)).method.objective.completeness == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": 0.01}, r"loss\.prior is 0\.01, but the labels show 0\.\d+ of the ground"),
        ({"dice": 1.0, "boundary": 0.5}, r"set loss\.dice and loss\.boundary to 0"),
        ({"cross_entropy": 0.0}, "give it a weight"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(config, changes, message):
    with pytest.raises(InputError, match=message):
        set_up(incomplete(config, **changes))


def test_pieces_of_a_batch_are_refused(config):
    config.mesh.data, config.optimizer.accumulate = 1, 2
    with pytest.raises(InputError, match=r"optimizer\.accumulate splits it into 2"):
        set_up(incomplete(config))
