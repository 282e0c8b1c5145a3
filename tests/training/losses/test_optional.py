"""Optional terms of the objective against plain NumPy, under masks, and on eight devices."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import whole_batch
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from whole_batch import cross_entropy, mean

from jointseg_jax.training.losses import optional
from jointseg_jax.training.losses.masked_mean import valid_like, weight_like
from jointseg_jax.training.losses.optional import class_weights

pytestmark = pytest.mark.quick

# Compiled as a whole, as in training; operation by operation they would take several times longer here.
boundary_band = jax.jit(optional.boundary_band, static_argnames="reach")
boundary_loss = jax.jit(whole_batch.boundary_loss, static_argnames="reach")
weighted_cross_entropy = jax.jit(whole_batch.weighted_cross_entropy, static_argnames="weights")
positive_unlabelled = jax.jit(whole_batch.positive_unlabelled, static_argnames="completeness")
feature_affinity = jax.jit(whole_batch.feature_affinity, static_argnames="grid")
shift_tolerant_l1 = jax.jit(whole_batch.shift_tolerant_l1, static_argnames="reach")


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def labels(batch=2, size=12, seed=0):
    """Random blobs of two classes, a block of ignored pixels."""
    rng = np.random.default_rng(seed)
    label = np.kron(rng.integers(0, 2, (batch, size // 4, size // 4)), np.ones((4, 4))).astype(np.uint8)
    label[:, 2:5, 3:9] = 255
    return label


def numpy_cross_entropy(logits, label):
    logits = logits.astype(np.float64)
    chosen = np.take_along_axis(logits, np.where(label == 255, 0, label)[..., None].astype(int), -1)[..., 0]
    return np.log(np.exp(logits).sum(-1)) - chosen


def numpy_band(label, reach):
    band = np.zeros(label.shape, bool)
    _, h, w = label.shape
    for b, y, x in np.ndindex(*label.shape):
        near = label[b, max(0, y - reach) : min(h, y + reach + 1), max(0, x - reach) : min(w, x + reach + 1)]
        band[b, y, x] = label[b, y, x] != 255 and np.any((near != 255) & (near != label[b, y, x]))
    return band


def numpy_shift_l1(prediction, target, valid, reach):
    """Loss, chosen shifts and compared pixels per sample, pixel by pixel."""
    _, h, w, c = prediction.shape
    total = pixels = 0
    chosen = []
    for p, t, v in zip(prediction.astype(np.float64), target, valid[..., 0], strict=True):
        places = [
            (y, x)
            for y, x in itertools.product(range(reach, h - reach), range(reach, w - reach))
            if v[y - reach : y + reach + 1, x - reach : x + reach + 1].all()
        ]
        shifts = list(itertools.product(range(-reach, reach + 1), repeat=2))
        sums = [sum(np.abs(p[y, x] - t[y + dy, x + dx]).sum() for y, x in places) for dy, dx in shifts]
        total += min(sums)
        pixels += len(places)
        chosen.append(shifts[int(np.argmin(sums))] if places else None)
    return total / (pixels * c), chosen


def test_mean_divides_by_weights_below_one():
    x = jnp.array([1.0, 2.0, 7.0])
    np.testing.assert_allclose(mean(x, jnp.array([0.1, 0.3, 0.0])), 1.75, rtol=1e-6)
    assert mean(x, jnp.zeros(3)) == 0
    np.testing.assert_allclose(mean(x.astype(jnp.bfloat16), jnp.array([True, True, False])), 1.5)


def test_valid_like_is_the_share_of_valid_ground():
    valid = jnp.ones((1, 20, 20, 1), bool).at[:, :5].set(False)
    np.testing.assert_allclose(valid_like(valid, jnp.zeros((1, 2, 2, 3)))[0, :, :, 0], [[0.5, 0.5], [1, 1]])
    np.testing.assert_allclose(valid_like(valid, jnp.zeros((1, 8, 8, 3)))[0, :4, 0, 0], [0, 0, 1, 1])
    assert valid_like(valid, jnp.zeros((1, 20, 20, 3))).dtype == jnp.float32
    for shape in ((1, 40, 40, 1), (1, 10, 5, 1)):
        with pytest.raises(ValueError, match="not a coarser lattice"):
            valid_like(valid, jnp.zeros(shape))


def test_weight_like_keeps_the_sum():
    weight = jnp.zeros((1, 20, 20, 1)).at[:, 5:10].set(0.01)
    coarse = weight_like(weight, jnp.zeros((1, 8, 8, 3)))
    np.testing.assert_allclose(coarse.sum(), weight.sum(), rtol=1e-6)
    np.testing.assert_allclose(coarse[0, :5, 0, 0], [0, 0, 0.0625, 0.0625, 0], rtol=1e-6)


@pytest.mark.parametrize("reach", [1, 2])
def test_boundary_band_is_what_lies_near_another_class(reach):
    label = labels(seed=reach)
    band = np.asarray(boundary_band(jnp.asarray(label), reach))
    assert 0 < band.sum() < (label != 255).sum()
    np.testing.assert_array_equal(band, numpy_band(label, reach))


def test_ignored_ground_makes_no_boundary():
    label = np.ones((1, 8, 8), np.uint8)
    label[:, 3:5] = 255
    assert not boundary_band(jnp.asarray(label), 2).any()
    label[:, :3] = 0
    assert not boundary_band(jnp.asarray(label), 2).any()  # the classes are three rows apart
    assert boundary_band(jnp.asarray(label), 3).sum() == 16


def test_boundary_loss_is_the_cross_entropy_of_the_band():
    label, logits = labels(), random(2, 12, 12, 2)
    expected = numpy_cross_entropy(logits, label)[numpy_band(label, 2)].mean()
    np.testing.assert_allclose(boundary_loss(jnp.asarray(logits), jnp.asarray(label), 2), expected, rtol=1e-5)
    far = np.where(numpy_band(label, 2)[..., None], logits, 1e4)
    np.testing.assert_allclose(boundary_loss(jnp.asarray(far), jnp.asarray(label), 2), expected, rtol=1e-5)


def test_boundary_loss_of_no_edge_is_zero_with_zero_gradient():
    logits = jnp.asarray(random(1, 8, 8, 2))
    for label in (jnp.ones((1, 8, 8), jnp.uint8), jnp.full((1, 8, 8), 255, jnp.uint8)):
        value, gradient = jax.value_and_grad(boundary_loss)(logits, label)
        assert value == 0
        assert not gradient.any()
    with pytest.raises(ValueError, match="1 or more"):
        boundary_band(label, 0)


def test_class_weights_balance_the_dataset():
    share = (0.9, 0.1)
    assert class_weights(share, 0.0) == (1.0, 1.0)
    for power in (0.5, 1.0):
        weights = class_weights(share, power)
        assert np.dot(share, weights) == pytest.approx(1)
        assert weights[1] / weights[0] == pytest.approx(9**power)
    assert class_weights((9e9, 1e9), 0.5) == pytest.approx(class_weights(share, 0.5))


@pytest.mark.parametrize(("share", "power"), [((1.0, 0.0), 0.5), ((float("nan"), 1.0), 0.5), ((0.5, 0.5), -1.0)])
def test_class_weights_refuse(share, power):
    with pytest.raises(ValueError, match=r"balanc"):
        class_weights(share, power)


def test_weighted_cross_entropy():
    label, logits, weights = labels(), random(2, 12, 12, 2), (0.02, 0.3)
    pixel = np.where(label == 255, 0, np.take(weights, np.minimum(label, 1)))
    expected = (numpy_cross_entropy(logits, label) * pixel).sum() / pixel.sum()
    logits, label = jnp.asarray(logits), jnp.asarray(label)
    np.testing.assert_allclose(weighted_cross_entropy(logits, label, weights), expected, rtol=1e-5)
    wild = jnp.where((label == 255)[..., None], 1e4, logits)
    np.testing.assert_allclose(weighted_cross_entropy(wild, label, weights), expected, rtol=1e-5)
    # Only ratios of weights count, and equal ones are the plain cross-entropy.
    np.testing.assert_allclose(weighted_cross_entropy(logits, label, (2, 30)), expected, rtol=1e-5)
    np.testing.assert_allclose(weighted_cross_entropy(logits, label, (3, 3)), cross_entropy(logits, label), rtol=1e-6)
    assert weighted_cross_entropy(logits, jnp.full_like(label, 255), weights) == 0


def test_feature_affinity_compares_similarities_of_cells():
    """Branches that differ in channels and lattice; one quarter of the patch masked."""
    a, b, valid = random(2, 8, 8, 5), random(2, 4, 4, 3, seed=1), np.ones((2, 8, 8, 1), np.float32)
    valid[0, :4, :4] = 0

    def similarity(x):
        cells = (
            x.astype(np.float64).reshape(2, 4, x.shape[1] // 4, 4, x.shape[2] // 4, -1).mean((2, 4)).reshape(2, 16, -1)
        )
        cells /= np.linalg.norm(cells, axis=-1, keepdims=True)
        return cells @ cells.transpose(0, 2, 1)

    seen = valid[:, ::2, ::2, 0].reshape(2, 16)
    pairs = seen[:, :, None] * seen[:, None]
    expected = (np.abs(similarity(a) - similarity(b)) * pairs).sum() / pairs.sum()
    loss = functools.partial(feature_affinity, valid=jnp.asarray(valid), grid=4)
    np.testing.assert_allclose(loss(jnp.asarray(a), jnp.asarray(b)), expected, rtol=1e-5)
    wild_a, wild_b = np.where(valid > 0, a, 1e3), np.where(valid[:, ::2, ::2] > 0, b, -1e3)
    np.testing.assert_allclose(loss(jnp.asarray(wild_a), jnp.asarray(wild_b)), expected, rtol=1e-5)


def test_feature_affinity_averages_valid_pixels_of_a_cell():
    """A pixel masked inside a cell changes nothing, whatever its value."""
    a, b = jnp.asarray(random(1, 8, 8, 5)), jnp.asarray(random(1, 8, 8, 5, seed=1))
    valid = jnp.ones((1, 8, 8, 1)).at[0, 3, 3].set(0)
    found = [feature_affinity(a.at[0, 3, 3].set(v), b.at[0, 3, 3].set(-v), valid, 2) for v in (0.0, 1e3)]
    assert found[0] == found[1] > 0


def test_feature_affinity_ignores_scale_and_rotation_of_features():
    a, valid = jnp.asarray(random(2, 8, 8, 4)), jnp.ones((2, 8, 8, 1), bool)
    turn, _ = np.linalg.qr(random(4, 4, seed=3))
    assert feature_affinity(a, 1e3 * a @ turn, valid, 4) < 1e-5
    other = jnp.asarray(random(2, 8, 8, 4, seed=1))
    reference = feature_affinity(a, other, valid, 4)
    assert reference > 0.1
    for scale in (0.1, 1e4):
        np.testing.assert_allclose(feature_affinity(a * scale, other, valid, 4), reference, rtol=1e-4)


def test_feature_affinity_of_no_features_has_a_finite_gradient():
    valid = jnp.ones((1, 8, 8, 1))
    gradient = jax.grad(lambda a: feature_affinity(a, jnp.asarray(random(1, 8, 8, 4)), valid, 4))
    assert np.isfinite(gradient(jnp.zeros((1, 8, 8, 4)))).all()
    assert not gradient(jnp.ones((1, 8, 8, 4)) * np.float32(1e4)).sum() > 1e-3
    assert feature_affinity(jnp.ones((1, 8, 8, 4)), jnp.ones((1, 8, 8, 4)), jnp.zeros((1, 8, 8, 1)), 4) == 0


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_shift_tolerant_l1_equals_a_search_by_hand(reach):
    prediction, target = random(3, 11, 10, 2), random(3, 11, 10, 2, seed=1)
    valid = np.ones((3, 11, 10, 1), bool)
    valid[0, :3] = valid[1, 8, 8] = valid[2] = False
    expected, shifts = numpy_shift_l1(prediction, target, valid, reach)
    lengths = [np.hypot(*s) for s in shifts if s is not None]
    assert len(lengths) == 2
    found, length = shift_tolerant_l1(*map(jnp.asarray, (prediction, target, valid)), reach)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(length, np.mean(lengths), rtol=1e-6)
    wild = jnp.asarray(np.where(valid, target, 1e5))
    assert shift_tolerant_l1(jnp.asarray(prediction), wild, jnp.asarray(valid), reach)[0] == found


def test_without_reach_it_is_the_masked_l1():
    prediction, target = jnp.asarray(random(2, 6, 7, 3)), jnp.asarray(random(2, 6, 7, 3, seed=1))
    valid = jnp.ones((2, 6, 7, 1)).at[0, 2:].set(0)
    loss, length = shift_tolerant_l1(prediction, target, valid, 0)
    np.testing.assert_allclose(loss, mean(jnp.abs(prediction - target), valid), rtol=1e-6)
    assert length == 0


def test_each_sample_finds_its_own_shift():
    scene = random(2, 20, 20, 1)
    prediction = scene[:, 4:16, 4:16]
    target = np.stack([scene[0, 2:14, 5:17], scene[1, 4:16, 4:16]])  # moved by (2, -1) and not at all
    prediction, target, valid = *map(jnp.asarray, (prediction, target)), jnp.ones((2, 12, 12, 1), bool)
    assert shift_tolerant_l1(prediction, target, valid, 0)[0] > 0.3
    assert shift_tolerant_l1(prediction, target, valid, 1)[0] > 0.3
    for reach in (2, 3):
        loss, length = shift_tolerant_l1(prediction, target, valid, reach)
        assert loss == 0
        np.testing.assert_allclose(length, np.sqrt(5) / 2, rtol=1e-6)


def test_of_equal_shifts_the_shortest_is_chosen():
    flat = jnp.ones((1, 8, 8, 1))
    assert shift_tolerant_l1(flat, 2 * flat, flat, 2)[1] == 0
    value, length = shift_tolerant_l1(flat, 2 * flat, 0 * flat, 2)
    assert value == length == 0


def test_shift_tolerant_l1_is_differentiated_at_the_chosen_shift():
    scene = random(1, 16, 16, 1)
    target, valid = jnp.asarray(scene[:, 2:14, 3:15]), jnp.ones((1, 12, 12, 1))
    prediction = jnp.asarray(scene[:, 3:15, 4:16]) + 0.01  # target is moved by (1, 1)
    gradient = jax.grad(lambda p: shift_tolerant_l1(p, target, valid, 1)[0])(prediction)
    expected = np.pad(np.full((1, 10, 10, 1), 0.01, np.float32), ((0, 0), (1, 1), (1, 1), (0, 0)))
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


@pytest.mark.parametrize("reach", [-1, 4])
def test_shifts_beyond_the_patch_are_refused(reach):
    x = jnp.zeros((1, 8, 9, 1))
    with pytest.raises(ValueError, match="leave nothing"):
        shift_tolerant_l1(x, x, x, reach)


def test_extreme_logits_stay_finite():
    label = jnp.asarray(labels())
    for scale in (1e4, 1e30):
        logits = scale * jnp.asarray(random(2, 12, 12, 2))
        for loss in (boundary_loss, functools.partial(weighted_cross_entropy, weights=(1.0, 3.0))):
            value, gradient = jax.value_and_grad(loss)(logits, label)
            assert np.isfinite(value)
            assert np.isfinite(gradient).all()


SHARDED = {
    "boundary": lambda x: boundary_loss(x["logits"], x["label"], 2),
    "weighted_cross_entropy": lambda x: weighted_cross_entropy(x["logits"], x["label"], (0.4, 3.0)),
    "positive_unlabelled": lambda x: positive_unlabelled(x["logits"], x["label"], 0.6),
    "feature_affinity": lambda x: feature_affinity(x["a"], x["b"], x["valid"], 4),
    "shift": lambda x: jnp.stack(shift_tolerant_l1(x["a"], x["target"], x["valid"], 1)),
}


@pytest.fixture(scope="module")
def uneven():
    """Eight samples whose masks differ in size, one of them empty."""
    label, valid = labels(8, 16), np.ones((8, 16, 16, 1), bool)
    for k in range(8):
        label[k, : 2 * k] = 255
        valid[k, : 16 - 2 * k] = False
    a = random(8, 16, 16, 2)
    target = np.roll(a, 1, axis=2) + 0.2 * random(8, 16, 16, 2, seed=2)
    b = random(8, 8, 8, 3, seed=1)
    return {"logits": random(8, 16, 16, 2, seed=4), "label": label, "a": a, "b": b, "target": target, "valid": valid}


@pytest.mark.parametrize(("data", "space"), [(8, 1), (4, 2)])
@pytest.mark.parametrize("name", SHARDED)
def test_sharded_equals_single_device(uneven, name, data, space):
    """Values and gradients agree over samples and over rows on several devices; over samples nothing is gathered."""
    loss = SHARDED[name]

    def both(batch):
        floats = {k: v for k, v in batch.items() if v.dtype == jnp.float32}
        return loss(batch), jax.grad(lambda f: loss(batch | f).ravel()[0])(floats)

    mesh = jax.make_mesh((data, space), ("data", "space"), axis_types=(AxisType.Auto,) * 2)
    placed = jax.device_put(uneven, NamedSharding(mesh, P("data", "space")))
    compiled = jax.jit(both).lower(placed).compile()
    if space == 1:
        assert not any(word in compiled.as_text() for word in ("all-gather", "all-to-all", "collective-permute"))
    (value, gradient), (expected, expected_gradient) = compiled(placed), jax.jit(both)(uneven)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, atol=1e-6), gradient, expected_gradient)
    per_sample = [loss(jax.tree.map(lambda x, k=k: x[k : k + 1], uneven)).ravel()[0] for k in range(8)]
    assert abs(np.mean(per_sample) - expected.ravel()[0]) > 1e-4  # a mean of means would be found out
