"""Runs units of work once each: skips finished units, retries failures, sets aside units that keep failing."""

import collections
import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jointseg_jax.errors import InputError, Interrupted, StorageError, Unfinished
from jointseg_jax.jobs.executors import End, Executor, Session, Task, Work, sentence
from jointseg_jax.jobs.interruption import Dropped, Stopping
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.storage import files, locks, retries

_LISTED = 20  # units named in a message


@dataclasses.dataclass(frozen=True)
class Event:
    """A change in the state of a unit.

    Attributes:
        kind: "skipped" (done before), "done", "failed" (will be tried again) or "quarantined".
        unit: its name.
        row: as in the ledger, if the unit is done.
        error: one sentence, if it is not.
        settled: number of units done or set aside so far, including those done before this run.
        total: number of units of this run (of this shard).
    """

    kind: str
    unit: str
    row: dict[str, Any] | None
    error: str
    settled: int
    total: int


@dataclasses.dataclass
class Outcome:
    """The outcome of a run; for a shard, of its units only.

    Attributes:
        done: rows of the units done by this run.
        skipped: rows of the units done before it.
        quarantined: reason by unit set aside.
    """

    done: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    skipped: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    quarantined: dict[str, str] = dataclasses.field(default_factory=dict)

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
                f"{len(self.quarantined)} of {self.settled} units kept failing and were set aside: {'; '.join(named)}"
                + (f"; and {more} more" if more else "")
                + " (running again tries them again)"
            )


def run_units(
    units: Sequence[str],
    work: Work,
    ledger: Ledger,
    executor: Executor,
    *,
    attempts: int = 3,
    on_event: Callable[[Event], None] = lambda event: None,
    say: Callable[[str], None] = print,
    deep: bool = False,
    grace: float = 20.0,
) -> Outcome:
    """Does the units that the ledger does not list as done.

    Units that an earlier run set aside are tried again.

    Args:
        units: all units of the product, for every shard; their order does not matter.
        work: does one unit.
        ledger: of the product.
        executor: runs the units.
        attempts: number of failures after which a unit is set aside. The death of its process counts as a failure.
        on_event: receives the events of every unit.
        say: prints a message.
        deep: compares the SHA-256 of existing files with the ledger, not only their sizes.
        grace: seconds for running units to finish when the run is asked to stop (SIGTERM, Ctrl-C).

    Raises:
        InputError: another run holds the product, or its shards use another number of shards or other units.
        StorageError: storage is full. Finished units stay done.
        Interrupted: asked to stop, or the cluster is gone. The same call continues the run.
        Unfinished: no worker process of a local cluster survives.
    """
    units = sorted(set(units))
    i, n = executor.shard
    with _hold(ledger, executor.shard, units), Stopping(grace) as stopping:
        run = _Run(units[i::n], ledger, attempts, on_event, stopping)
        try:
            run.look(deep)
            if run.queue:
                identity = ledger.identity(create=True) if executor.distant else ""
                with executor.session(Task(work, ledger.folder, ledger.product, identity), say, stopping) as session:
                    run.work_off(session)
        except Dropped:
            raise Interrupted(run.stopped("stopped")) from None
        except OSError as error:
            if not retries.is_full(error):
                raise
            raise StorageError(run.stopped(f"{ledger.product} takes no more ({sentence(error)})")) from error
        return run.outcome


class _Run:
    """The state of a run: its queue, the units being done, failures and outcome."""

    def __init__(
        self,
        units: Sequence[str],
        ledger: Ledger,
        attempts: int,
        on_event: Callable[[Event], None],
        stopping: Stopping,
    ):
        self.queue: collections.deque[str] = collections.deque()
        self.outcome = Outcome()
        self._units, self._ledger, self._attempts, self._on_event = units, ledger, attempts, on_event
        self._stopping = stopping
        self._failures: collections.Counter[str] = collections.Counter()
        self._in_hand: set[str] = set()

    def stopped(self, why: str) -> str:
        """The message of a run that ends early."""
        done = len(self.outcome.done) + len(self.outcome.skipped)
        return f"{why}: {done} of {len(self._units)} units are done and stay done; run the same command again to go on"

    def look(self, deep: bool) -> None:
        """Fills the queue with the units that are not done; units during which a process was killed come last."""
        suspects = []
        for unit in self._units:
            if self._stopping.asked:
                raise Dropped
            row = self._ledger.row(unit)
            if row is not None and self._ledger.check_row(row, deep):
                self.outcome.skipped[unit] = row
                self._tell("skipped", unit, row)
                continue
            if row is not None:
                self._ledger.forget(unit)
            if kills := self._ledger.kills(unit):
                self._failures[unit] = kills
                suspects.append(unit)
            else:
                self.queue.append(unit)
        for unit in suspects:
            if self._failures[unit] < self._attempts:
                self.queue.append(unit)
            else:
                self._set_aside(unit, f"its process was killed {self._failures[unit]} times (out of memory?)")

    def work_off(self, session: Session) -> None:
        """Feeds the session until every unit is done or set aside."""
        while self.queue or self._in_hand:
            if self._stopping.asked:
                if not self._in_hand or self._stopping.late:
                    raise Dropped
            else:
                for _ in range(min(session.room(), len(self.queue))):  # none if room is negative
                    unit = self.queue.popleft()
                    self._in_hand.add(unit)
                    session.submit(unit)
            end = session.next()
            if end is not None:
                self._in_hand.discard(end.unit)
                self._settle(end)

    def _settle(self, end: End) -> None:
        if end.row is not None:
            self.outcome.done[end.unit] = end.row
            self._tell("done", end.unit, end.row)
        elif end.full:
            raise StorageError(self.stopped(f"{self._ledger.product} takes no more ({end.error})"))
        elif end.dropped:
            self.queue.append(end.unit)
        else:
            self._failures[end.unit] += 1
            if self._failures[end.unit] < self._attempts:
                self.queue.append(end.unit)  # last, to give a passing failure time
                self._tell("failed", end.unit, error=end.error)
            else:
                self._set_aside(end.unit, end.error, end.details)

    def _set_aside(self, unit: str, error: str, details: str = "") -> None:
        self._ledger.quarantine(unit, error, details)
        self._ledger.end(unit)  # the next run counts from zero
        self.outcome.quarantined[unit] = error
        self._tell("quarantined", unit, error=error)

    def _tell(self, kind: str, unit: str, row: dict[str, Any] | None = None, error: str = "") -> None:
        self._on_event(Event(kind, unit, row, error, self.outcome.settled, len(self._units)))


@contextlib.contextmanager
def _hold(ledger: Ledger, shard: tuple[int, int], units: Sequence[str]) -> Iterator[None]:
    """Locks other runs out of all units, or out of those of this shard."""
    i, n = shard
    if n == 1:
        with locks.exclusive(ledger.folder, "run"):
            yield
        return
    folder = ledger.folder / "shards"
    with locks.shared(ledger.folder, "run"):
        with locks.exclusive(folder, "run", wait=True):  # only while the plan is read and written
            _agree(folder / "plan.json", {"shards": n, "units": hashlib.sha256("\n".join(units).encode()).hexdigest()})
        with locks.exclusive(folder / f"{i}-of-{n}", "run"):
            yield


def _agree(path: Any, ours: dict[str, Any]) -> None:
    try:
        theirs = dict(files.read_json(path))
    except (FileNotFoundError, TypeError, ValueError):
        theirs = {}
    if theirs.get("shards") not in (None, ours["shards"]):
        raise InputError(
            f"{path} says that this product is made in {theirs['shards']} shards, not {ours['shards']}: run it in "
            f"{theirs['shards']} shards or without shards, or remove that file when no shard is running"
        )
    if theirs.get("units") not in (None, ours["units"]):
        raise InputError(
            f"{path} says that the shards of this product divide other units between them: take another folder, or "
            "remove that file when no shard is running"
        )
    if theirs != ours:
        files.write_json(path, ours)
