"""The baseline of fractions learns from training ground alone."""

import numpy as np
import pytest
import rasterio

from jointseg_jax.evaluation import baseline
from jointseg_jax.evaluation.spatial.fraction import Fractions
from jointseg_jax.rasters.blocks import repeat_pixels
from jointseg_jax.rasters.reader import Handles


def test_it_is_least_squares_on_the_training_ground(data):
    regression = baseline.fit(data, data.contract)
    handles = Handles()
    errors = {}
    for split in ("train", "test"):
        total = Fractions()
        for site in data.sites_of(split):
            with rasterio.open(data.root / site.label) as raster:
                label = raster.read(1)
            fraction = regression.fraction(data.scene(site.name), handles)
            assert ((fraction >= 0) & (fraction <= 1)).all()
            total += Fractions.of(repeat_pixels(fraction, 10), label == 1, label != 255)
        errors[split] = total.figures()["10m"]
    assert errors["train"]["r2"] > 0.2  # the toy's bands show its label
    assert errors["train"]["bias"] == pytest.approx(0, abs=0.03)
    assert errors["test"]["r2"] is not None


def test_no_training_ground_no_baseline(data, monkeypatch):
    monkeypatch.setattr(baseline, "CODES", {**baseline.CODES, "train": 77})
    assert baseline.fit(data, data.contract) is None


def test_of_much_ground_a_part_is_used(data, monkeypatch):
    """A third of the strips gives nearly the same estimates."""
    whole = baseline.fit(data, data.contract)
    read = []
    reference = baseline._reference
    monkeypatch.setattr(baseline, "_reference", lambda *given: read.append(given) or reference(*given))
    monkeypatch.setattr(
        baseline, "strips", lambda height, width: [baseline.Window(r, 0, 8, width) for r in range(0, height - 7, 8)]
    )
    baseline.fit(data, data.contract)
    strips = len(read)
    monkeypatch.setattr(baseline, "_MOST", 8 * data.sites["d"].width * strips // 3)
    part = baseline.fit(data, data.contract)
    assert len(read) - strips == pytest.approx(strips / 3, abs=2)
    scene = data.scene("d")
    window = baseline.Window(0, 0, *scene.shape)
    pair = [np.clip(baseline._features(scene, window, Handles()) @ r.coefficients, 0, 1) for r in (whole, part)]
    assert np.abs(pair[0] - pair[1]).mean() < 0.02


def test_features_are_the_pixel_and_its_neighbours(data):
    scene = data.scene(next(iter(data.sites)))
    handles = Handles()
    whole = baseline._features(scene, baseline.Window(0, 0, 20, 20), handles)
    part = baseline._features(scene, baseline.Window(5, 7, 8, 9), handles)
    np.testing.assert_allclose(part, whole[5:13, 7:16], atol=1e-6)
