"""Measurements in turns, A B C A B C ..., so that whatever else the machine does falls on all alike."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

PAUSE = 0.05  # seconds between turns, in which the threads of the last one go to sleep


class Failed(Exception):
    """A contestant cannot go on; the message says why, and the others go on without it."""


@dataclasses.dataclass(frozen=True)
class Turn:
    """One turn: so many steps, in wall-clock seconds and in CPU seconds of all threads of their process."""

    steps: int
    wall: float
    cpu: float


class Contestant(Protocol):
    """Something whose steps are timed. `turn` returns when the device has done all of them."""

    name: str
    share: float  # of the length of a turn that this one takes

    def turn(self, steps: int) -> Turn: ...  # noqa: D102


@dataclasses.dataclass
class Series:
    """The turns of one contestant, after its warm-up; `failed` says why there are no more."""

    name: str
    turns: list[Turn] = dataclasses.field(default_factory=list)
    failed: str | None = None

    def seconds(self, clock: str = "wall") -> list[float]:
        """Seconds per step of each turn, by the clock "wall" or "cpu"."""
        return [getattr(turn, clock) / turn.steps for turn in self.turns]


def timed(steps: int, work: Callable[[], Any]) -> Turn:
    """Times `work`, which does so many steps and waits for them."""
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
        contestants: what is timed, in this order in every round; each has a name of its own.
        rounds: turns of each.
        aim: seconds a turn should last; a turn is at least one step.
        warm_up: steps before the first turn, not counted; the last of them says how many make a turn.
        say: told of each round.
        pause: seconds between turns.
    """
    names = [c.name for c in contestants]
    if len(set(names)) != len(names):
        raise ValueError(f"contestants must have names of their own, these are {names}")
    found = {name: Series(name) for name in names}
    steps: dict[str, int] = {}
    for contestant in contestants:
        try:
            for _ in range(max(1, warm_up)):
                last = contestant.turn(1)
            steps[contestant.name] = _steps(aim * contestant.share, last)
            # Once more as a whole turn: of quick steps the first few are slower than the rest.
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
    """Median, quartiles, least and most."""
    ordered = sorted(values)
    if len(ordered) > 1:
        first, middle, third = statistics.quantiles(ordered, n=4, method="inclusive")
    else:
        first = middle = third = ordered[0]
    return {"median": middle, "q1": first, "q3": third, "least": ordered[0], "most": ordered[-1], "count": len(ordered)}


def ratio(over: Series, under: Series, clock: str = "wall") -> dict[str, float]:
    """Of two contestants' seconds per step, round by round; both were there in all rounds that count."""
    return spread([a / b for a, b in zip(over.seconds(clock), under.seconds(clock), strict=False)])
