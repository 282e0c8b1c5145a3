"""The check flags what became slower, whatever the speed of the machine."""

import sys

import pytest

from benchmarks.check import Command, Work, check, slower
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick


def summing(numbers):
    return Work("sum", lambda: sum(k * k for k in range(numbers)))


def test_more_work_is_flagged_and_the_same_is_not(tmp_path, capsys):
    """Measured, with the real kernel: ten times the work is more than 2.5 times the time."""
    reference = tmp_path / "reference.json"
    how = {"rounds": 3, "aim": 0.02, "most": 2.5}
    with pytest.raises(InputError, match="--write first"):
        check([summing(40_000)], reference, write=False, **how)
    assert check([summing(40_000)], reference, write=True, **how) == 0
    assert check([summing(40_000)], reference, write=False, **how) == 0
    assert check([summing(400_000)], reference, write=False, **how) == 1
    assert "sum takes" in capsys.readouterr().out


def test_a_program_is_timed_by_its_own_cpu_time():
    loop = "sum(k * k for k in range({}))"
    short, long = (Command("c", [sys.executable, "-S", "-c", loop.format(n)]).turn(1).cpu for n in (10, 4_000_000))
    assert long > short + 0.1
    with pytest.raises(RuntimeError, match="ended with 3"):
        Command("c", [sys.executable, "-c", "raise SystemExit(3)"]).turn(1)


def test_one_slow_round_is_no_regression():
    stored = {"a": {"median": 1.0}}
    assert not slower({"a": {"median": 1.2, "q1": 1.0}}, stored, 1.5)
    assert not slower({"a": {"median": 1.6, "q1": 1.4}}, stored, 1.5)
    assert len(slower({"a": {"median": 1.7, "q1": 1.6}}, stored, 1.5)) == 1
    assert "no reference" in slower({"b": {"median": 1.0, "q1": 1.0}}, stored, 1.5)[0]
