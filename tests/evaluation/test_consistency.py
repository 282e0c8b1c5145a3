"""The residual of an image that is observed again."""

import jax.numpy as jnp
import numpy as np
import pytest

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
    assert Consistency().figures() == {"bias": None, "rmse": None}


def test_support_is_the_mean_over_labelled_pixels():
    support = np.array([[0.25, 0.75], [1.0, 1.0]], np.float32)
    label = np.array([[0, 1], [255, 255]], np.uint8)
    half = MeanSupport.of(support, label)
    assert half.figure() == pytest.approx(0.5)
    assert (half + MeanSupport.of(support, np.zeros((2, 2), np.uint8))).figure() == pytest.approx(4 / 6)
    assert MeanSupport().figure() is None
