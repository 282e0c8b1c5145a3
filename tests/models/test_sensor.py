"""The observation inside the network is that of the simulation, and its inverse is back-projection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jointseg_jax.data.sensor import Sensor, gaussian_sigma
from jointseg_jax.models.resampling import resample
from jointseg_jax.models.sensor import SensorModel

SENSOR = Sensor.display(("R", "G", "B"))
SIGMA = tuple(gaussian_sigma(m, 10.0) / 10.0 for m in SENSOR.mtf)
EDGE = 4  # coarse pixels at the border, where the two continue the image differently


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
    seen = SensorModel(SIGMA, linear_light).observe(image[None], factor)[0]
    assert np.ptp(simulated) > 0.2
    np.testing.assert_allclose(inner(seen), inner(simulated), atol=2e-5)


def back_projected(model, seen, iterations, factor=10):
    """Back-projection as it is usually written, on the fine lattice."""
    image = resample(seen, factor, "bicubic")
    for _ in range(iterations):
        image = image + resample(seen - model.observe(image, factor), factor, "bicubic")
    return image


def test_sharpening_on_the_coarse_lattice_is_back_projection():
    model = SensorModel(SIGMA)
    seen = jnp.asarray(ground(1)[None])
    sharp = resample(model.sharpen(seen, 3), 10, "bicubic")
    np.testing.assert_allclose(inner(sharp, 80), inner(back_projected(model, seen, 3), 80), atol=1e-4)
    assert float(jnp.abs(inner(sharp, 80) - inner(resample(seen, 10, "bicubic"), 80)).max()) > 0.05


def test_sharpening_comes_closer_to_the_ground():
    """Also in linear light, and with the noise of the sensor."""
    rng = np.random.default_rng(3)
    image = ground(10, side=32)
    image = np.asarray(resample(jnp.asarray(image[None, ::20, ::20]), 20, "bicubic"))[0]
    seen, _ = SENSOR.observe(image, np.ones(image.shape[:2], bool), rng=rng)
    model = SensorModel(SIGMA, linear_light=True)

    def error(iterations):
        enlarged = resample(model.sharpen(seen[None], iterations), 10, "bicubic")[0]
        return float(np.square(inner(enlarged - image, 80)).mean())

    none, one, three = (error(n) for n in (0, 1, 3))
    assert three < one < 0.5 * none


@pytest.mark.parametrize("linear_light", [True, False])
def test_a_projected_image_is_consistent_with_the_input(linear_light):
    model = SensorModel(SIGMA, linear_light)
    image, other = jnp.asarray(ground(4)[None]), jnp.asarray(ground(4, seed=1)[None])
    seen = model.observe(0.8 * image + 0.2 * other, 4)
    before = np.abs(inner(model.observe(image, 4) - seen)).max()
    corrected = model.project(image, seen, 4, 12)
    after = np.abs(inner(model.observe(corrected, 4) - seen)).max()
    assert before > 0.05
    assert after < 0.1 * before
    same = model.project(image, model.observe(image, 4), 4, 12)
    np.testing.assert_allclose(same, image, atol=1e-5)


def test_a_constant_stays_what_it_is():
    model = SensorModel(SIGMA, linear_light=True)
    flat = jnp.full((1, 6, 7, 3), 0.4)
    np.testing.assert_allclose(model.sharpen(flat, 8), flat, atol=1e-5)
    np.testing.assert_allclose(model.observe(resample(flat, 10), 10), flat, atol=1e-5)


def test_gradients_are_finite_in_the_dark():
    model = SensorModel(SIGMA, linear_light=True)
    image = jnp.concatenate([jnp.full((1, 40, 40, 3), v) for v in (-0.1, 0.0, 1e-6, 1.2)], axis=1)
    seen = jnp.zeros((1, 16, 4, 3))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(model.project(x, seen, 10, 4) ** 2)))(image)
    assert np.isfinite(gradient).all()
    assert np.isfinite(jax.jit(jax.grad(lambda x: jnp.sum(model.sharpen(x, 4) ** 2)))(seen)).all()


def test_bands_have_their_own_blur():
    sharp, soft = SensorModel((0.2,)), SensorModel((0.6,))
    both = SensorModel((0.2, 0.6))
    image = jnp.asarray(ground(5, bands=2)[None])
    np.testing.assert_allclose(both.observe(image, 5)[..., :1], sharp.observe(image[..., :1], 5), atol=1e-5)
    np.testing.assert_allclose(both.observe(image, 5)[..., 1:], soft.observe(image[..., 1:], 5), atol=1e-5)
