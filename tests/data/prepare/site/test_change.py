"""Blocks whose image and input show different ground are found, and their labels ignored on request."""

import numpy as np
import rasterio
import toy
from scipy import ndimage

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.site.change import agreement


def ground(seed, height=100, width=130):
    """Textured ground of three bands."""
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(rng.standard_normal((height, width, 3)), (2, 2, 0))


def test_other_ground_disagrees_and_faded_turned_or_shifted_ground_does_not():
    here, other, ok = ground(0), ground(1), np.ones((100, 130), bool)
    season = np.roll(0.2 - 0.01 * here, 1, 0) + np.random.default_rng(2).normal(0, 1e-4, here.shape)
    season[:50, :52] = other[:50, :52]
    alike, number = agreement(here, season, ok, 25)
    assert alike.shape == (4, 5)
    assert np.unique(number).tolist() == list(range(20))
    assert (np.diff(number[0]) >= 0).all()
    assert alike[:2, :2].max() < 0.8
    assert min(alike[2:].min(), alike[:, 2:].min()) > 1.2


def test_gaps_and_ground_without_a_pattern_are_not_judged():
    here, ok = ground(0), np.ones((100, 130), bool)
    ok[:50, :26], here[50:75, 26:52] = False, 0.5
    here[~ok] = np.nan
    there = here.copy()
    there[50:75, 26:52] += np.random.default_rng(0).normal(0, 1e-4, (25, 26, 3))
    alike = agreement(here, there, ok, 25)[0]
    assert np.argwhere(np.isnan(alike)).tolist() == [[0, 0], [1, 0], [2, 1]]
    assert np.nanmin(alike) > 1.5
    assert np.isnan(agreement(here, there, np.zeros_like(ok), 25)[0]).all()


def test_labels_of_changed_blocks_are_ignored_on_request(one):
    folder, config = one

    def other(stack):
        stack = stack.copy()
        stack[:, :120, :140] = np.moveaxis(toy.ground(9, 12, 14)[0] * 250 + 2, -1, 0)
        return stack

    toy.rewrite(folder / "image.tif", values=other)

    def label():
        data = prepare(config, say=toy.quiet)
        with rasterio.open(data.root / data.sites["a"].label) as raster:
            return raster.read(1), " ".join(data.sites["a"].notes)

    before, notes = label()
    assert "ignored" not in notes
    config.label.change.block, config.label.change.least = 130, 0.9
    after, notes = label()
    assert "label: 1 of 9 blocks of 130 m ignored, where image and input differ" in notes
    assert (after[:120, :140] == 255).all()
    np.testing.assert_array_equal(after[:, 140:], before[:, 140:])
    np.testing.assert_array_equal(after[120:], before[120:])
