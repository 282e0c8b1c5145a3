"""Runs units of work once each: skips finished units, retries failures, sets aside units that keep failing."""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jointseg_jax.errors import Interrupted, StorageError, Unfinished
from jointseg_jax.jobs.executors import End, Executor, Task, Work, sentence
from jointseg_jax.jobs.interruption import Dropped, Stopping
from jointseg_jax.jobs.run_folder import RunFolder
from jointseg_jax.storage import retries

_LISTED = 20  # units named in a message


@dataclasses.dataclass(frozen=True)
class Event:
    """A change in the state of a unit.

    Attributes:
        kind: "skipped" (done before), "done", "failed" (will be tried again) or "quarantined".
        unit: its name.
        value: what `find` or the work returned, if the unit is done.
        error: one sentence, if it is not.
        settled: number of units done or set aside so far, including those done before this run.
        total: number of units of this run (of this shard).
    """

    kind: str
    unit: str
    value: Any
    error: str
    settled: int
    total: int


@dataclasses.dataclass
class Outcome:
    """The outcome of a run; for a shard, of its units only.

    Attributes:
        done: values of the units done by this run.
        skipped: values of the units done before it.
        quarantined: reason by unit set aside.
        noun: what a unit is, for messages.
    """

    done: dict[str, Any] = dataclasses.field(default_factory=dict)
    skipped: dict[str, Any] = dataclasses.field(default_factory=dict)
    quarantined: dict[str, str] = dataclasses.field(default_factory=dict)
    noun: str = "unit"

    @property
    def settled(self) -> int:
        """Number of units that are done or set aside."""
        return len(self.done) + len(self.skipped) + len(self.quarantined)

    def raise_unfinished(self) -> None:
        """Raises `Unfinished` if units were set aside; the message lists them."""
        if self.quarantined:
            named = [f"{unit} ({error.rstrip('.')})" for unit, error in list(self.quarantined.items())[:_LISTED]]
            more = len(self.quarantined) - len(named)
            raise Unfinished(
                f"{len(self.quarantined)} of {self.settled} {self.noun}s kept failing and were set aside: "
                + "; ".join(named)
                + (f"; and {more} more" if more else "")
                + " (running again tries them again)"
            )


def run_units(
    units: Sequence[str],
    work: Work,
    folder: RunFolder,
    executor: Executor,
    *,
    find: Callable[[str], Any] = lambda unit: None,
    attempts: int = 3,
    on_event: Callable[[Event], None] = lambda event: None,
    say: Callable[[str], None] = print,
    grace: float = 20.0,
    noun: str = "unit",
) -> Outcome:
    """Does the units that are not done yet, in the order of their names.

    Units that an earlier run set aside are tried again.

    Args:
        units: all units of the product, for every shard; their order does not matter.
        work: does one unit.
        folder: of the run, inside the product.
        executor: runs the units.
        find: returns what an earlier run or attempt made of a unit, None if it is to be done; called in this process.
        attempts: number of failures after which a unit is set aside. The death of its process counts as a failure.
        on_event: receives the events of every unit.
        say: prints a message.
        grace: seconds for running units to finish when the run is asked to stop (SIGTERM, Ctrl-C).
        noun: what a unit is, for messages: "tile".

    Raises:
        InputError: another run holds the product, or its shards use another number of shards or other units.
        StorageError: storage is full. Finished units stay done.
        Interrupted: asked to stop, or the cluster is gone. The same call continues the run.
        Unfinished: no worker process of a local cluster survives.
    """
    units = sorted(set(units))
    i, n = executor.shard
    with folder.hold(executor.shard, units), Stopping(grace) as stopping:
        run = _Run(units[i::n], folder, find, attempts, on_event, stopping, Outcome(noun=noun))
        try:
            run.look()
            if run.queue:
                identity = folder.identity(create=True) if executor.distant else ""
                with contextlib.closing(
                    executor.ends(Task(work, folder.path, identity), run.take, say, stopping)
                ) as ends:
                    run.work_off(ends)
        except Dropped:
            raise Interrupted(run.stopped("stopped")) from None
        except OSError as error:
            if not retries.is_full(error):
                raise
            raise StorageError(run.full(sentence(error))) from error
        return run.outcome


@dataclasses.dataclass
class _Run:
    """The state of a run: its queue, the running units, failures and outcome."""

    units: Sequence[str]
    folder: RunFolder
    find: Callable[[str], Any]
    attempts: int
    on_event: Callable[[Event], None]
    stopping: Stopping
    outcome: Outcome
    queue: collections.deque[str] = dataclasses.field(default_factory=collections.deque)
    failures: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    running: set[str] = dataclasses.field(default_factory=set)

    def stopped(self, why: str) -> str:
        """The message of a run that ends early."""
        done, noun = len(self.outcome.done) + len(self.outcome.skipped), self.outcome.noun
        return f"{why}: {done} of {len(self.units)} {noun}s are done and stay done; run the same command again to go on"

    def full(self, error: str) -> str:
        """The message of a run that ends because storage is full."""
        return self.stopped(f"{self.folder.path.parent} cannot be written ({error})")

    def look(self) -> None:
        """Fills the queue with the units that are not done; units during which a process was killed come last."""
        suspects = []
        for unit in self.units:
            if self.stopping.asked:
                raise Dropped
            value = self.find(unit)
            if value is not None:
                self._done("skipped", unit, value)
            elif kills := self.folder.kills(unit):
                self.failures[unit] = kills
                suspects.append(unit)
            else:
                self.queue.append(unit)
        for unit in suspects:
            if self.failures[unit] < self.attempts:
                self.queue.append(unit)
            else:
                self._set_aside(unit, f"its process was killed {self.failures[unit]} times (out of memory?)")

    def take(self) -> str | None:
        """The next unit for the executor; None if there is none, or the run is to stop."""
        if not self.queue or self.stopping.asked:
            return None
        self.running.add(unit := self.queue.popleft())
        return unit

    def work_off(self, ends: Iterator[End | None]) -> None:
        """Goes on until every unit is done or set aside."""
        while self.queue or self.running:
            if self.stopping.asked and (not self.running or self.stopping.late):
                raise Dropped
            end = next(ends)
            if end is not None:
                self.running.discard(end.unit)
                self._settle(end)

    def _settle(self, end: End) -> None:
        if end.full:
            raise StorageError(self.full(end.error))
        if not end.error and not end.dropped:
            self._done("done", end.unit, end.value)
        elif (value := self.find(end.unit)) is not None:  # its process died after it had finished the unit
            self._done("done", end.unit, value)
        elif end.dropped:
            self.queue.append(end.unit)
        else:
            self.failures[end.unit] += 1
            if self.failures[end.unit] < self.attempts:
                self.queue.append(end.unit)  # last, to give a passing failure time
                self._tell("failed", end.unit, error=end.error)
            else:
                self._set_aside(end.unit, end.error, end.details)

    def _done(self, kind: str, unit: str, value: Any) -> None:
        (self.outcome.done if kind == "done" else self.outcome.skipped)[unit] = value
        self.folder.take_back(unit)
        self._tell(kind, unit, value)

    def _set_aside(self, unit: str, error: str, details: str = "") -> None:
        self.folder.set_aside(unit, error, details)
        self.outcome.quarantined[unit] = error
        self._tell("quarantined", unit, error=error)

    def _tell(self, kind: str, unit: str, value: Any = None, error: str = "") -> None:
        self.on_event(Event(kind, unit, value, error, self.outcome.settled, len(self.units)))
