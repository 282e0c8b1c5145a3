"""Estimates to the digit of the papers, and equal to two independent packages."""

import json
import pathlib

import numpy as np
import pytest

from jointseg_jax.evaluation.accuracy import intervals
from jointseg_jax.evaluation.accuracy.estimators import estimate, standard
from jointseg_jax.evaluation.accuracy.intervals import INTERVALS, limits
from jointseg_jax.evaluation.accuracy.samples import Blocks, Points, of_matrix, own_rows

pytestmark = pytest.mark.quick

PEERS = pathlib.Path(__file__).parents[2] / "data_files" / "accuracy" / "peers.json"
# Olofsson et al. 2014, table 8: deforestation, forest gain, stable forest, stable non-forest; pixels of 900 m2.
MATRIX = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
AREAS = np.array([200_000.0, 150_000, 3_200_000, 6_450_000])


def points(cells, sizes, fpc=True):
    """A sample of points: cells [strata, map, reference] and pixels per stratum."""
    cells, sizes = np.asarray(cells, float), np.asarray(sizes, float)
    flat = cells.reshape(len(cells), -1)
    correction = 1 - flat.sum(1) / sizes if fpc else np.ones(len(sizes))
    return Points(flat, sizes, np.ones(flat.shape, bool), correction)


def stehman():
    """The forty points of Stehman 2014, table 2: four strata of ten, in his classes A, B, C, D."""
    stratum = "A" * 10 + "B" * 10 + "C" * 10 + "D" * 10
    mapped = "A" * 7 + "B" * 3 + "A" + "B" * 11 + "C" * 6 + "B" * 2 + "D" * 10
    reference = "AAAAACBABC" + "ABBBBBAABB" + "CCCCCDDBBA" + "DDDDDDDCCB"
    cells = np.zeros((4, 4, 4))
    for h, m, r in zip(stratum, mapped, reference, strict=True):
        cells[tuple("ABCD".index(letter) for letter in (h, m, r))] += 1
    return points(cells, [40_000, 30_000, 20_000, 10_000])


def test_the_example_of_olofsson_2014():
    """Published: overall accuracy and deforested area; the other figures are those of the formulas, as in satscout."""
    found = estimate(of_matrix(MATRIX, AREAS), standard(4))
    half = 1.96 * found.se
    assert (round(found.value[0], 3), round(half[0], 3)) == (0.947, 0.018)
    assert found.value[1:5].round(2).tolist() == [0.88, 0.73, 0.93, 0.96]
    assert half[1:5].round(2).tolist() == [0.07, 0.10, 0.04, 0.02]
    assert found.value[5:9].round(2).tolist() == [0.75, 0.85, 0.93, 0.96]
    assert half[5:9].round(2).tolist() == [0.21, 0.25, 0.03, 0.02]
    hectares = 0.09 * AREAS.sum()
    assert round(found.value[9] * hectares) == 21_158
    assert round(half[9] * hectares) == 6_158
    assert (found.value[10] * hectares, half[10] * hectares) == pytest.approx((11_686, 3_756), abs=0.5)
    assert (found.value[11] * hectares, half[11] * hectares) == pytest.approx((285_770, 15_510), abs=0.5)
    assert (found.value[12] * hectares, half[12] * hectares) == pytest.approx((581_386, 16_282), abs=0.5)


def test_the_example_of_stehman_2014():
    """Strata that are not the map's classes; compared with a second package, not with the printed figures."""
    found = estimate(stehman(), standard(4))
    assert found.value[0] == pytest.approx(0.63)
    assert found.value[9:].round(2).tolist() == [0.35, 0.34, 0.20, 0.11]
    assert (found.value[2].round(3), found.value[6].round(3)) == (0.574, 0.794)
    assert found.shares.reshape(4, 4)[1, 2] == pytest.approx(0.08)
    assert found.se[[0, 9, 11]].round(3).tolist() == [0.085, 0.082, 0.064]
    assert found.se[[2, 6]].round(3).tolist() == [0.125, 0.117]  # as lulc-validation 0.0.4


def test_two_hundred_matrices_as_two_other_packages():
    stored = json.loads(PEERS.read_text())
    assert len(stored["matrices"]) == 200
    for counts, sizes, (value, se), (value2, se2) in stored["matrices"]:
        counts, sizes = np.array(counts), np.array(sizes, float)
        ratios, classes = standard(len(sizes)), len(sizes)
        ours = estimate(of_matrix(counts, sizes), ratios)
        scale = np.r_[np.ones(1 + 2 * classes), np.full(classes, sizes.sum())]
        np.testing.assert_allclose(ours.value * scale, value, rtol=1e-9)
        np.testing.assert_allclose(ours.se * scale, se, rtol=1e-7, atol=1e-12)
        own = np.eye(classes)[:, :, None] * counts[:, None, :]
        corrected = estimate(points(own, sizes), ratios)
        np.testing.assert_allclose(corrected.value[: 1 + 2 * classes], value2, rtol=1e-9)
        np.testing.assert_allclose(corrected.se[: 1 + 2 * classes], se2, rtol=1e-7, atol=1e-9)


def test_other_strata_as_another_package():
    for cells, sizes, (value, se) in json.loads(PEERS.read_text())["strata"]:
        ours = estimate(points(cells, sizes), standard(len(cells[0])))
        np.testing.assert_allclose(ours.value[: len(value)], value, rtol=1e-9)
        np.testing.assert_allclose(ours.se[: len(se)], se, rtol=1e-7, atol=1e-9)


def test_blocks_of_one_point_are_points(monkeypatch):
    monkeypatch.setattr(intervals, "DRAWS", 1_000)
    sample = stehman()
    stratum, cell = np.nonzero(sample.counts)
    times = sample.counts[stratum, cell].astype(int)
    content = np.eye(16)[np.repeat(cell, times)]
    blocks = Blocks(content, np.repeat(stratum, times), sample.sizes, sample.possible, sample.fpc)
    a, b = estimate(sample, standard(4)), estimate(blocks, standard(4))
    np.testing.assert_allclose(b.value, a.value)
    np.testing.assert_allclose(b.se, a.se)
    for kind in INTERVALS:
        np.testing.assert_allclose(
            limits(kind, blocks, standard(4), b), limits(kind, sample, standard(4), a), atol=0.06
        )


def test_poststratification_with_the_strata_changes_nothing():
    sample, shares = of_matrix(MATRIX, AREAS), AREAS / AREAS.sum()
    plain, scaled = estimate(sample, standard(4)), estimate(sample, standard(4), shares)
    np.testing.assert_allclose(scaled.value, plain.value)
    np.testing.assert_allclose(scaled.se, plain.se)


def test_poststratification_of_a_simple_random_sample_is_stratified_estimation():
    """Given the counts, its estimates are those of a sample stratified by map class; variances agree to order 1/n."""
    simple = Points(MATRIX.reshape(1, -1).astype(float), np.array([1.0]), np.ones((1, 16), bool), np.ones(1))
    found = estimate(simple, standard(4), AREAS / AREAS.sum())
    strict = estimate(of_matrix(MATRIX, AREAS), standard(4))
    np.testing.assert_allclose(found.value, strict.value)
    np.testing.assert_allclose(found.se, strict.se, rtol=0.02)
    assert found.se[0] < estimate(simple, standard(4)).se[0]


def clustered(rng, blocks, points_each):
    """Blocks whose points are alike; two classes; content [blocks, 4]."""
    share = rng.beta(0.5, 1.5, blocks)
    reference = rng.random((blocks, points_each)) < share[:, None]
    mapped = reference ^ (rng.random((blocks, points_each)) < 0.1)
    cell = 2 * mapped + reference
    return np.stack([(cell == c).sum(1) for c in range(4)], 1).astype(float)


def test_the_variance_between_blocks_is_that_of_repeated_samples():
    rng = np.random.default_rng(5)
    frame = clustered(rng, 20_000, 9)
    truth = frame.sum(0) / frame.sum()
    found = []
    for _ in range(300):
        content = frame[rng.choice(len(frame), 60, replace=False)]
        sample = Blocks(content, np.zeros(60, int), np.array([20_000.0]), np.ones((1, 4), bool), np.ones(1))
        estimates = estimate(sample, standard(2))
        found.append((estimates.value, estimates.se))
    value, se = np.array(found).transpose(1, 0, 2)
    assert value.mean(0)[[0, 6]] == pytest.approx([truth[0] + truth[3], truth[1] + truth[3]], abs=0.01)
    np.testing.assert_allclose(se.mean(0), value.std(0), rtol=0.15)


def test_intervals_at_the_edge():
    """Five of five right: the standard error is 0, the interval is not empty; without any reference nothing is said."""
    sample = of_matrix(np.array([[60, 0], [0, 5]]), np.array([95.0, 5.0]))
    found = estimate(sample, standard(2))
    low, high = limits("bayes", sample, standard(2), found)
    assert 0.5 < low[2] < 0.8
    assert high[2] == 1
    nothing = of_matrix(np.array([[60, 0], [5, 0]]), np.array([95.0, 5.0]))
    found = estimate(nothing, standard(2))
    for kind in INTERVALS:
        low, high = limits(kind, nothing, standard(2), found)
        assert np.isnan([found.value[4], found.se[4], low[4], high[4]]).all()
        assert np.isfinite(low[[0, 1, 2, 3, 5, 6]]).all()


def test_a_stratum_within_a_class_holds_only_its_cells():
    known = own_rows(np.array([[True, False], [True, True]]))
    assert known.tolist() == [[True, True, False, False], [True] * 4]


def nominal(kind, classes, strata, areas, repeats):
    """Share of samples whose interval holds the truth, of every figure; strata: points per map class."""
    rng = np.random.default_rng(7)
    truth = estimate(of_matrix(1e9 * classes, areas), standard(len(areas))).value
    hits = np.zeros(len(truth))
    for _ in range(repeats):
        counts = np.stack([rng.multinomial(n, p) for n, p in zip(strata, classes, strict=True)])
        sample = of_matrix(counts, areas)
        low, high = limits(kind, sample, standard(len(areas)), estimate(sample, standard(len(areas))))
        hits += (low <= truth) & (truth <= high) | np.isnan(low)
    return hits / repeats


def test_intervals_hold_with_few_points_of_a_rare_class(monkeypatch):
    """Where the published form holds for three of four samples; benchmarks/accuracy_coverage.py has the full table."""
    monkeypatch.setattr(intervals, "DRAWS", 400)
    classes, areas = np.array([[0.98, 0.02], [0.15, 0.85]]), np.array([0.95, 0.05])
    assert nominal("wald", classes, (200, 5), areas, 200)[2] < 0.7
    assert nominal("bayes", classes, (200, 5), areas, 100).min() > 0.85
