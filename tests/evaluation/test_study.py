"""The statistics of a study: paired within folds, intervals over folds."""

import math

import numpy as np
import pytest
from scipy import stats

from jointseg_jax.evaluation import study

FOLDS = {"a": 0.60, "b": 0.70, "c": 0.50}
GAIN = {"a": 0.02, "b": 0.05, "c": 0.03}


def result(row, fold, seed, f1, **more):
    plain = {"precision": f1, "recall": f1, "area_ratio": 1.0, "fraction_rmse_10m": 0.2, "parameters": 10, "flops": 1e6}
    return {"row": row, "fold": fold, "seed": seed, "steps": 5, "seconds": 60.0, "f1": f1, **plain, **more}


@pytest.fixture
def results():
    found = []
    for fold, f1 in FOLDS.items():
        for seed, noise in ((0, 0.01), (1, -0.01)):
            found.append(result("bilinear", fold, seed, f1 + noise))
            found.append(result("joint", fold, seed, f1 + noise + GAIN[fold], psnr_1m=20.0, psnr_bicubic_1m=19.0))
        found.append(result("fine", fold, 0, f1 + 0.1))
    return found


def test_differences_are_paired(results):
    """Scenes differ by 0.2, seeds by 0.02; the difference of the rows is seen through both."""
    found = study.difference(results, "joint", "bilinear", "f1")
    gains = list(GAIN.values())
    assert found.mean == pytest.approx(np.mean(gains))
    expected = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.folds, found.ahead) == (3, 3)


def test_only_what_both_rows_have_is_compared(results):
    """`fine` has one seed: the other seed of bilinear does not enter."""
    found = study.difference(results, "fine", "bilinear", "f1")
    assert found.mean == pytest.approx(0.1 - 0.01)
    assert study.difference(results, "joint", "capacity", "f1") is None
    alone = [r for r in results if r["fold"] == "a"]
    assert math.isnan(study.difference(alone, "joint", "bilinear", "f1").low)


def test_means_weigh_folds_equally(results):
    results.append(result("bilinear", "a", 2, 0.60))
    assert study.mean(results, "bilinear", "f1") == pytest.approx(np.mean(list(FOLDS.values())))


def test_the_report_has_all_of_it(results, tmp_path):
    study.write_report(results, tmp_path)
    text = (tmp_path / study.REPORT).read_text()
    assert "| joint | 6 |" in text
    assert "20.00 (19.00)" in text
    assert "| joint | +0.033 | " in text
    assert "15 runs, 0.2 CPU hours" in text
    assert "| joint | 37% |" in text  # 0.0333 of 0.09
    assert (tmp_path / study.PICTURE).stat().st_size > 5000


def test_records_of_before_leave_gaps(results, tmp_path):
    """No record here has `f1_best`; then one row has."""
    study.write_report(results, tmp_path)
    assert "| bilinear | 6 | 0.600 | 0.600 | 0.600 |  |  |" in (tmp_path / study.REPORT).read_text()
    newer = [{**r, "f1_best": r["f1"] + 0.01, "average_precision": 0.5} for r in results]
    study.write_report(newer, tmp_path)
    assert "| bilinear | 6 | 0.600 | 0.600 | 0.600 | 0.610 | 0.500 |" in (tmp_path / study.REPORT).read_text()
