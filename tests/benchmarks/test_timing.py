"""Turns are interleaved, counted once, and do not include the warm-up."""

import dataclasses
import time

import pytest

from benchmarks.timing import Failed, Series, Turn, interleave, ratio, spread, timed

pytestmark = pytest.mark.quick


@dataclasses.dataclass
class Clocked:
    """Says that a step takes `seconds` (the first ones more), and keeps what it was asked for."""

    name: str
    seconds: float
    calls: list
    fails_at: int | None = None
    share: float = 1.0
    done: int = 0

    def turn(self, steps):
        if self.fails_at is not None and self.done >= self.fails_at:
            raise Failed("no more")
        slow = 100.0 if self.done == 0 else 1.0
        self.done += 1
        self.calls.append((self.name, steps))
        return Turn(steps, steps * self.seconds * slow, steps * self.seconds * slow / 2)


def test_turns_alternate_and_the_warm_up_does_not_count():
    calls = []
    slow, quick = Clocked("slow", 2.0, calls), Clocked("quick", 0.25, calls)
    found = interleave([slow, quick], 3, aim=1.0, pause=0)
    assert calls[-6:] == [("slow", 1), ("quick", 4)] * 3
    assert [t.steps for t in found["quick"].turns] == [4, 4, 4]
    assert found["slow"].seconds() == [2.0] * 3  # the first call, 100 times slower, is nowhere in it
    assert found["quick"].seconds("cpu") == [0.125] * 3


def test_a_contestant_may_take_shorter_turns():
    calls = []
    interleave([Clocked("probe", 0.25, calls, share=0.5)], 1, aim=1.0, pause=0)
    assert calls[-1] == ("probe", 2)


@pytest.mark.parametrize(("at", "turns"), [(0, 0), (3, 1)])
def test_one_that_fails_leaves_and_the_others_go_on(at, turns):
    calls = []
    found = interleave([Clocked("a", 1.0, calls), Clocked("b", 1.0, calls, fails_at=at)], 3, pause=0)
    assert found["b"].failed == "no more"
    assert (len(found["a"].turns), len(found["b"].turns)) == (3, turns)


def test_one_name_is_not_measured_twice():
    with pytest.raises(ValueError, match="different names"):
        interleave([Clocked("a", 1.0, []), Clocked("a", 1.0, [])], 1)


def test_ratios_compare_the_turns_of_one_round():
    # Both get three times slower in the second round: the ratio of medians would not be 2.
    over, under = Series("o", [Turn(1, 2, 2), Turn(1, 6, 6)]), Series("u", [Turn(2, 2, 2), Turn(2, 6, 6)])
    assert ratio(over, under) == spread([2.0, 2.0])


def test_spread_of_known_values():
    values = [float(x) for x in (5, 1, 4, 2, 3)]
    assert spread(values) == {"median": 3, "q1": 2, "q3": 4, "least": 1, "most": 5, "count": 5}
    assert spread([7.0])["q1"] == 7


def test_cpu_time_is_not_waiting_time():
    turn = timed(1, lambda: time.sleep(0.2))
    assert turn.wall >= 0.2
    assert turn.cpu < 0.1
