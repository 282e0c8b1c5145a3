"""Layers of a traced step: their operations, bytes, and the least time they can take."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from benchmarks import roofline
from benchmarks.peaks import Peaks
from jointseg_jax.models import cost
from jointseg_jax.models.rrdb import Trunk

B, H, W, C, F = 2, 8, 10, 3, 5
X = jax.ShapeDtypeStruct((B, H, W, C), "float32")
K = jax.ShapeDtypeStruct((3, 3, C, F), "float32")
CONV = 2 * 9 * C * F * B * H * W
BYTES = 4 * (B * H * W * (C + F) + 9 * C * F)


def conv(x, k):
    return lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.quick
def test_a_convolution_and_its_gradients_by_hand():
    (forward,) = roofline.layers(conv, X, K)
    assert (forward.flops, forward.bytes, forward.repeats) == (CONV, BYTES, 1)
    both = roofline.layers(jax.grad(lambda x, k: jnp.sum(conv(x, k) ** 2), (0, 1)), X, K)
    assert sum(layer.repeats for layer in both) == 3
    # Each of the three moves the same three arrays, and multiplies as often.
    assert {layer.flops for layer in both} == {CONV}
    assert {layer.bytes for layer in both} == {BYTES}
    assert sum("weights' gradient" in layer.label for layer in both) == 1


@pytest.mark.quick
def test_equal_layers_are_one_with_repeats_and_scans_multiply():
    x = jax.ShapeDtypeStruct((B, H, W, C), "bfloat16")
    k = jax.ShapeDtypeStruct((7, 3, 3, C, C), "bfloat16")
    (layer,) = roofline.layers(lambda x, k: lax.scan(lambda c, k: (conv(c, k), None), x, k)[0], x, k)
    assert layer.repeats == 7
    assert layer.dtype == "bfloat16"
    assert layer.bytes == 2 * (2 * B * H * W * C + 9 * C * C)


@pytest.mark.quick
def test_what_a_trace_cannot_count_is_refused():
    with pytest.raises(NotImplementedError, match="'cond'"):
        roofline.layers(lambda x, k: lax.cond(x.sum() > 0, lambda: conv(x, k).sum(), lambda: 0.0), X, K)


@pytest.mark.quick
def test_the_bound_is_the_larger_of_the_two():
    layer = roofline.layers(conv, X, K)[0]
    fast_memory = Peaks({}, {"float32": CONV / 2.0}, BYTES / 1.0)
    slow_memory = Peaks({}, {"float32": CONV / 2.0}, BYTES / 5.0)
    assert (layer.seconds(fast_memory), layer.bound(fast_memory)) == (2.0, "compute")
    assert (layer.seconds(slow_memory), layer.bound(slow_memory)) == (5.0, "bytes")
    found = roofline.bound([layer], slow_memory)
    assert (found["seconds"], found["share_bound_by_bytes"]) == (5.0, 1.0)


@pytest.mark.parametrize("remat", ["none", "blocks"])
def test_a_trunk_counts_as_the_package_counts_it(remat):
    trunk = Trunk(3, 8, 4, scan=True, remat=remat)
    x = jax.ShapeDtypeStruct((1, 6, 6, 8), "float32")
    params = jax.eval_shape(lambda: trunk.init(jax.random.key(0), jnp.zeros((1, 6, 6, 8))))

    def loss(p, x):
        return jnp.sum(trunk.apply(p, x) ** 2)

    forward = roofline.flops(roofline.layers(loss, params, x))
    assert forward == cost.flops(loss, params, x)
    both = roofline.flops(roofline.layers(jax.grad(loss), params, x))
    first = 2 * 9 * 8 * 4 * 36  # of the input no gradient is asked for
    # A scan takes that gradient for every block alike.
    # What the last convolution of a block makes is not needed again.
    again = forward - 3 * (2 * 9 * 24 * 8 * 36) if remat == "blocks" else 0
    assert 3 * forward - first <= both - again <= 3 * forward
