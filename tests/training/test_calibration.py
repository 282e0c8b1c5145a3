"""Temperature and threshold from histograms agree with brute force on the pixels."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from jointseg_jax.training.calibration import Calibration, fit
from jointseg_jax.training.step import LOGIT_LIMIT, logit_histogram

pytestmark = pytest.mark.quick


def pixels(temperature, shift, count=40_000, seed=0):
    """Logit differences of a network that is `temperature` times too sure and off by `shift`, and the truth."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(-1.0, 2.0, count)
    truth = rng.random(count) < expit(honest)
    return (honest * temperature + shift).astype(np.float32), truth.astype(np.uint8)


def histogram(difference, truth):
    side = int(np.sqrt(len(truth)))
    logits = np.stack([np.zeros_like(difference), difference], -1)[: side * side].reshape(1, side, side, 2)
    return np.asarray(logit_histogram(jnp.asarray(logits), jnp.asarray(truth[: side * side].reshape(1, side, side))))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(temperature):
    fitted = fit(histogram(*pixels(temperature, 0.0)), LOGIT_LIMIT, 7)
    assert fitted.temperature == pytest.approx(temperature, rel=0.05)
    assert fitted.step == 7


@pytest.mark.parametrize("shift", [-1.5, 0.0, 2.0])
def test_threshold_maximises_f1(shift):
    difference, truth = pixels(1.0, shift)
    fitted = fit(histogram(difference, truth), LOGIT_LIMIT, 0)
    probability = expit(difference / fitted.temperature)

    def f1(threshold):
        called = probability >= threshold
        return 2 * (called & (truth == 1)).sum() / (called.sum() + truth.sum())

    best = max(f1(t) for t in np.linspace(0.01, 0.99, 99))
    assert f1(fitted.threshold) >= best - 0.005
    assert fitted.scores["f1"] == pytest.approx(f1(fitted.threshold), abs=0.01)


def test_ignored_pixels_are_not_counted():
    logits = jnp.zeros((1, 4, 4, 2))
    label = jnp.full((1, 4, 4), 255, jnp.uint8).at[0, 0, 0].set(1)
    counts = logit_histogram(logits, label)
    assert counts.sum() == 1
    assert counts[1].sum() == 1


def test_one_class_leaves_the_default():
    counts = np.zeros((2, 100))
    counts[0, 50] = 9
    assert fit(counts, LOGIT_LIMIT, 3) == Calibration(step=3)
