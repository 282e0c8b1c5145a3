"""Resampling equals the library's in the interior, cheap forms equal plain forms, gradients are transposes."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jointseg_jax.models import layers, resampling

pytestmark = pytest.mark.quick

SCALES = [
    Fraction(4),
    Fraction(10),
    Fraction(5, 2),
    Fraction(2),
    Fraction(5),
    Fraction(2, 5),
    Fraction(1, 4),
    Fraction(4, 5),
]


def random(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_resample_is_jax_image_resize_in_the_interior(scale, method):
    x = random(1, 40, 60, 2)
    ours = jax.jit(resampling.resample, static_argnums=(1, 2))(x, scale, method)
    shape = (1, int(40 * scale), int(60 * scale), 2)
    theirs = jax.image.resize(x, shape, "linear" if method == "bilinear" else "cubic")
    assert ours.shape == shape
    margin = int(np.ceil(3 * max(1, scale))) + (0 if scale >= 1 else 2)
    np.testing.assert_allclose(
        ours[:, margin:-margin, margin:-margin], theirs[:, margin:-margin, margin:-margin], atol=2e-5
    )


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_resample_keeps_constants_up_to_the_edge(scale):
    for method in ("bilinear", "bicubic"):
        resized = jax.jit(resampling.resample, static_argnums=(1, 2))(jnp.full((1, 20, 20, 1), 3.0), scale, method)
        np.testing.assert_allclose(resized, 3.0, rtol=1e-5)


@pytest.mark.parametrize("scale", [Fraction(5, 2), Fraction(2, 5), Fraction(4), Fraction(1, 4)], ids=str)
def test_gradient_of_a_stencil_is_its_transpose(scale):
    """<g, A x> = <A' g, x>: the hand-written backward pass against the forward pass."""
    x = random(2, 20, 20, 3)
    y, pullback = jax.vjp(jax.jit(lambda x: resampling.resample(x, scale, "bicubic")), x)
    g = random(*y.shape, seed=1)
    np.testing.assert_allclose(jnp.vdot(g, y), jnp.vdot(pullback(g)[0], x), rtol=1e-4)


def test_resample_refuses_what_is_no_whole_number():
    with pytest.raises(ValueError, match="whole number"):
        resampling.resample(random(1, 9, 10, 1), Fraction(1, 2))
    with pytest.raises(ValueError, match="whole factor"):
        resampling.resample(random(1, 10, 10, 1), Fraction(5, 2), "nearest")


@pytest.mark.parametrize("scale", [Fraction(2, 5), Fraction(1, 10), Fraction(1, 4), Fraction(4, 5)], ids=str)
def test_area_mean_by_hand(scale):
    """Repeat p times, then average q x q: the mean over the ground of each output pixel."""
    x = np.asarray(random(1, 20, 20, 1))
    p, q = scale.numerator, scale.denominator
    fine = np.repeat(np.repeat(x, p, 1), p, 2)
    expected = fine.reshape(1, 20 * p // q, q, 20 * p // q, q, 1).mean((2, 4))
    np.testing.assert_allclose(resampling.area_mean(jnp.asarray(x), scale), expected, atol=1e-6)


def test_area_mean_refuses_to_refine():
    with pytest.raises(ValueError, match="refine"):
        resampling.area_mean(random(1, 10, 10, 1), Fraction(2))
    with pytest.raises(ValueError, match="multiples"):
        resampling.area_mean(random(1, 15, 10, 1), Fraction(1, 10))


def test_masked_area_mean_ignores_invalid_pixels():
    x = jnp.ones((1, 10, 20, 1)).at[:, :, 14:].set(jnp.nan)
    valid = jnp.isfinite(x).astype(jnp.float32)
    mean, seen = resampling.masked_area_mean(jnp.nan_to_num(x, nan=99.0), valid, Fraction(1, 10))
    np.testing.assert_allclose(mean[0, 0, :, 0], [1, 1], rtol=1e-6)
    np.testing.assert_array_equal(seen[0, 0, :, 0], [1, 0])


def test_upsampled_conv_equals_upsample_then_conv():
    x, kernel, bias = random(2, 7, 9, 5), random(3, 3, 5, 4, seed=1), random(4, seed=2)
    plain = layers.conv2d(resampling.upsample_nearest(x, 2), kernel, bias)
    np.testing.assert_allclose(layers.upsampled_conv2d(x, kernel, bias), plain, atol=2e-5)


def test_conv_of_size_one_is_a_product():
    x, kernel, bias = random(2, 5, 6, 3), random(1, 1, 3, 4, seed=1), random(4, seed=2)
    general = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
    np.testing.assert_allclose(layers.conv2d(x, kernel, bias), general, atol=1e-5)


@pytest.mark.parametrize("factor", [2, 5])
def test_shuffle_and_unshuffle_are_inverse(factor):
    x = random(2, 3 * factor, 4 * factor, 2)
    down = layers.pixel_unshuffle(x, factor)
    assert down.shape == (2, 3, 4, 2 * factor**2)
    np.testing.assert_array_equal(layers.pixel_shuffle(down, factor), x)


def test_shuffle_puts_phases_side_by_side():
    x = jnp.arange(4.0).reshape(1, 1, 1, 4)
    np.testing.assert_array_equal(layers.pixel_shuffle(x, 2)[0, :, :, 0], [[0, 1], [2, 3]])


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_window_mean_by_hand(levels):
    x, valid = np.asarray(random(1, 15, 17, 2)), np.asarray(random(1, 15, 17, 1, seed=1) > -0.5, np.float32)
    reach = 3**levels // 2
    expected = np.zeros_like(x)
    for i in range(15):
        for j in range(17):
            at = np.s_[0, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
            weight = valid[at]
            expected[0, i, j] = (x[at] * weight).sum((0, 1)) / max(weight.sum(), 1)
    np.testing.assert_allclose(layers.window_mean(jnp.asarray(x), jnp.asarray(valid), levels), expected, atol=1e-5)


def test_norm_sees_channels_only():
    x = random(1, 6, 6, 8)
    norm = layers.ChannelNorm()
    params = norm.init(jax.random.key(0), x)
    y = norm.apply(params, x)
    np.testing.assert_allclose(norm.apply(params, x[:, 2:4, 1:5]), y[:, 2:4, 1:5], atol=1e-6)
    np.testing.assert_allclose(jnp.mean(y**2, -1), 1, atol=1e-3)
