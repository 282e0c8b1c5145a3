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
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


resample = jax.jit(resampling.resample, static_argnums=(1, 2))
resize = jax.jit(jax.image.resize, static_argnums=(1, 2))


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_resample_is_jax_image_resize_in_the_interior(scale, method):
    x = random(1, 40, 60, 2)
    ours = resample(x, scale, method)
    shape = (1, int(40 * scale), int(60 * scale), 2)
    theirs = resize(x, shape, "linear" if method == "bilinear" else "cubic")
    assert ours.shape == shape
    margin = int(np.ceil(3 * max(1, scale))) + (0 if scale >= 1 else 2)
    np.testing.assert_allclose(
        ours[:, margin:-margin, margin:-margin], theirs[:, margin:-margin, margin:-margin], atol=2e-5
    )


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_resample_keeps_constants_up_to_the_edge(scale):
    for method in ("bilinear", "bicubic"):
        resized = resample(np.full((1, 20, 20, 1), 3, np.float32), scale, method)
        np.testing.assert_allclose(resized, 3.0, rtol=1e-5)


@pytest.mark.parametrize("scale", [Fraction(5, 2), Fraction(2, 5), Fraction(4), Fraction(1, 4)], ids=str)
def test_gradient_of_a_stencil_is_its_transpose(scale):
    """<g, A x> = <A' g, x>: the hand-written backward pass against the forward pass."""
    x = random(2, 20, 20, 3)
    y = resample(x, scale, "bicubic")
    g = random(*y.shape, seed=1)
    (back,) = jax.jit(lambda g: jax.vjp(lambda x: resampling.resample(x, scale, "bicubic"), x)[1](g))(g)
    np.testing.assert_allclose(np.vdot(g, y), np.vdot(back, x), rtol=1e-4)


def test_resample_refuses_what_is_no_whole_number():
    with pytest.raises(ValueError, match="whole number"):
        resampling.resample(random(1, 9, 10, 1), Fraction(1, 2))
    with pytest.raises(ValueError, match="whole factor"):
        resampling.resample(random(1, 10, 10, 1), Fraction(5, 2), "nearest")


@pytest.mark.parametrize("scale", [Fraction(2, 5), Fraction(1, 10), Fraction(1, 4), Fraction(4, 5)], ids=str)
def test_area_mean_by_hand(scale):
    """Repeat p times, then average q x q: the mean over the ground of each output pixel."""
    x = random(1, 20, 20, 1)
    p, q = scale.numerator, scale.denominator
    fine = np.repeat(np.repeat(x, p, 1), p, 2)
    expected = fine.reshape(1, 20 * p // q, q, 20 * p // q, q, 1).mean((2, 4))
    np.testing.assert_allclose(jax.jit(resampling.area_mean, static_argnums=1)(x, scale), expected, atol=1e-6)


def test_area_mean_refuses_to_refine():
    with pytest.raises(ValueError, match="refine"):
        resampling.area_mean(random(1, 10, 10, 1), Fraction(2))
    with pytest.raises(ValueError, match="multiples"):
        resampling.area_mean(random(1, 15, 10, 1), Fraction(1, 10))


def test_masked_area_mean_ignores_invalid_pixels():
    x, valid = np.ones((2, 1, 10, 20, 1), np.float32)
    x[:, :, 14:], valid[:, :, 14:] = 99, 0
    mean, seen = jax.jit(resampling.masked_area_mean, static_argnums=2)(x, valid, Fraction(1, 10))
    np.testing.assert_allclose(mean[0, 0, :, 0], [1, 1], rtol=1e-6)
    np.testing.assert_array_equal(seen[0, 0, :, 0], [1, 0])


def test_upsampled_conv_equals_upsample_then_conv():
    x, kernel, bias = random(2, 7, 9, 5), random(3, 3, 5, 4, seed=1), random(4, seed=2)
    plain = jax.jit(lambda x: layers.conv2d(resampling.upsample_nearest(x, 2), kernel, bias))(x)
    np.testing.assert_allclose(jax.jit(layers.upsampled_conv2d)(x, kernel, bias), plain, atol=2e-5)


def test_conv_of_size_one_is_a_product():
    x, kernel, bias = random(2, 5, 6, 3), random(1, 1, 3, 4, seed=1), random(4, seed=2)
    layout = ("NHWC", "HWIO", "NHWC")
    general = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout) + bias
    np.testing.assert_allclose(jax.jit(layers.conv2d)(x, kernel, bias), general, atol=1e-5)


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
    x, valid = random(1, 15, 17, 2), np.float32(random(1, 15, 17, 1, seed=1) > -0.5)
    reach = 3**levels // 2
    expected = np.zeros_like(x)
    for i in range(15):
        for j in range(17):
            at = np.s_[0, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
            weight = valid[at]
            expected[0, i, j] = (x[at] * weight).sum((0, 1)) / max(weight.sum(), 1)
    np.testing.assert_allclose(jax.jit(layers.window_mean, static_argnums=2)(x, valid, levels), expected, atol=1e-5)


def test_norm_sees_channels_only():
    x = random(1, 6, 6, 8)
    norm = layers.ChannelNorm()
    y, params = jax.jit(norm.init_with_output)(jax.random.key(0), x)
    np.testing.assert_allclose(jax.jit(norm.apply)(params, x[:, 2:4, 1:5]), y[:, 2:4, 1:5], atol=1e-6)
    np.testing.assert_allclose(np.mean(np.square(y), -1), 1, atol=1e-3)
