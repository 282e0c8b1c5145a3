"""Finished runs under other sensors: what each changes, and the report."""

import json

import harness
import numpy as np
import pytest
from PIL import Image

from jointseg_jax.commands.study import main
from jointseg_jax.data.sensor import Sensor
from jointseg_jax.evaluation.study import robustness
from jointseg_jax.evaluation.study.runs import Run

ROWS = """
from jointseg_jax.configs.ablations import Row

ROWS = {"bilinear": Row("control=bilinear"), "coarse": Row("control=coarse")}
"""


def record(row, fold, condition, f1):
    return {"row": row, "fold": fold, "seed": 0, "condition": condition, "f1": f1}


@pytest.mark.quick
def test_conditions_change_the_nominal_sensor():
    nominal = Sensor((0.2, 0.3), (100.0, 50.0), (0.3, 0.3), shift=(1.0, 2.0))
    plain = (
        "dataset.simulate.mtf=(0.2, 0.3)",
        "dataset.simulate.snr=(100.0, 50.0)",
        "dataset.simulate.kernel=gaussian",
        "dataset.simulate.misregistration=(1.0, 2.0)",
    )
    found = {name: condition.fields(nominal) for name, condition in robustness.CONDITIONS.items()}
    assert found["nominal"] == plain
    assert found["mtf-0.8"] == ("dataset.simulate.mtf=(0.16, 0.24)", *plain[1:])
    assert found["noise-2"] == (plain[0], "dataset.simulate.snr=(50.0, 25.0)", *plain[2:])
    assert found["east-2.5m"] == (*plain[:3], "dataset.simulate.misregistration=(1.0, 4.5)")
    assert len(set(found.values())) == len(found)


@pytest.mark.quick
def test_the_report_pairs_within_folds():
    records = []
    for fold, f1 in (("a", 0.6), ("b", 0.7)):
        for row, lead, loss in (("bilinear", 0.0, 0.03), ("joint", 0.02, 0.01)):
            records.append(record(row, fold, "nominal", f1 + lead))
            records.append(record(row, fold, "box", f1 + lead - loss))
    lines = robustness.text(records).splitlines()
    assert "| row | nominal F1 | box |" in lines
    assert "| bilinear | 0.650 | -0.030 (-0.030 to -0.030) |" in lines
    assert "| joint | 0.670 | -0.010 (-0.010 to -0.010) |" in lines
    assert "| joint | +0.020 (+0.020 to +0.020) | +0.040 (+0.040 to +0.040) |" in lines


def test_without_a_finished_run_there_is_nothing_to_judge(tmp_path, capfd):
    path = harness.study(tmp_path, ROWS)
    assert main([str(path), str(tmp_path / "out"), "--robustness"]) == 2
    assert "has no finished run of these rows, folds and seeds: train them first" in capfd.readouterr().err


@pytest.mark.slow
def test_a_finished_run_is_judged_under_other_sensors(tmp_path, capfd, monkeypatch):
    path = harness.study(tmp_path, ROWS)
    folder = tmp_path / "out"
    assert main([str(path), str(folder), "--names=bilinear"]) == 0, capfd.readouterr().err
    some = {name: robustness.CONDITIONS[name] for name in ("nominal", "east-5m")}
    monkeypatch.setattr(robustness, "CONDITIONS", some)
    assert main([str(path), str(folder), "--robustness"]) == 0, capfd.readouterr().err
    records = json.loads((folder / robustness.RECORDS).read_text())
    assert [(r["row"], r["fold"], r["condition"]) for r in records] == [
        ("bilinear", "three", "east-5m"),
        ("bilinear", "three", "nominal"),
    ]
    study = json.loads((folder / "study.json").read_text())[0]
    moved, nominal = records
    assert nominal["f1"] == study["f1"]
    assert moved["average_precision"] != nominal["average_precision"]
    shifts = {}
    for name in some:
        stored = json.loads((folder / "datasets" / f"three-sensor-{name}" / "dataset.json").read_text())
        shifts[name] = stored["simulated"]["sensor"]["shift"]
        assert [site["name"] for site in stored["sites"]] == ["three"]
    assert np.subtract(shifts["east-5m"], shifts["nominal"]) == pytest.approx((0, 5))
    assert main([str(path), str(folder), "--crops"]) == 0, capfd.readouterr().err
    with Image.open(folder / "crops" / "three.png") as picture:
        assert picture.width > 4 * 240  # input, true image, label, one map
    assert "](crops/three.png)" in (folder / "report.md").read_text()
    evaluated = Run("bilinear", "three", 0).workdir(folder) / "evaluation" / "sensor-east-5m" / "metrics.json"
    at = evaluated.stat().st_mtime_ns
    (folder / robustness.RECORDS).unlink()
    assert main([str(path), str(folder), "--robustness"]) == 0  # only collects
    assert evaluated.stat().st_mtime_ns == at
    assert json.loads((folder / robustness.RECORDS).read_text()) == records
