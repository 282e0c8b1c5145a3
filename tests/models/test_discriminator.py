"""The discriminator against a float64 reference; spectral normalisation against singular value decomposition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from jointseg_jax.models import cost
from jointseg_jax.models.discriminator import (
    UNetDiscriminator,
    discriminate,
    init_discriminator,
    power_iteration,
    spectral_norm,
)

NET = UNetDiscriminator(features=4)
NORMALISED = tuple(f"conv{i}" for i in range(1, 9))
run = jax.jit(discriminate, static_argnums=0)
iterate = jax.jit(power_iteration)
sigma_of = jax.jit(spectral_norm)


def uniform(*shape, seed):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


@functools.cache
def weights(channels=3):
    """Parameters and vectors drawn by NumPy: biases are not zero, vectors are on their way."""
    rng = np.random.default_rng(channels)
    shapes = jax.eval_shape(lambda: init_discriminator(NET, jax.random.key(0), channels))
    params = {
        name: {
            kind: np.float32(rng.uniform(-1, 1, leaf.shape) * np.prod(leaf.shape[:-1]) ** -0.5)
            for kind, leaf in layer.items()
        }
        for name, layer in shapes[0].items()
    }
    vectors = jax.tree.map(lambda leaf: np.float32(rng.normal(size=leaf.shape)), shapes[1])
    for _ in range(3):
        vectors = iterate(params, vectors)
    return params, vectors


def matrix(kernel):
    """PyTorch's: output channels x (input channels, rows, columns)."""
    return np.asarray(kernel, np.float64).transpose(3, 2, 0, 1).reshape(kernel.shape[-1], -1)


def expected_outputs(params, vectors, x):
    """Real-ESRGAN's UNetDiscriminatorSN in NumPy. x: [h, w, c]. Returns logits and the nine features."""

    def conv(number, x):
        name = f"conv{number}"
        kernel = np.asarray(params[name]["kernel"], np.float64)
        if name in NORMALISED:
            u, v = (np.asarray(vectors[name][k], np.float64) for k in "uv")
            kernel = kernel / np.einsum("yxio,yxi,o", kernel, v.reshape(kernel.shape[:3]), u)
        stride = 2 if number in (1, 2, 3) else 1
        return reference.conv(x, kernel, np.asarray(params[name].get("bias", 0.0), np.float64), stride)

    f0 = reference.leaky(conv(0, x))
    f1 = reference.leaky(conv(1, f0))
    f2 = reference.leaky(conv(2, f1))
    f3 = reference.leaky(conv(3, f2))
    f4 = reference.leaky(conv(4, reference.bilinear(f3)))
    f5 = reference.leaky(conv(5, reference.bilinear(f4 + f2)))
    f6 = reference.leaky(conv(6, reference.bilinear(f5 + f1)))
    f7 = reference.leaky(conv(7, f6 + f0))
    f8 = reference.leaky(conv(8, f7))
    return conv(9, f8), (f0, f1, f2, f3, f4, f5, f6, f7, f8)


@pytest.mark.quick
@pytest.mark.parametrize(("channels", "count"), [(3, 4_376_897), (6, 4_376_897 + 3 * 64 * 9)])
def test_parameters_of_the_published_discriminator(channels, count):
    params, vectors = jax.eval_shape(lambda: init_discriminator(UNetDiscriminator(), jax.random.key(0), channels))
    assert cost.parameters(params) == count
    assert {name: set(layer) for name, layer in params.items()} == {
        **{name: {"kernel"} for name in NORMALISED},
        "conv0": {"kernel", "bias"},
        "conv9": {"kernel", "bias"},
    }
    assert set(vectors) == set(NORMALISED)
    for name, pair in vectors.items():
        height, width, inputs, outputs = params[name]["kernel"].shape
        assert (pair["u"].shape, pair["v"].shape) == ((outputs,), (height * width * inputs,))


@pytest.mark.parametrize("channels", [3, 7])
def test_outputs_are_the_reference(channels):
    params, vectors = weights(channels)
    x = uniform(2, 16, 24, channels, seed=2)
    logits, features = run(NET, params, vectors, x)
    assert logits.shape == (2, 16, 24, 1)
    for number in range(2):
        expected, maps = expected_outputs(params, vectors, np.asarray(x[number], np.float64))
        assert np.ptp(expected) > 1e-2
        np.testing.assert_allclose(logits[number], expected, atol=1e-5)
        assert len(features) == len(maps)
        for feature, plane in zip(features, maps, strict=True):
            np.testing.assert_allclose(feature[number], plane, atol=1e-5)


def test_fresh_kernels_are_nearly_normalised():
    params, vectors = jax.jit(lambda key: init_discriminator(NET, key))(jax.random.key(0))
    for name in NORMALISED:
        largest = np.linalg.norm(matrix(params[name]["kernel"]), 2)
        sigma = sigma_of(params[name]["kernel"], vectors[name]["u"], vectors[name]["v"])
        assert 0.9 * largest < sigma < 1.0001 * largest


def test_power_iteration_is_pytorchs_and_finds_the_largest_singular_value():
    params, vectors = weights()
    rng = np.random.default_rng(0)
    vectors = jax.tree.map(lambda a: np.float32(rng.normal(size=a.shape)), vectors)
    once = iterate(params, vectors)
    for name in NORMALISED:
        w = matrix(params[name]["kernel"])
        v = w.T @ np.asarray(vectors[name]["u"], np.float64)
        v /= np.linalg.norm(v)
        u = w @ v
        u /= np.linalg.norm(u)
        np.testing.assert_allclose(once[name]["u"], u, atol=1e-6)
        height, width, inputs, _ = params[name]["kernel"].shape
        ours = np.asarray(once[name]["v"]).reshape(height, width, inputs).transpose(2, 0, 1).ravel()
        np.testing.assert_allclose(ours, v, atol=1e-6)
        sigma = sigma_of(params[name]["kernel"], once[name]["u"], once[name]["v"])
        np.testing.assert_allclose(sigma, u @ w @ v, rtol=1e-5)
        assert sigma < 0.999 * np.linalg.norm(w, 2)
    many = jax.jit(lambda v: jax.lax.fori_loop(0, 500, lambda _, v: power_iteration(params, v), v))(vectors)
    for name in NORMALISED:
        sigma = sigma_of(params[name]["kernel"], many[name]["u"], many[name]["v"])
        np.testing.assert_allclose(sigma, np.linalg.norm(matrix(params[name]["kernel"]), 2), rtol=1e-4)


def test_gradients_pass_the_kernel_and_not_the_vectors():
    """The derivative of sigma is u v', so the gradient of W / sigma has the part that PyTorch's has."""
    params, vectors = weights()
    x = uniform(1, 8, 8, 3, seed=3)

    def loss(params, vectors):
        return jnp.sum(discriminate(NET, params, vectors, x)[0] ** 2)

    by_params, by_vectors = jax.jit(jax.grad(loss, (0, 1)))(params, vectors)
    assert all(not g.any() for g in jax.tree.leaves(by_vectors))
    for name in NORMALISED:
        # A kernel's length does not matter once it is normalised by itself: no gradient along it.
        kernel, gradient = params[name]["kernel"], by_params[name]["kernel"]
        along = np.vdot(kernel, gradient) / (np.linalg.norm(kernel) * np.linalg.norm(gradient))
        assert abs(along) < 1e-4
        assert np.linalg.norm(gradient) > 0
    direction = jax.tree.map(lambda a: np.random.default_rng(4).normal(size=a.shape), params)

    def moved(distance):
        at = jax.tree.map(lambda p, d: np.asarray(p, np.float64) + distance * d, params, direction)
        return np.sum(expected_outputs(at, vectors, np.asarray(x[0], np.float64))[0] ** 2)

    slope = sum(np.vdot(g, d) for g, d in zip(jax.tree.leaves(by_params), jax.tree.leaves(direction), strict=True))
    np.testing.assert_allclose(slope, (moved(1e-6) - moved(-1e-6)) / 2e-6, rtol=1e-3)
    assert all(
        not g.any() for g in jax.tree.leaves(jax.jit(jax.grad(lambda p: _total(power_iteration(p, vectors))))(params))
    )


def _total(vectors):
    return sum(jnp.sum(a) for a in jax.tree.leaves(vectors))


def test_bfloat16_computes_singular_values_and_logits_in_float32():
    params, vectors = weights()
    x = uniform(1, 16, 16, 3, seed=5)
    exact, _ = run(NET, params, vectors, x)
    low = UNetDiscriminator(features=4, dtype=jnp.bfloat16)
    logits, features = run(low, params, vectors, x)
    assert logits.dtype == jnp.float32
    assert {f.dtype for f in features} == {jnp.dtype(jnp.bfloat16)}
    assert 0 < np.abs(logits - exact).max() < 0.05 * np.ptp(exact)
    made = jax.eval_shape(lambda: init_discriminator(low, jax.random.key(0)))
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype(jnp.float32)}


@pytest.mark.quick
@pytest.mark.parametrize(("height", "width"), [(12, 16), (16, 9), (4, 8)])
def test_sides_are_multiples_of_eight(height, width):
    params, vectors = jax.eval_shape(lambda: init_discriminator(NET, jax.random.key(0)))
    message = f"sides that are multiples of 8, not {height} x {width}"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda x: discriminate(NET, params, vectors, x), jnp.zeros((1, height, width, 3)))
