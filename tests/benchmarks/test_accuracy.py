"""The measurements behind docs/accuracy.md, on few samples and small products."""

import json

import numpy as np
import pytest

from benchmarks import accuracy_coverage, accuracy_draw, accuracy_dynamic_world
from jointseg_jax.evaluation.accuracy import intervals


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(intervals, "DRAWS", 300)
    for module in (accuracy_coverage, accuracy_dynamic_world):
        monkeypatch.setattr(module, "DRAWS", 300)


def test_every_case_of_the_coverage():
    for case in accuracy_coverage.cases():
        found = accuracy_coverage.coverage(case, 12, ("wald", "bayes"))
        for hits in found.values():
            assert hits.shape == (1 + 3 * case.classes,)
        assert found["bayes"].mean() > 0.8


def test_the_coverage_prints_its_figures(capsys):
    assert accuracy_coverage.main(["--samples=4", "--cases=1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[2].startswith("| Olofsson 2014 | wald |")
    assert out[-2].startswith("bayes, single maps: ")
    assert len(json.loads(out[-1])["coverage"]) == 2


def test_the_area_of_a_real_map(real_data, capsys):
    """Built: 6.6 % by the expert, 15.5 % by the map."""
    assert accuracy_dynamic_world.main([f"--data={real_data / 'accuracy'}", "--samples=20"]) == 0
    built = json.loads(capsys.readouterr().out.splitlines()[-1])["two"]["built"]
    assert (round(built["true"], 3), round(built["mapped"], 3)) == (0.066, 0.155)
    assert built["estimate"] == pytest.approx(built["true"], abs=3.5 * built["se"] / np.sqrt(20))
    assert accuracy_dynamic_world.main(["--data=nowhere"]) == 2


def test_the_cost_of_a_draw():
    found = accuracy_draw.measure(3, 1020, 20)
    assert found["drawn"] == 20
    assert found["draw"]["cpu_s"] < 5
