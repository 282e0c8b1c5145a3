"""The statistics of a study: paired within folds, intervals over folds."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from jointseg_jax.evaluation.study import curves, report, statistics

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
    found = statistics.difference(results, "joint", "bilinear", "f1")
    gains = list(GAIN.values())
    assert found.mean == pytest.approx(np.mean(gains))
    expected = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.folds, found.ahead) == (3, 3)


def test_only_what_both_rows_have_is_compared(results):
    """`fine` has one seed: the other seed of bilinear does not enter."""
    found = statistics.difference(results, "fine", "bilinear", "f1")
    assert found.mean == pytest.approx(0.1 - 0.01)
    assert statistics.difference(results, "joint", "capacity", "f1") is None
    alone = [r for r in results if r["fold"] == "a"]
    assert math.isnan(statistics.difference(alone, "joint", "bilinear", "f1").low)


def test_means_weigh_folds_equally(results):
    results.append(result("bilinear", "a", 2, 0.60))
    assert statistics.mean(results, "bilinear", "f1") == pytest.approx(np.mean(list(FOLDS.values())))


def test_the_report_has_all_of_it(results, tmp_path):
    report.write_report(results, tmp_path)
    text = (tmp_path / report.REPORT).read_text()
    assert "| joint | 6 |" in text
    assert "20.00 (19.00)" in text
    gains = list(GAIN.values())
    low, high = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    assert f"| joint | +0.033 ({low:+.3f} to {high:+.3f}) | 3 of 3 | no |  |  |" in text
    assert "15 runs, 0.2 CPU hours" in text
    assert "| joint | 37% |" in text  # 0.0333 of 0.09
    assert (tmp_path / report.PICTURE).stat().st_size > 5000


def test_records_of_before_leave_gaps(results, tmp_path):
    """No record here has `f1_best`; then one row has."""
    report.write_report(results, tmp_path)
    assert "| bilinear | 6 | 0.600 | 0.600 | 0.600 |  |  |" in (tmp_path / report.REPORT).read_text()
    newer = [{**r, "f1_best": r["f1"] + 0.01, "average_precision": 0.5} for r in results]
    report.write_report(newer, tmp_path)
    assert "| bilinear | 6 | 0.600 | 0.600 | 0.600 | 0.610 | 0.500 |" in (tmp_path / report.REPORT).read_text()


def log(folder, lines):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "tra')


def test_a_curve_spreads_cpu_seconds_over_the_time_of_running(tmp_path):
    """A run of 40 seconds with a break of 900, in which step 2 was lost and repeated, cost 80 CPU seconds."""
    lines = [
        {"kind": "start", "step": 0, "time": 100.0},
        {"kind": "train", "step": 1, "time": 105.0},
        {"kind": "validation", "step": 2, "time": 110.0, "f1": 0.2},
        {"kind": "start", "step": 1, "time": 1010.0},
        {"kind": "validation", "step": 2, "time": 1020.0, "f1": 0.3},
        {"kind": "validation", "step": 4, "time": 1035.0, "f1": 0.25},
        {"kind": "end", "step": 4, "time": 1040.0},
    ]
    log(tmp_path, lines)
    found = curves.curve_of(tmp_path, 80.0)
    assert found == [[2, 40.0, 0.3], [4, 70.0, 0.25]]
    assert [curves.best_within(found, s) for s in (39.0, 40.0, 80.0)] == [None, 0.3, 0.3]
    assert curves.curve_of(tmp_path / "none", 80.0) == []


def test_at_equal_seconds_the_slower_row_has_fewer_steps():
    results = []
    for fold, f1 in FOLDS.items():
        fast, slow = [[1, 10.0, f1], [2, 20.0, f1 + 0.02]], [[1, 20.0, f1 + 0.01], [2, 40.0, f1 + 0.1]]
        results += [
            result("bilinear", fold, 0, f1, curve=fast, seconds=21.0),
            result("joint", fold, 0, f1, curve=slow, seconds=41.0),
        ]
    found = curves.at_equal_seconds(results, "joint", "bilinear")
    assert (found.mean, found.ahead, found.folds) == (pytest.approx(-0.01), 0, 3)
    lines = curves.table(results, ["joint", "bilinear"], "bilinear").splitlines()
    assert "| joint | +0.080 (+0.080 to +0.080) | 3 of 3 | -0.010 (-0.010 to -0.010) | 0 of 3 |" in lines
    steps, seconds, f1 = curves.mean_curve(results, "joint")
    np.testing.assert_allclose((steps, seconds, f1), ((1, 2), (20, 40), (0.61, 0.7)))
    for record in results:
        record["curve"] = record["curve"][1:]  # at 20 s, joint has no validation
    lines = curves.table(results, ["joint", "bilinear"], "bilinear").splitlines()
    assert "| joint | +0.080 (+0.080 to +0.080) | 3 of 3 | - | - |" in lines


def test_curves_are_in_the_report(results, tmp_path):
    for record in results:
        record["curve"] = [[1, 10.0, record["f1"] - 0.1], [2, 20.0, record["f1"]]]
    report.write_report(results, tmp_path)
    text = (tmp_path / report.REPORT).read_text()
    assert "## Validation F1 against bilinear, at equal steps and at equal seconds" in text
    assert f"]({curves.PICTURE})" in text
    assert (tmp_path / curves.PICTURE).stat().st_size > 5000
