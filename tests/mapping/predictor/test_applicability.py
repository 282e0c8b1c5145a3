"""The area of applicability: ground unlike the training ground is told apart, whatever window it is read through."""

import dataclasses

import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation import training_ground
from jointseg_jax.mapping.predictor.applicability import Applicability, features
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.scene import Adjustment


def places(rng, shift=0.0, groups=8, count=400):
    """Vectors of groups that differ a little, and their groups."""
    group = rng.integers(0, groups, count)
    centre = np.random.default_rng(9).normal(0, 0.5, (groups, 6))
    return centre[group] + rng.standard_normal((count, 6)) + shift, group


def share_outside(area, vectors):
    distance, _ = area._tree.query(vectors / np.asarray(area.scale))
    return (distance / area.unit > area.threshold).mean()


def test_ground_like_the_training_is_inside_and_shifted_ground_outside():
    rng = np.random.default_rng(0)
    area = Applicability.of(*places(rng))
    assert share_outside(area, places(rng)[0]) < 0.05
    assert share_outside(area, places(rng, 6.0)[0]) > 0.95


def test_the_threshold_is_of_other_groups():
    """Within a group all are alike: without groups nothing else would be inside."""
    rng = np.random.default_rng(1)
    centre = rng.standard_normal((20, 4))
    group = np.arange(20).repeat(20)
    vectors = centre[group] + 1e-3 * rng.standard_normal((400, 4))
    assert Applicability.of(vectors, group).threshold > 30 * Applicability.of(vectors, np.arange(400)).threshold
    scaled = vectors / vectors.std(0)
    distance = np.linalg.norm(scaled[:, None] - scaled[None], axis=-1)
    area = Applicability.of(vectors, group)
    assert area.unit == pytest.approx(distance.sum() / (400 * 399), rel=1e-6)
    distance[group[:, None] == group[None]] = np.inf
    assert (distance.min(1) / area.unit).max() >= area.threshold * (1 - 1e-6)


def test_the_same_training_ground_whenever_it_is_drawn(data):
    first, again = (training_ground.applicability(data, data.contract) for _ in range(2))
    assert first == again
    assert len(first.scale) == 2 * sum(len(m.bands) for m in data.contract.modalities)
    assert len(first.vectors) >= 4 * len(first.scale) * 1900


def test_levels_do_not_depend_on_the_window(data):
    area, scene = training_ground.applicability(data, data.contract), data.scene("d")
    whole = area.levels(scene, Window(0, 0, *scene.shape))
    for window in (Window(3, 5, 7, 11), Window(30, 1, 6, 41), Window(0, 0, 1, 1)):
        np.testing.assert_array_equal(area.levels(scene, window), whole[window.slices()])


def test_features_by_hand(data):
    """Mean and deviation of the valid pixels within eight; beyond the edge there are none."""
    scene, handles = data.scene("d"), Handles()
    modality = scene.contract.primary
    found = features(scene, Window(0, 0, *scene.shape), handles)
    read = scene.read(Window(0, 0, *scene.shape), handles)[modality.name]
    mean, deviation = modality.normalisation()
    for row, col in ((0, 0), (20, 30), (35, 41)):
        part = np.s_[max(0, row - 8) : row + 9, max(0, col - 8) : col + 9]
        valid = read["valid"][0][part]
        values = (read["values"][0][part][valid] - mean) / deviation
        bands = len(modality.bands)
        np.testing.assert_allclose(found[row, col, :bands], values.mean(0), atol=1e-5)
        np.testing.assert_allclose(found[row, col, bands : 2 * bands], values.std(0), atol=1e-4)
    handles.close()


def test_a_scene_in_other_units_is_outside(data):
    area, scene = training_ground.applicability(data, data.contract), data.scene("d")
    window = Window(0, 0, *scene.shape)
    (layer,) = scene.layers["s2"]
    bright = dataclasses.replace(layer, adjustment=Adjustment((1.0,) * 4, (0.5,) * 4))
    other = dataclasses.replace(scene, layers={**scene.layers, "s2": (bright,)})
    assert np.median(area.levels(other, window)) > 1.5 * np.median(area.levels(scene, window))
    assert (area.levels(other, window) > 100).mean() > 0.9


def test_a_single_site_is_compared_by_blocks_if_it_has_several(data, monkeypatch):
    alone = dataclasses.replace(data, sites={"a": data.sites["a"]})
    with pytest.raises(InputError, match=r"fewer than two sites or blocks of 500 m"):
        training_ground.applicability(alone, data.contract)
    monkeypatch.setattr(training_ground, "_BLOCK", 20)
    assert training_ground.applicability(alone, data.contract).threshold > 0
