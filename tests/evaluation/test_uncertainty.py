"""Sets and intervals hold what they state on ground like that of the calibration; elsewhere it is measured."""

import numpy as np
import pytest
from scipy import stats

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.confidence_quality import Ranking
from jointseg_jax.evaluation.uncertainty import UncertaintyCounts, calibrate_intervals, calibrate_sets, similarity
from jointseg_jax.mapping.predictor.applicability import Applicability
from jointseg_jax.mapping.predictor.uncertainty import Interval, Uncertainty, bounds

ALPHA = 0.2
AREA = Applicability(bytes(4), (1.0,), 1.0, 1.0)


def ground(rng, side=600, noise=0.35):
    """A label with dense and empty blocks of 100 m, and a probability whose errors are larger in class 1."""
    share = rng.choice([0.02, 0.2, 0.7], (side // 100, side // 100)).repeat(100, 0).repeat(100, 1)
    label = (rng.uniform(size=(side, side)) < share).astype(np.uint8)
    bias = rng.normal(0, 0.1, (side // 100, side // 100)).repeat(100, 0).repeat(100, 1)
    spread = np.where(label == 1, noise, 0.1)
    score = np.where(label == 1, 0.7, 0.1) + bias * share + spread * rng.standard_normal((side, side))
    return np.clip(score, 0, 1), label


def counted(probability, label):
    return UncertaintyCounts.of_pixels(probability, label) + UncertaintyCounts.of_cells(probability, label)


def calibrated(counts, alpha=ALPHA):
    return of_sites([counts], alpha)


def of_sites(sites, alpha=ALPHA):
    highest, lowest = calibrate_sets(sites, alpha)
    intervals = calibrate_intervals(sites, alpha)
    return Uncertainty(0, "ema", 1.0, 0.5, "float32", False, alpha, highest, lowest, intervals, AREA, "made up")


def worth(record, probability, label):
    return counted(probability, label).worth(record, Ranking())


def test_coverage_holds_over_many_draws_of_few_hectares_that_are_alike_within():
    """The exact share of split conformal prediction, for each class and for the intervals; classes differ in error."""
    rng = np.random.default_rng(0)
    samples, draws = (12, 7), 300
    held = np.zeros(3)
    for _ in range(draws):
        pixels = np.zeros((2, 201), np.int64)
        np.add.at(pixels[0], np.round(60 * rng.uniform(size=samples[0])).astype(int), 10_000)
        np.add.at(pixels[1], np.round(200 * rng.uniform(size=samples[1])).astype(int), 10_000)
        joint = np.zeros((3, 201, 201), np.int64)
        joint[:, 100, 0] = [10**6, 10**6, 0]  # only the cells of 100 m are judged
        np.add.at(joint[2], (100, rng.integers(0, 201, 20)), 1)
        record = calibrated(UncertaintyCounts(pixels, joint))
        low, high = bounds(record.intervals["100m"], np.array([100]))
        new = np.round(60 * rng.uniform()), np.round(200 * rng.uniform()), rng.integers(0, 201)
        held += [new[0] <= record.highest_0, new[1] >= record.lowest_1, low[0] <= new[2] <= high[0]]
    for found, count, tails in zip(held / draws, (*samples, 20), (1, 1, 2), strict=True):
        expected = 1 - tails * (1 - np.ceil((count + 1) * (1 - ALPHA / tails)) / (count + 1))
        assert 1 - ALPHA <= expected < 1 - ALPHA + 0.1
        assert found == pytest.approx(expected, abs=0.06)  # without the correction: 0.07 to 0.12 less


def test_one_threshold_for_both_classes_would_miss_the_harder_one():
    rng = np.random.default_rng(5)
    probability, label = ground(rng)
    error = np.where(label == 1, 1 - probability, probability)
    shared = error <= np.quantile(error, 1 - ALPHA)
    assert shared[label == 1].mean() < 0.6
    record = calibrated(counted(probability, label))
    held = worth(record, *ground(rng)).coverage
    assert min(held) > 0.75


def test_other_ground_is_covered_less_and_the_measure_shows_it():
    rng = np.random.default_rng(1)
    record = calibrated(counted(*ground(rng)))
    same, (probability, label) = worth(record, *ground(rng)), ground(rng)
    other = worth(record, np.clip(probability - 0.3 * label, 0, 1), label)
    assert other.coverage[1] < same.coverage[1] - 0.2
    assert other.intervals["100m"].coverage < same.intervals["100m"].coverage - 0.2


def test_every_site_of_the_calibration_is_covered():
    """Sites of different bias: the quantiles of all ground together hold too little on one, the widest on none."""
    rng = np.random.default_rng(8)
    sites = []
    for shift in (-0.25, 0.0, 0.25):
        probability, label = ground(rng)
        sites.append(counted(np.clip(probability + shift, 0, 1), label))
    least = {}
    for name, record in (("widest", of_sites(sites)), ("together", of_sites([sum(sites, UncertaintyCounts())]))):
        found = [site.worth(record, Ranking()) for site in sites]
        least[name] = min(share for worth in found for share in worth.coverage)
    assert least["widest"] >= 1 - ALPHA > least["together"] + 0.1


def test_a_site_with_too_little_ground_counts_with_the_others():
    rng = np.random.default_rng(9)
    large, small = counted(*ground(rng)), counted(*(x[:200, :200] for x in ground(rng, noise=0.8)))
    assert calibrate_sets([large, small], ALPHA) == calibrate_sets([large + small], ALPHA)


def test_figures_by_hand():
    """Sets and intervals of a map are those that the figures count."""
    rng = np.random.default_rng(2)
    probability, label = ground(rng)
    label[:130, :50] = 255
    record = calibrated(counted(*ground(rng)))
    found = worth(record, probability, label)
    sets = record.sets(probability)
    for k in (0, 1):
        assert found.coverage[k] == pytest.approx(((sets[label == k] >> k) & 1).mean())
    known = label != 255
    assert found.pixels == known.sum()
    assert found.both == pytest.approx((sets[known] == 3).mean())
    assert found.neither == pytest.approx((sets[known] == 0).mean())
    fraction, low, high = np.moveaxis(record.fractions(probability).astype(int), -1, 0)
    cells = label.reshape(60, 10, 60, 10)
    whole = (cells != 255).all((1, 3))
    true = np.round(200 * (cells == 1).mean((1, 3)))
    assert found.intervals["10m"].cells == whole.sum()
    assert found.intervals["10m"].coverage == pytest.approx(((low <= true) & (true <= high))[whole].mean())
    assert found.intervals["10m"].width == pytest.approx((high - low)[whole].mean() / 200)
    assert ((low <= fraction) & (fraction <= high)).mean() > 0.9
    assert found.error_inside is found.error_outside is found.auroc is None


def test_bounds_are_those_of_the_bin():
    table = (Interval(0, -3, 10), Interval(60, -100, 150))
    low, high = bounds(table, np.array([0, 59, 60, 200]))
    assert low.tolist() == [0, 56, 0, 100]
    assert high.tolist() == [10, 69, 200, 200]


def test_sparse_bins_are_joined_and_too_little_ground_is_refused():
    probability, label = ground(np.random.default_rng(3))
    counts = counted(probability, label)
    table = calibrate_intervals([counts], ALPHA)["100m"]
    starts = [i.start for i in table]
    by_level = counts.cells[2].sum(1)
    assert starts[0] == 0
    assert len(starts) > 1
    for start, end in zip(starts, [*starts[1:], 201], strict=True):
        assert by_level[start:end].sum() >= 9  # the largest of nine errors holds nine tenths of new ones
    part = counted(probability[:200, :400], label[:200, :400])
    with pytest.raises(InputError, match=r"8 ha in cells of 10 m, but 9 are needed for this --alpha"):
        calibrate_intervals([part], ALPHA)
    with pytest.raises(InputError, match=r"0 ha of class 1, but 4 are needed"):
        calibrate_sets([counted(probability, np.zeros_like(label))], ALPHA)


def test_parts_add_up():
    probability, label = ground(np.random.default_rng(4), 400)
    whole = counted(probability, label)
    halves = sum((counted(probability[k : k + 200], label[k : k + 200]) for k in (0, 200)), UncertaintyCounts())
    np.testing.assert_array_equal(whole.pixels, halves.pixels)
    np.testing.assert_array_equal(whole.cells[[0, 2]], halves.cells[[0, 2]])  # 200 is no multiple of 30


def test_what_is_unlike_ranks_errors():
    """Error rates inside and outside, and the AUROC, of a made-up dissimilarity."""
    level = np.array([0, 50, 100, 101, 150, 200]).repeat(100)
    label = np.zeros(600, np.uint8)
    mapped = label.copy()
    mapped[[0, 100, 200]] = 1  # one error in a hundred inside
    mapped[300:450] = 1  # half outside
    counts = UncertaintyCounts.of_pixels(np.zeros(600), label) + UncertaintyCounts(cells=np.zeros((3, 201, 201), int))
    record = calibrated(counted(*ground(np.random.default_rng(0))))
    found = counts.worth(record, Ranking.of(similarity(level), mapped, label))
    assert (found.error_inside, found.error_outside, found.outside) == (0.01, 0.5, 0.5)
    assert found.auroc == pytest.approx(
        stats.mannwhitneyu(-level[mapped == 0], -level[mapped == 1]).statistic / (447 * 153)
    )
