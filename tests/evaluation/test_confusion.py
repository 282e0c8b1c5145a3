"""Scores by hand."""

import numpy as np
import pytest

from jointseg_jax.evaluation.confusion import Confusion, Reliability

pytestmark = pytest.mark.quick


def test_counts_and_figures():
    mapped = np.array([1, 1, 1, 0, 0, 0, 0, 255, 1])
    reference = np.array([1, 1, 0, 1, 0, 0, 0, 1, 255])
    confusion = Confusion.of(mapped, reference)
    assert confusion == Confusion(2, 1, 1, 3)
    figures = confusion.figures()
    assert figures["isa"] == {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "iou": 0.5}
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 6 / 8) / 2)
    assert figures["oa"] == pytest.approx(5 / 7)
    chance = (3 * 3 + 4 * 4) / 49
    assert figures["kappa"] == pytest.approx((5 / 7 - chance) / (1 - chance))
    assert figures["area_ratio"] == 1.0


def test_sums_are_the_sum():
    rng = np.random.default_rng(0)
    mapped, reference = rng.integers(0, 2, 100), rng.integers(0, 2, 100)
    assert Confusion.of(mapped[:40], reference[:40]) + Confusion.of(mapped[40:], reference[40:]) == Confusion.of(
        mapped, reference
    )


def test_nothing_has_no_figures():
    figures = Confusion().figures()
    assert figures["oa"] is None
    assert figures["isa"]["f1"] is None


def test_the_paper_s_arithmetic():
    """Precision 99.73 and recall 61.76 give F1 76.28, and a mapped area some 38 % too small."""
    confusion = Confusion(6176, round(6176 * (1 / 0.9973 - 1)), 10000 - 6176, 50000)
    figures = confusion.figures()
    assert figures["isa"]["f1"] == pytest.approx(0.7628, abs=2e-4)
    assert figures["area_ratio"] == pytest.approx(0.619, abs=1e-3)


def test_calibration_error():
    probability = np.concatenate([np.full(1000, 0.82), np.full(1000, 0.13)]).astype(np.float32)
    reference = np.concatenate([np.arange(1000) < 720, np.arange(1000) < 130]).astype(np.uint8)
    valid = np.ones(2000, bool)
    assert Reliability.of(probability, reference, valid).expected_error() == pytest.approx(0.05, abs=1e-6)
    halves = Reliability.of(probability[::2], reference[::2], valid[::2]) + Reliability.of(
        probability[1::2], reference[1::2], valid[1::2]
    )
    assert halves.expected_error() == pytest.approx(0.05, abs=1e-6)
    assert Reliability().expected_error() is None


def test_what_no_threshold_decides():
    """Against a search over all thresholds, and the definition of average precision, on distinct probabilities."""
    rng = np.random.default_rng(0)
    probability = ((rng.permutation(1000)[:400] + 0.5) / 1000).astype(np.float32)
    reference = (rng.random(400) < probability**2).astype(np.uint8)
    reference[::7] = 255
    valid = rng.random(400) < 0.9
    half = np.arange(400) < 170
    found = Reliability.of(probability, reference, valid & half) + Reliability.of(probability, reference, valid & ~half)
    known = valid & (reference != 255)
    f1 = [Confusion.of(probability[known] >= t, reference[known]).figures()["isa"]["f1"] for t in np.arange(0, 1, 1e-3)]
    assert found.best_f1() == pytest.approx(max(f1))
    ordered = reference[known][np.argsort(-probability[known])] == 1
    assert found.average_precision() == pytest.approx(
        (np.cumsum(ordered) / np.arange(1, len(ordered) + 1))[ordered].mean()
    )


def test_without_class_1_nothing_can_be_found():
    zeros = np.zeros(50, np.uint8)
    found = Reliability.of(np.linspace(0, 1, 50), zeros, zeros == 0)
    assert found.best_f1() is None
    assert found.average_precision() is None
    same = Reliability.of(np.full(50, 0.3), np.arange(50) < 20, zeros == 0)
    assert same.average_precision() == pytest.approx(0.4)
    assert same.best_f1() == pytest.approx(2 * 20 / (50 + 20))
