"""The convolutions that are timed alone."""

import subprocess

import harness
import pytest

from benchmarks import convolutions
from benchmarks.timing import Turn


def test_three_rates_of_a_shape():
    found = convolutions.in_jax(2, 8, 2, 3)
    assert len(found) == 3
    assert all(0 < rate < 1e6 for rate in found)


@pytest.mark.quick
def test_a_rate_is_work_by_time(monkeypatch):
    monkeypatch.setattr(convolutions, "timed", lambda steps, work: work() or Turn(steps, 9.0, 0.5))
    calls = []
    rate = convolutions.rate(lambda: calls.append(1), 4, 10, 2, 3)
    assert rate == pytest.approx(2 * 9 * 2 * 3 * 4 * 10 * 10 / 0.5 / 1e9)
    assert len(calls) == 1 + convolutions.RUNS


def test_the_peer_times_the_same_shapes(torch_python):
    command = [torch_python, "-m", "benchmarks.peers.torch_convolutions"]
    done = subprocess.run(command, cwd=harness.ROOT, check=True, text=True, stdout=subprocess.PIPE)
    rates = [[float(v) for v in line.split()] for line in done.stdout.splitlines()]
    assert [len(row) for row in rates] == [3] * len(convolutions.SHAPES)
