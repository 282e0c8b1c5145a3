"""Measurements in turns, A B C A B C ..., so that other load on the machine affects all contestants alike."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

PAUSE = 0.05  # seconds between turns, in which the threads of the last contestant go to sleep


class Failed(Exception):
    """A contestant cannot continue; the message says why. The others continue."""


@dataclasses.dataclass(frozen=True)
class Turn:
    """One turn: its steps, wall-clock seconds, and CPU seconds of all threads of the process."""

    steps: int
    wall: float
    cpu: float


class Contestant(Protocol):
    """A program whose steps are timed. `turn` returns when the device has done all of them."""

    name: str
    share: float  # of the length of a turn that this one takes

    def turn(self, steps: int) -> Turn: ...  # noqa: D102


@dataclasses.dataclass
class Series:
    """The turns of one contestant after its warm-up; `failed` says why it stopped early."""

    name: str
    turns: list[Turn] = dataclasses.field(default_factory=list)
    failed: str | None = None

    def seconds(self, clock: str = "wall") -> list[float]:
        """Seconds per step of each turn, by the clock "wall" or "cpu"."""
        return [getattr(turn, clock) / turn.steps for turn in self.turns]


def timed(steps: int, work: Callable[[], Any]) -> Turn:
    """Times `work`, which does `steps` steps and waits for them."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Turn(steps, wall, cpu)


def interleave(
    contestants: Sequence[Contestant],
    rounds: int,
    *,
    aim: float = 1.0,
    warm_up: int = 2,
    say: Callable[[str], None] = lambda _: None,
    pause: float = PAUSE,
) -> dict[str, Series]:
    """Times all contestants in turns.

    Args:
        contestants: timed in this order in every round; their names differ.
        rounds: turns of each.
        aim: seconds a turn should last; a turn is at least one step.
        warm_up: steps before the first turn, not counted; the last of them sets the steps of a turn.
        say: receives a line per round.
        pause: seconds between turns.
    """
    names = [c.name for c in contestants]
    if len(set(names)) != len(names):
        raise ValueError(f"contestants must have different names, but these are {names}")
    found = {name: Series(name) for name in names}
    steps: dict[str, int] = {}
    for contestant in contestants:
        try:
            for _ in range(max(1, warm_up)):
                last = contestant.turn(1)
            steps[contestant.name] = _steps(aim * contestant.share, last)
            # A whole turn as warm-up too, because the first few of quick steps are slower than the rest.
            if warm_up and steps[contestant.name] > 1:
                last = contestant.turn(steps[contestant.name])
                steps[contestant.name] = _steps(aim * contestant.share, last)
        except Failed as error:
            found[contestant.name].failed = str(error)
    for number in range(rounds):
        for contestant in contestants:
            series = found[contestant.name]
            if series.failed is not None:
                continue
            time.sleep(pause)
            try:
                series.turns.append(contestant.turn(steps[contestant.name]))
            except Failed as error:
                series.failed = str(error)
        say(f"round {number + 1} of {rounds}")
    return found


def _steps(aim: float, last: Turn) -> int:
    return max(1, math.ceil(aim * last.steps / max(last.wall, 1e-6)))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, quartiles, minimum and maximum."""
    ordered = sorted(values)
    if len(ordered) > 1:
        first, middle, third = statistics.quantiles(ordered, n=4, method="inclusive")
    else:
        first = middle = third = ordered[0]
    return {"median": middle, "q1": first, "q3": third, "least": ordered[0], "most": ordered[-1], "count": len(ordered)}


def ratio(over: Series, under: Series, clock: str = "wall") -> dict[str, float]:
    """The ratio of two contestants' seconds per step, round by round, over the rounds that both ran."""
    return spread([a / b for a, b in zip(over.seconds(clock), under.seconds(clock), strict=False)])
