"""Executors of units of work: the interface, and `Serial` for this process or one shard; `cluster.py` has Dask.

An executor accepts units and yields their results. `units.run_units` selects the units, retries them and handles the
results, in the same way for all executors.
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

_SEEN_WITHIN = 90.0  # seconds until other machines see a new file, including caches of network disks


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one unit.

    Attributes:
        row: for the ledger; JSON values.
        files: by name; already renamed into place inside the product.
    """

    row: dict[str, Any]
    files: Mapping[str, str | os.PathLike[str]]


class Work(Protocol):
    """Does one unit: renames its whole files into place, then returns.

    It is pickled once per run and unpickled once per worker process. State that it builds lazily (a network) is built
    once per process and must not be pickled. A unit may be done more than once, and by two processes at a time if one
    was given up as lost; both must write the same bits.
    """

    def __call__(self, unit: str, /) -> Result:
        """Does `unit`."""
        ...


@dataclasses.dataclass(frozen=True)
class End:
    """How one attempt at a unit ended.

    Attributes:
        unit: its name.
        row: as in the ledger, if the unit is done.
        error: one sentence, if it failed.
        details: a traceback.
        full: storage is full.
        dropped: the unit was not at fault and is to be done again.
    """

    unit: str
    row: dict[str, Any] | None = None
    error: str = ""
    details: str = ""
    full: bool = False
    dropped: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
    """Does units and writes their rows to the ledger, in any process; picklable if its work is.

    Attributes:
        work: does one unit.
        folder: of the ledger.
        product: folder to which paths in the ledger are relative.
        identity: of the ledger's folder, if the process may be on another machine; otherwise empty.
    """

    work: Work
    folder: pathlib.Path
    product: pathlib.Path
    identity: str = ""

    @property
    def ledger(self) -> Ledger:
        """The ledger; it prints nothing, because `run_units` has already reported faulty rows."""
        return Ledger(self.folder, self.product, say=lambda sentence: None)

    def __call__(self, unit: str) -> End:
        """Does the unit unless it is already done; the returned `End` holds any error."""
        try:
            if self.identity:
                self._same_disk()
            ledger = self.ledger
            row = ledger.row(unit)  # of an earlier attempt whose result was lost
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
    """An error in one line; the name of its type precedes messages that were not written for users."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError | RunEnded) else f"{type(error).__name__}: {text}".rstrip(": ")


class Session(Protocol):
    """A running executor."""

    def room(self) -> int:
        """The number of units that it can accept now."""
        ...

    def submit(self, unit: str) -> None:
        """Accepts a unit."""
        ...

    def next(self) -> End | None:
        """The end of an accepted unit; None if none ended within a moment."""
        ...


class Executor(Protocol):
    """Runs units of work.

    Attributes:
        shard: (i, n): it does only every n-th unit, from the i-th on. (0, 1) does all.
        distant: whether its processes may be on other machines.
    """

    @property
    def shard(self) -> tuple[int, int]:
        """The shard (i, n) of units that it does."""
        ...

    @property
    def distant(self) -> bool:
        """Whether its processes may be on other machines."""
        ...

    def session(
        self, task: Task, say: Callable[[str], None], stopping: Stopping
    ) -> contextlib.AbstractContextManager[Session]:
        """Starts the executor; units still running when the block ends are dropped."""
        ...


class Serial:
    """Does one unit after another in this process; with a shard, only every n-th unit.

    `Serial(shard=(2, 16))` is one of 16 processes, on any machines, that share a product's units.
    """

    distant = False

    def __init__(self, shard: tuple[int, int] = (0, 1)):
        """Starts nothing yet.

        Args:
            shard: (i, n), 0 <= i < n.

        Raises:
            InputError: the shard is out of range.
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
    """Parses a shard: (2, 16) for "2/16".

    Raises:
        InputError: the text is not i/n.
    """
    parts = text.split("/")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"shard {text!r} is not i/n, such as 0/16 to 15/16")
    return int(parts[0]), int(parts[1])
