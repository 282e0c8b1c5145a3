"""The check flags what became slower, whatever the speed of the machine."""

import sys
import time

import pytest

from benchmarks.check import KERNEL, Command, Work, check, measure, slower
from benchmarks.timing import Turn
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick


class Metered:
    """A contestant whose steps take a known CPU time: the verdict does not depend on the load of the machine."""

    def __init__(self, name, cpu):
        self.name, self.cpu, self.share = name, cpu, 1.0

    def turn(self, steps):
        return Turn(steps, steps * self.cpu, steps * self.cpu)


def test_more_work_is_flagged_and_the_same_is_not(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.check.calibration", lambda: Metered(KERNEL, 0.004))
    reference = tmp_path / "reference.json"
    how = {"rounds": 3, "aim": 0.02, "most": 2.5}
    with pytest.raises(InputError, match="--write first"):
        check([Metered("sum", 0.001)], reference, write=False, **how)
    assert check([Metered("sum", 0.001)], reference, write=True, **how) == 0
    assert check([Metered("sum", 0.002)], reference, write=False, **how) == 0
    assert check([Metered("sum", 0.003)], reference, write=False, **how) == 1
    assert "sum takes 3.00 times its reference" in capsys.readouterr().out


def test_work_in_this_process_is_timed_by_its_cpu_time_beside_the_real_kernel():
    """Measured: a hundred times the work costs more than twice the time, and waiting costs little."""
    work = [Work("short", lambda: sum(range(20_000))), Work("long", lambda: sum(range(2_000_000)))]
    found = measure(work, 3, 0.02, lambda line: None)
    assert found["long"]["median"] > 2 * found["short"]["median"]
    assert Work("wait", lambda: time.sleep(0.2)).turn(1).cpu < 0.1


def test_a_program_is_timed_by_its_own_cpu_time():
    loop = "sum(k * k for k in range({}))"
    short, long = (Command("c", [sys.executable, "-S", "-c", loop.format(n)]).turn(1).cpu for n in (10, 20_000_000))
    assert long > short + 0.1
    with pytest.raises(RuntimeError, match="ended with 3"):
        Command("c", [sys.executable, "-c", "raise SystemExit(3)"]).turn(1)


def test_one_slow_round_is_no_regression():
    stored = {"a": {"median": 1.0}}
    assert not slower({"a": {"median": 1.2, "q1": 1.0}}, stored, 1.5)
    assert not slower({"a": {"median": 1.6, "q1": 1.4}}, stored, 1.5)
    assert len(slower({"a": {"median": 1.7, "q1": 1.6}}, stored, 1.5)) == 1
    assert "no reference" in slower({"b": {"median": 1.0, "q1": 1.0}}, stored, 1.5)[0]
