"""benchmarks/mapping.py measures real runs, and what it reports adds up."""

import json
import subprocess
import sys

import harness
import pytest

from benchmarks.mapping import planned


def test_every_size_and_every_window_has_a_run():
    pairs = [(128, 64), (256, 64), (512, 64), (256, 32), (256, 128)]
    assert planned([128, 256, 512], [32, 64, 128]) == (64, 256, pairs)
    assert planned([24], [16]) == (16, 24, [(24, 16)])


@pytest.mark.slow
def test_a_whole_measurement(workdir, raw, tmp_path):
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            sys.executable, "benchmarks/mapping.py", f"--workdir={workdir}", f"--input={raw / 'd'}", "--sizes=16,32",
            "--tiles=16", f"--output={report}",
        ],
        cwd=harness.ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert [(r["pixels"], r["tile"]) for r in found["runs"]] == [(16, 16), (32, 16)]
    for run in found["runs"]:
        # The corner of nodata that the toy has is repeated with the ground.
        assert 0.8 * (run["pixels"] / 100) ** 2 < run["km2"] <= 1.001 * (run["pixels"] / 100) ** 2
        assert run["km2_per_s"] == pytest.approx(run["km2"] / run["seconds"])
        assert run["peak_mb"] > 100
        assert run["bytes"]["impervious"] > 0
    assert [(w["workers"], w["tiles"]) for w in found["workers"]] == [(1, 4), (2, 4)]
    assert found["cost"]["machine_hours"] > 0
    assert "extrapolated to 2,200,000 km2" in done.stdout
