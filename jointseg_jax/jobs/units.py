"""Units of work, done once each: done ones are skipped, failures tried again, what keeps failing is set aside."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from jointseg_jax.jobs.executors import Executor, Work
from jointseg_jax.jobs.ledger import Ledger


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: "skipped" (done before), "done", "failed" (will be tried again) or "quarantined".
        unit: its name.
        row: as the ledger has it, when it is done.
        error: one sentence, when it is not.
        settled: units done or set aside so far, those done before included.
        total: units of this run (of this shard).
    """

    kind: str
    unit: str
    row: dict[str, Any] | None
    error: str
    settled: int
    total: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        done: rows of the units done by this run.
        skipped: rows of the units done before it.
        quarantined: by unit, why it was set aside.
    """

    done: dict[str, dict[str, Any]]
    skipped: dict[str, dict[str, Any]]
    quarantined: dict[str, str]

    def insist(self) -> None:
        """Raises `Unfinished`, with the list, where units were set aside."""


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
    """Does the units that the ledger does not hold yet.

    Args:
        units: all units of the product, whatever the shard.
        work: does one.
        ledger: of the product.
        executor: who does them.
        attempts: after so many failures a unit is set aside.
        on_event: is told of every unit.
        say: takes a sentence for people.
        deep: compares the SHA-256 of what is there with the ledger, not only sizes.
        grace: seconds that a unit in hand is given to end when the run is asked to stop (SIGTERM, Ctrl-C).

    Raises:
        InputError: another run has the product, or has it in another number of shards or with other units.
        StorageError: the disk is full. What is done stays done.
        Interrupted: asked to stop, or the cluster is gone. The same call goes on.
    """
    raise NotImplementedError
