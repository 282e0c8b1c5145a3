"""Support: 1 where nothing was added to the base, towards 0 where detail was invented, and local."""

import jax
import numpy as np
import pytest
from models.small_networks import TINY, drawn, example, network

from jointseg_jax.models.jointseg import image_support, run
from jointseg_jax.models.resampling import resample
from jointseg_jax.models.sensor import SensorModel
from jointseg_jax.models.support import REACH
from jointseg_jax.models.support import support as unjitted

support = jax.jit(unjitted)
enlarge = jax.jit(lambda coarse: resample(coarse, 10, "bicubic"))


def base(side=9, seed=0):
    """The bicubic of a random 10 m image, [1, 10 side, 10 side, 3] in standard deviations."""
    coarse = np.random.default_rng(seed).normal(0, 1, (1, side, side, 3)).astype(np.float32)
    return np.asarray(enlarge(coarse))


def texture(side=90, seed=1):
    return np.random.default_rng(seed).normal(0, 1, (1, side, side, 3)).astype(np.float32)


def test_nothing_added_is_measured_everywhere():
    np.testing.assert_array_equal(support(base(), base()), 1)
    flat = np.full((1, 90, 90, 3), 0.3, np.float32)
    np.testing.assert_array_equal(support(flat, flat), 1)


def test_invention_is_not_measured():
    flat = np.full((1, 90, 90, 3), 0.3, np.float32)
    assert float(support(flat + texture(), flat).max()) < 1e-5


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_it_is_the_share_of_power(gain):
    """What was added is the base's own detail, so its power is known."""
    found = np.asarray(support((1 + gain) * base(), base()))
    np.testing.assert_allclose(found, 1 / (1 + gain**2), rtol=1e-3)


def test_a_shift_of_the_whole_image_is_no_detail():
    np.testing.assert_allclose(support(base() + 2, base()), 1, atol=1e-4)


def test_it_lies_between_0_and_1_and_falls_with_what_is_added():
    means = []
    for amount in (0.1, 0.5, 2.0):
        found = np.asarray(support(base() + amount * texture(), base()))
        assert found.shape == (1, 90, 90, 1)
        assert (found >= 0).all()
        assert (found <= 1).all()
        means.append(found.mean())
    assert means == sorted(means, reverse=True)


def test_its_reach_is_bounded():
    image = base() + 0.1 * texture()
    changed = image.copy()
    changed[0, 45, 45] += 5
    apart = np.abs(np.asarray(support(changed, base()) - support(image, base())))[0, ..., 0]
    rows, cols = np.nonzero(apart > 1e-7)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (45 - REACH, 45 + REACH, 45 - REACH, 45 + REACH)


@pytest.mark.parametrize("back_projections", [0, 4])
def test_an_untrained_network_adds_nothing(back_projections):
    model = network(sensor=SensorModel((0.43, 0.41, 0.45)), back_projections=back_projections, **TINY)
    inputs, _ = example(model, batch=1)
    params = drawn(model, inputs, fresh=("conv_last", "conv_subpixel"))
    supported = jax.jit(lambda params: image_support(model, run(model, params, inputs)))
    np.testing.assert_allclose(supported(params), 1, atol=1e-5)
    params["sr"]["stage1"]["conv_last"]["kernel"] += 1.0
    found = supported(params)
    assert found.shape == (1, 60, 80, 1)
    assert float(found.mean()) < 0.9


def test_a_network_without_an_image_has_none():
    model = network("bilinear")
    inputs, _ = example(model)
    outputs = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), inputs)[0])
    assert outputs.base is None
    with pytest.raises(ValueError, match="'bilinear' has no SR branch"):
        image_support(model, outputs)
