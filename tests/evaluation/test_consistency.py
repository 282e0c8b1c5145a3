"""The residual of an image that is observed again."""

import jax.numpy as jnp
import numpy as np
import pytest

from jointseg_jax.data.sensor import published_sensor
from jointseg_jax.evaluation.consistency import Consistency, MeanSupport
from jointseg_jax.models.resampling import resample
from jointseg_jax.models.sensor import SensorModel

SENSOR = SensorModel((0.43, 0.41, 0.45))


def scene(side=16, seed=0):
    rng = np.random.default_rng(seed)
    small = jnp.asarray(rng.uniform(0.2, 0.8, (1, side // 4, side // 4, 3)), jnp.float32)
    return np.asarray(resample(small, 4, "bicubic"))[0]


def figures(image, seen, valid=None):
    return Consistency.of(image, seen, np.ones(seen.shape[:2], bool) if valid is None else valid, SENSOR).figures()


def test_bicubic_blurs_and_the_inverse_does_not():
    seen = scene()
    bicubic = np.asarray(resample(jnp.asarray(seen[None]), 10, "bicubic"))[0]
    inverse = np.asarray(resample(SENSOR.sharpen(jnp.asarray(seen[None]), 8), 10, "bicubic"))[0]
    assert figures(inverse, seen)["rmse"] < 0.2 * figures(bicubic, seen)["rmse"]


def test_an_offset_is_a_bias():
    seen = scene()
    inverse = np.asarray(resample(SENSOR.sharpen(jnp.asarray(seen[None]), 8), 10, "bicubic"))[0]
    assert figures(inverse + 0.1, seen)["bias"] == pytest.approx(0.1, abs=5e-3)


def test_only_valid_pixels_count():
    seen = scene()
    image = np.asarray(resample(jnp.asarray(seen[None]), 10, "bicubic"))[0]
    valid = np.ones(seen.shape[:2], bool)
    valid[:, 8:] = False
    wrong = seen.copy()
    wrong[:, 8:] = 5
    assert figures(image, wrong, valid) == figures(image, seen, valid)
    assert set(Consistency().figures().values()) == {None}


@pytest.mark.parametrize("bands", [("B04", "B03", "B02"), ("R", "G", "B")])
def test_an_error_like_the_noise_is_one_noise(bands):
    """The input is the observation and one draw of its noise; both tiles count."""
    noise = published_sensor(bands, "display" if bands[0] == "R" else "reflectance")
    image = scene(480)
    model = SensorModel(SENSOR.sigma, noise.linear_light)
    clean = np.asarray(model.observe(jnp.asarray(image[None]), 10))[0]
    rng = np.random.default_rng(0)
    seen = clean + noise.noise(clean) * rng.standard_normal(clean.shape)
    half = Consistency.of(image, seen.astype(np.float32), np.ones(clean.shape[:2], bool), model, noise)
    assert (half + half).figures()["rmse_over_noise"] == pytest.approx(1, abs=0.03)


def test_noise_that_is_not_published_is_not_stated():
    assert published_sensor(("B04", "B05"), "reflectance") is None
    assert published_sensor(("VV",), "dB") is None
    seen = scene()
    found = Consistency.of(seen.repeat(10, 0).repeat(10, 1), seen, np.ones((16, 16), bool), SENSOR).figures()
    assert found["rmse"] > 0
    assert found["noise"] is None is found["rmse_over_noise"]


def test_support_is_the_mean_over_labelled_pixels():
    support = np.array([[0.25, 0.75], [1.0, 1.0]], np.float32)
    label = np.array([[0, 1], [255, 255]], np.uint8)
    half = MeanSupport.of(support, label)
    assert half.figure() == pytest.approx(0.5)
    assert (half + MeanSupport.of(support, np.zeros((2, 2), np.uint8))).figure() == pytest.approx(4 / 6)
    assert MeanSupport().figure() is None
