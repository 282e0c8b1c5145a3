"""Rows in slabs change no result, and on several devices only the rows next to a slab travel."""

import re
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jointseg_jax.models import layers, resampling
from jointseg_jax.models.slabs import row_slabs

pytestmark = pytest.mark.quick

KERNEL = np.random.default_rng(1).standard_normal((3, 3, 3, 5)).astype(np.float32)
OPERATORS = {
    "bilinear x2": lambda x: resampling.resample(x, 2),
    "bilinear x5/2": lambda x: resampling.resample(x, Fraction(5, 2)),
    "bilinear x2/5": lambda x: resampling.resample(x, Fraction(2, 5)),
    "bicubic x5/2": lambda x: resampling.resample(x, Fraction(5, 2), "bicubic"),
    "area mean 2/5": lambda x: resampling.area_mean(x, Fraction(2, 5)),
    "area mean 1/5": lambda x: resampling.area_mean(x, Fraction(1, 5)),
    "window sum": lambda x: layers.window_sum(x, 2),
    "upsampled convolution": lambda x: layers.upsampled_conv2d(x, jnp.asarray(KERNEL), jnp.ones(5)),
}


@pytest.fixture(scope="module")
def image():
    return jnp.asarray(np.random.default_rng(0).standard_normal((2, 40, 10, 3)), jnp.float32)


def value_and_gradient(operator, x):
    """The operator's value, and the gradient of a sum in which every output pixel has a weight of its own."""
    y, back = jax.vjp(operator, x)
    return y, back(jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))[0]


@pytest.mark.parametrize("name", OPERATORS)
def test_slabs_change_no_result(image, name):
    whole = jax.jit(lambda x: value_and_gradient(OPERATORS[name], x))(image)
    with row_slabs(4):
        parts = jax.jit(lambda x: value_and_gradient(OPERATORS[name], x))(image)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["bilinear x5/2", "window sum", "upsampled convolution"])
@pytest.mark.parametrize("shape", [(2, 4), (1, 8)])
def test_only_halos_travel(image, name, shape):
    grid = np.asarray(jax.devices()[:8], dtype=object).reshape(shape)
    mesh = Mesh(grid, ("data", "space"), axis_types=(AxisType.Auto,) * 2)
    rows = NamedSharding(mesh, PartitionSpec("data", "space"))
    x = jax.device_put(jnp.tile(image, (1, 2, 1, 1)), rows)
    with row_slabs(shape[1]):
        compiled = jax.jit(lambda x: value_and_gradient(OPERATORS[name], x), out_shardings=rows).lower(x).compile()
    found = set(re.findall(r" (all-\w+|collective-permute|reduce-scatter)(?:-start)?\(", compiled.as_text()))
    assert found == {"collective-permute"}
    alone = jax.jit(lambda x: value_and_gradient(OPERATORS[name], x))(np.asarray(x))
    for a, b in zip(alone, compiled(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_slabs_thinner_than_the_reach_are_refused(image):
    with row_slabs(20), pytest.raises(ValueError, match="20 equal slabs of at least 4 rows"):
        layers.window_sum(image, 2)
    with row_slabs(3), pytest.raises(ValueError, match="40 rows cannot be split into 3 equal slabs"):
        resampling.resample(image, 2)
