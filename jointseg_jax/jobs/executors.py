"""Who does the units of work: this process, one of n shards of it; a cluster of processes is in `cluster.py`.

An executor takes units in and gives ends out, one after another. What is to be done, how often, and what is done with
the ends is the business of `units.run_units`, which is the same for all of them.
"""

import contextlib
import dataclasses
import os
import pathlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from jointseg_jax.errors import InputError, RunEnded
from jointseg_jax.jobs.interruption import Stopping
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.storage import retries

_SEEN_WITHIN = 90.0  # seconds in which what one machine wrote is seen by the others, caches of network disks included


@dataclasses.dataclass(frozen=True)
class Result:
    """What a piece of work came to.

    Attributes:
        row: for the ledger; whatever JSON can hold.
        files: by name; renamed into place inside the product.
    """

    row: dict[str, Any]
    files: Mapping[str, str | os.PathLike[str]]


class Work(Protocol):
    """Does one unit: renames its files into place, whole, then returns.

    It is pickled once per run and unpickled once per worker process, so what it builds lazily and keeps in itself (a
    network) is built once per process; such state must not be pickled along. The same unit may be done more than once,
    and by two processes at a time where one was given up for lost: then both must write the same bits.
    """

    def __call__(self, unit: str, /) -> Result:
        """Does `unit`."""
        ...


@dataclasses.dataclass(frozen=True)
class End:
    """How one attempt at a unit ended.

    Attributes:
        unit: its name.
        row: as the ledger has it, when it was done.
        error: one sentence, when it was not.
        details: a traceback.
        full: storage takes no more.
        dropped: it was given back through no fault of its own, to be done again.
    """

    unit: str
    row: dict[str, Any] | None = None
    error: str = ""
    details: str = ""
    full: bool = False
    dropped: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
    """One attempt at a unit, up to its row in the ledger, in whatever process; picklable if its work is.

    Attributes:
        work: does a unit.
        folder: of the ledger.
        product: what paths in the ledger are relative to.
        identity: of the ledger's folder, where the process may be on another machine.
    """

    work: Work
    folder: pathlib.Path
    product: pathlib.Path
    identity: str = ""

    @property
    def ledger(self) -> Ledger:
        """The ledger; it says nothing, because whoever runs the units has said it."""
        return Ledger(self.folder, self.product, say=lambda sentence: None)

    def __call__(self, unit: str) -> End:
        """Does the unit, unless its row is there already; what goes wrong is in the answer."""
        try:
            if self.identity:
                self._same_disk()
            ledger = self.ledger
            row = ledger.row(unit)  # of an attempt whose answer was lost on the way
            if row is None or not ledger.check_row(row):
                result = self.work(unit)
                row = ledger.add(unit, result.row, result.files)
            return End(unit, row)
        except (Exception, SystemExit) as error:
            return End(unit, error=sentence(error), details=traceback.format_exc(), full=retries.is_full(error))

    def _same_disk(self) -> None:
        try:
            found = retries.call(
                lambda: self.ledger.identity(), errors=FileNotFoundError, patience=lambda error: _SEEN_WITHIN, first=0.5
            )
        except FileNotFoundError:
            found = ""
        if found != self.identity:
            raise InputError(
                f"{self.folder} on {os.uname().nodename} is not the folder that this run writes: give all workers the "
                "same file system under the same path"
            )


def sentence(error: BaseException) -> str:
    """An error in one line: what is meant for the user's eyes as it is, others with their kind before them."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError | RunEnded) else f"{type(error).__name__}: {text}".rstrip(": ")


class Session(Protocol):
    """An executor at work."""

    def room(self) -> int:
        """How many units it would take in now."""
        ...

    def submit(self, unit: str) -> None:
        """Takes a unit in."""
        ...

    def next(self) -> End | None:
        """The end of one of the units taken in; None when a moment went by without one."""
        ...


class Executor(Protocol):
    """A way of getting units done.

    Attributes:
        shard: (i, n): it does every n-th unit only, from the i-th on. (0, 1) does all.
        distant: whether its processes may be on other machines.
    """

    @property
    def shard(self) -> tuple[int, int]:
        """Which units are its own."""
        ...

    @property
    def distant(self) -> bool:
        """Whether its processes may be on other machines."""
        ...

    def session(
        self, task: Task, say: Callable[[str], None], stopping: Stopping
    ) -> contextlib.AbstractContextManager[Session]:
        """Gets to work; what is in hand when the block ends is dropped."""
        ...


class Serial:
    """One unit after another in this process; with a shard, every n-th unit only.

    `Serial(shard=(2, 16))` is one of 16 processes, on any machines, that divide a product's units between them.
    """

    distant = False

    def __init__(self, shard: tuple[int, int] = (0, 1)):
        """Does nothing yet.

        Args:
            shard: (i, n), 0 <= i < n.
        """
        i, n = shard
        if not 0 <= i < n:
            raise InputError(f"shard {i}/{n} does not exist: give i/n with i from 0 to n - 1")
        self.shard = (i, n)

    @contextlib.contextmanager
    def session(self, task: Task, say: Callable[[str], None], stopping: Stopping) -> Iterator[Session]:
        """Yields a session that holds one unit."""
        yield _InThisProcess(task, stopping)


class _InThisProcess:
    def __init__(self, task: Task, stopping: Stopping):
        self._task, self._stopping, self._unit = task, stopping, ""

    def room(self) -> int:
        return 0 if self._unit else 1

    def submit(self, unit: str) -> None:
        self._unit = unit

    def next(self) -> End | None:
        unit, self._unit = self._unit, ""
        ledger = self._task.ledger
        try:
            ledger.begin(unit)  # stays if the process is killed
        except OSError as error:
            return End(unit, error=sentence(error), details=traceback.format_exc(), full=retries.is_full(error))
        try:
            with self._stopping.droppable():
                return self._task(unit)
        finally:
            ledger.end(unit)


def parse_shard(text: str) -> tuple[int, int]:
    """(2, 16) for "2/16".

    Raises:
        InputError: it is none.
    """
    parts = text.split("/")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"shard {text!r} is not i/n, such as 0/16 to 15/16")
    return int(parts[0]), int(parts[1])
