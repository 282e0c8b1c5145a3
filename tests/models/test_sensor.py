"""The observation inside the network is that of the simulation, and its inverse is back-projection."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jointseg_jax.data.sensor import Sensor, gaussian_sigma
from jointseg_jax.models.resampling import resample as unjitted_resample
from jointseg_jax.models.sensor import SensorModel

SENSOR = Sensor.display(("R", "G", "B"))
SIGMA = tuple(gaussian_sigma(m, 10.0) / 10.0 for m in SENSOR.mtf)
EDGE = 4  # coarse pixels at the border, where the two continue the image differently

resample = jax.jit(unjitted_resample, static_argnums=(1, 2))
observe = jax.jit(SensorModel.observe, static_argnums=(0, 2))
sharpen = jax.jit(SensorModel.sharpen, static_argnums=(0, 2))
project = jax.jit(SensorModel.project, static_argnums=(0, 3, 4))


def ground(factor, bands=3, side=24, seed=0):
    """Smooth ground with edges in 0..1, [side * factor, side * factor, bands]."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.uniform(0.1, 0.9, (side, side, bands)), np.ones((factor, factor, 1)))
    return (0.9 * blocks + 0.1 * rng.uniform(0, 1, blocks.shape)).astype(np.float32)


def inner(x, edge=EDGE):
    return np.asarray(x)[..., edge:-edge, edge:-edge, :]


@pytest.mark.parametrize("linear_light", [True, False])
@pytest.mark.parametrize("factor", [10, 4])
def test_it_sees_what_the_simulation_sees(factor, linear_light):
    image = ground(factor)
    sensor = Sensor(SENSOR.mtf, SENSOR.snr, SENSOR.reference, linear_light=linear_light)
    simulated, _ = sensor.observe(image, np.ones(image.shape[:2], bool), pixel=10 / factor)
    seen = observe(SensorModel(SIGMA, linear_light), image[None], factor)[0]
    assert np.ptp(simulated) > 0.2
    np.testing.assert_allclose(inner(seen), inner(simulated), atol=2e-5)


@functools.partial(jax.jit, static_argnums=(0, 2))
def back_projected(model, seen, iterations):
    """Back-projection as it is usually written, on the fine lattice."""
    image = resample(seen, 10, "bicubic")
    for _ in range(iterations):
        image = image + resample(seen - observe(model, image, 10), 10, "bicubic")
    return image


def test_sharpening_on_the_coarse_lattice_is_back_projection():
    model = SensorModel(SIGMA)
    seen = ground(1)[None]
    sharp = resample(sharpen(model, seen, 3), 10, "bicubic")
    np.testing.assert_allclose(inner(sharp, 80), inner(back_projected(model, seen, 3), 80), atol=1e-4)
    assert float(np.abs(inner(sharp, 80) - inner(resample(seen, 10, "bicubic"), 80)).max()) > 0.05


def test_sharpening_comes_closer_to_the_ground():
    """Also in linear light, and with the noise of the sensor."""
    rng = np.random.default_rng(3)
    image = ground(10, side=32)
    image = np.asarray(resample(image[None, ::20, ::20], 20, "bicubic"))[0]
    seen, _ = SENSOR.observe(image, np.ones(image.shape[:2], bool), rng=rng)
    model = SensorModel(SIGMA, linear_light=True)

    def error(iterations):
        enlarged = resample(sharpen(model, seen[None], iterations), 10, "bicubic")[0]
        return float(np.square(inner(enlarged - image, 80)).mean())

    none, one, three = (error(n) for n in (0, 1, 3))
    assert three < one < 0.5 * none


@pytest.mark.parametrize("linear_light", [True, False])
def test_a_projected_image_is_consistent_with_the_input(linear_light):
    model = SensorModel(SIGMA, linear_light)
    image, other = ground(4)[None], ground(4, seed=1)[None]
    seen = observe(model, 0.8 * image + 0.2 * other, 4)
    before = np.abs(inner(observe(model, image, 4) - seen)).max()
    corrected = project(model, image, seen, 4, 12)
    after = np.abs(inner(observe(model, corrected, 4) - seen)).max()
    assert before > 0.05
    assert after < 0.1 * before
    same = project(model, image, observe(model, image, 4), 4, 12)
    np.testing.assert_allclose(same, image, atol=1e-5)


def test_a_constant_stays_what_it_is():
    model = SensorModel(SIGMA, linear_light=True)
    flat = np.full((1, 6, 7, 3), 0.4, np.float32)
    np.testing.assert_allclose(sharpen(model, flat, 8), flat, atol=1e-5)
    np.testing.assert_allclose(observe(model, resample(flat, 10), 10), flat, atol=1e-5)


def test_gradients_are_finite_in_the_dark():
    model = SensorModel(SIGMA, linear_light=True)
    image = np.repeat(np.float32([-0.1, 0.0, 1e-6, 1.2]), 16)[None, :, None, None] * np.ones((1, 1, 16, 3), np.float32)
    seen = np.zeros((1, 16, 4, 3), np.float32)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(project(model, x, seen, 4, 4) ** 2)))(image)
    assert np.isfinite(gradient).all()
    assert np.isfinite(jax.jit(jax.grad(lambda x: jnp.sum(sharpen(model, x, 4) ** 2)))(seen)).all()


def test_bands_have_their_own_blur():
    sharp, soft = SensorModel((0.2,)), SensorModel((0.6,))
    both = SensorModel((0.2, 0.6))
    image = ground(5, bands=2)[None]
    np.testing.assert_allclose(observe(both, image, 5)[..., :1], observe(sharp, image[..., :1], 5), atol=1e-5)
    np.testing.assert_allclose(observe(both, image, 5)[..., 1:], observe(soft, image[..., 1:], 5), atol=1e-5)
