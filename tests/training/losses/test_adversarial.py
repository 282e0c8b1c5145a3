"""Adversarial, feature-matching and perceptual losses against plain NumPy, under masks, and on eight devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import whole_batch
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jointseg_jax.training.losses.adversarial import GAN_KINDS

pytestmark = pytest.mark.quick

# Compiled as a whole, as in training.
generator_gan = jax.jit(whole_batch.generator_gan, static_argnames="kind")
discriminator_gan = jax.jit(whole_batch.discriminator_gan, static_argnames="kind")
feature_matching = jax.jit(whole_batch.feature_matching)
perceptual = jax.jit(whole_batch.perceptual)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def logits():
    """Real and fake logits of eight samples whose masks differ in size; none of sample 0 is valid."""
    valid = np.ones((8, 8, 8, 1), bool)
    for k in range(8):
        valid[k, : 8 - k] = False
    # Means that differ by sample, so that a mean over one device's sample is not the global one.
    offset = np.arange(8, dtype=np.float32)[:, None, None, None] / 4
    return random(8, 8, 8, 1) + offset, random(8, 8, 8, 1, seed=1) - offset, valid


def answers(x, real):
    """Binary cross-entropy as -log of a sigmoid, in float64."""
    probability = 1 / (1 + np.exp(-x.astype(np.float64)))
    return -np.log(probability if real else 1 - probability)


def by_hand(loss, kind, real, fake, valid):
    real, fake = real[valid].astype(np.float64), fake[valid].astype(np.float64)
    truth = loss is discriminator_gan
    if kind == "relativistic":
        real, fake = real - fake.mean(), fake - real.mean()
        return (answers(real, truth).mean() + answers(fake, not truth).mean()) / 2
    return answers(fake, not truth).mean() + (answers(real, True).mean() if truth else 0)


@pytest.mark.parametrize("kind", GAN_KINDS)
@pytest.mark.parametrize("loss", [generator_gan, discriminator_gan])
def test_gan_losses(loss, kind, logits):
    real, fake, valid = logits
    expected = by_hand(loss, kind, real, fake, valid)
    np.testing.assert_allclose(loss(real, fake, kind, valid), expected, rtol=1e-5)
    wild = np.where(valid, real, 1e6), np.where(valid, fake, -1e6)
    np.testing.assert_allclose(loss(*wild, kind, valid), expected, rtol=1e-5)
    assert loss(real, fake, kind, np.zeros_like(valid)) == 0


def test_logits_of_nothing_to_choose():
    """Where real and fake look alike, both relativistic losses are log 2, whatever the level of the logits."""
    same, valid = np.full((2, 4, 4, 1), 7.0, np.float32), np.ones((2, 4, 4, 1), np.float32)
    for loss in (generator_gan, discriminator_gan):
        assert loss(same, same, "relativistic", valid) == pytest.approx(np.log(2), rel=1e-6)
    assert discriminator_gan(0 * same, 0 * same, "vanilla", valid) == pytest.approx(2 * np.log(2), rel=1e-6)


def test_relativistic_mean_is_global(logits):
    """Moving one sample's real logits changes the loss of fakes in another sample."""
    real, fake, valid = logits

    def last_fake_gradient(moved):
        gradient = jax.grad(lambda f: generator_gan(moved, f, "relativistic", valid))(fake)
        return np.asarray(gradient)[7]

    moved = real.copy()
    moved[6] += 5
    assert np.abs(last_fake_gradient(moved) - last_fake_gradient(real)).max() > 1e-4


@pytest.mark.parametrize("kind", GAN_KINDS)
def test_gradients_push_apart_and_only_where_valid(kind, logits):
    real, fake, valid = logits
    to_real, to_fake = jax.grad(generator_gan, (0, 1))(real, fake, kind, valid)
    assert not np.any(to_real)  # the generator does not make the real side
    assert (np.asarray(to_fake)[valid] < 0).all()
    assert not np.asarray(to_fake)[~valid].any()
    to_real, to_fake = jax.grad(discriminator_gan, (0, 1))(real, fake, kind, valid)
    assert (np.asarray(to_real)[valid] < 0).all()
    assert (np.asarray(to_fake)[valid] > 0).all()
    assert not np.asarray(to_real)[~valid].any()


@pytest.mark.parametrize("kind", GAN_KINDS)
@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_extreme_logits_stay_finite(kind, scale, logits):
    real, fake, valid = logits
    for loss in (generator_gan, discriminator_gan):
        value, gradients = jax.value_and_grad(loss, (0, 1))(scale * real, -scale * fake, kind, valid)
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in gradients)


def test_gan_losses_take_bfloat16_and_coarser_logits(logits):
    real, fake, valid = logits
    half = discriminator_gan(jnp.asarray(real, jnp.bfloat16), jnp.asarray(fake, jnp.bfloat16), "vanilla", valid)
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, discriminator_gan(real, fake, "vanilla", valid), rtol=1e-2)
    coarse = np.repeat(np.repeat(valid, 2, 1), 2, 2)  # a mask twice as fine as the logits
    np.testing.assert_allclose(
        generator_gan(None, fake, "vanilla", coarse), generator_gan(real, fake, "vanilla", valid), rtol=1e-6
    )


def test_what_gan_losses_refuse(logits):
    real, fake, valid = logits
    for loss in (generator_gan, discriminator_gan):
        with pytest.raises(ValueError, match="'hinge'"):
            loss(real, fake, "hinge", valid)
    with pytest.raises(ValueError, match="pass them"):
        generator_gan(None, fake, "relativistic", valid)


def layers(seed):
    return [random(2, 8, 8, 3, seed=seed), random(2, 4, 4, 5, seed=seed + 1)]


def test_feature_matching():
    valid = np.ones((2, 8, 8, 1), np.float32)
    valid[0, :5] = 0  # row 2 of the coarse layer is half valid
    real, fake = layers(0), layers(10)
    shares = [valid, valid.reshape(2, 4, 2, 4, 2, 1).mean((2, 4))]
    assert set(np.unique(shares[1])) == {0, 0.5, 1}
    means = [(np.abs(r - f) * s).sum() / (s.sum() * r.shape[-1]) for r, f, s in zip(real, fake, shares, strict=True)]
    np.testing.assert_allclose(feature_matching(real, fake, valid), np.mean(means), rtol=1e-5)
    wild = [np.where(s > 0, r, 1e5) for r, s in zip(real, shares, strict=True)]
    np.testing.assert_allclose(feature_matching(wild, fake, valid), np.mean(means), rtol=1e-5)
    to_real, to_fake = jax.grad(feature_matching, (0, 1))(real, fake, valid)
    assert not any(np.any(g) for g in to_real)
    assert all(np.any(g) for g in to_fake)
    for wrong in (fake[:1], []):
        with pytest.raises(ValueError, match="layers of real features"):
            feature_matching(real if wrong else [], wrong, valid)


def test_perceptual():
    names = ("conv1_2", "conv2_2")
    real, fake = dict(zip(names, layers(0), strict=True)), dict(zip(names, layers(10), strict=True))
    l1 = {k: np.abs(real[k] - fake[k]) for k in names}
    weights = {"conv1_2": 0.1, "conv2_2": 2.0}
    expected = 0.1 * l1["conv1_2"].mean() + 2.0 * l1["conv2_2"].mean()
    np.testing.assert_allclose(perceptual(real, fake, weights), expected, rtol=1e-5)
    np.testing.assert_allclose(perceptual(real, fake, {"conv2_2": 1.0}), l1["conv2_2"].mean(), rtol=1e-5)
    valid = np.ones((2, 8, 8, 1), bool)
    valid[0] = False
    expected = 0.1 * l1["conv1_2"][1].mean() + 2.0 * l1["conv2_2"][1].mean()
    np.testing.assert_allclose(perceptual(real, fake, weights, valid), expected, rtol=1e-5)
    to_real, to_fake = jax.grad(perceptual, (0, 1))(real, fake, weights)
    assert not any(np.any(g) for g in jax.tree.leaves(to_real))
    assert all(np.any(g) for g in jax.tree.leaves(to_fake))
    with pytest.raises(ValueError, match="conv5_4"):
        perceptual(real, fake, {"conv5_4": 1.0})
    with pytest.raises(ValueError, match="no layer"):
        perceptual(real, fake, {})


def everything(batch):
    real, fake, valid = batch["real"], batch["fake"], batch["valid"]
    features = [[x, x[:, ::2, ::2]] for x in (batch["real_features"], batch["fake_features"])]
    gan = [loss(real, fake, kind, valid) for loss in (generator_gan, discriminator_gan) for kind in GAN_KINDS]
    named = [dict(zip("ab", x, strict=True)) for x in features]
    return jnp.stack([*gan, feature_matching(*features, valid), perceptual(*named, {"a": 0.1, "b": 1.0}, valid)])


def test_sharded_equals_single_device(logits):
    """Losses and gradients agree on 1 and on 8 devices, where every sample is alone; nothing is gathered."""
    real, fake, valid = logits
    features = {"real_features": random(8, 8, 8, 4, seed=2), "fake_features": random(8, 8, 8, 4, seed=3)}
    batch = {"real": real, "fake": fake, "valid": valid, **features}

    def both(batch):
        floats = {k: v for k, v in batch.items() if v.dtype == jnp.float32}
        return everything(batch), jax.grad(lambda f: everything(batch | f).sum())(floats)

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put(batch, NamedSharding(mesh, P("data")))
    compiled = jax.jit(both).lower(placed).compile()
    assert not any(word in compiled.as_text() for word in ("all-gather", "all-to-all", "collective-permute"))
    (values, gradients), (expected, expected_gradients) = compiled(placed), jax.jit(both)(batch)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, atol=1e-6), gradients, expected_gradients)
    single = jax.jit(everything)
    per_sample = np.mean([single(jax.tree.map(lambda x, k=k: x[k : k + 1], batch)) for k in range(8)], 0)
    assert (np.abs(per_sample - expected) > 1e-3).all()  # a mean of means would be found out
