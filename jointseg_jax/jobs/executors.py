"""Who does the units of work: this process, one of n shards of it; a cluster of processes is in `cluster.py`.

An executor takes units in and gives ends out, one after another. What is to be done, how often, and what is done with
the ends is the business of `units.run_units`, which is the same for all of them.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from jointseg_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Result:
    """What a piece of work came to.

    Attributes:
        row: for the ledger; whatever JSON can hold.
        files: by name; renamed into place inside the product.
    """

    row: dict[str, Any]
    files: Mapping[str, pathlib.Path]


class Work(Protocol):
    """Does one unit: renames its files into place, whole, then returns.

    It is pickled once per run and unpickled once per worker process, so what it builds lazily and keeps in itself (a
    network) is built once per process; such state must not be pickled along. The same unit may be done more than once,
    and by two processes at a time where one was given up for lost.
    """

    def __call__(self, unit: str) -> Result:
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
        full: the disk took no more.
        died: the process that had it in hand is gone.
        dropped: it was given back, through no fault of its own.
    """

    unit: str
    row: dict[str, Any] | None = None
    error: str = ""
    details: str = ""
    full: bool = False
    died: bool = False
    dropped: bool = False


Task = Callable[[str], End]
"""One attempt at a unit, with its row; picklable; raises nothing that the work raises."""


class Session(Protocol):
    """An executor at work."""

    def submit(self, unit: str) -> None:
        """Takes a unit in."""
        ...

    def next(self) -> End:
        """Waits for the end of one of the units taken in."""
        ...


class Executor(Protocol):
    """A way of getting units done.

    Attributes:
        shard: (i, n) where it does every n-th unit only, from the i-th on.
    """

    @property
    def shard(self) -> tuple[int, int]:
        """Which units are its own."""
        ...

    def session(self, task: Task, say: Callable[[str], None]) -> contextlib.AbstractContextManager[tuple[Session, int]]:
        """Starts; yields itself at work, and how many units it wants to hold at a time."""
        ...


class Serial:
    """One unit after another in this process; with a shard, every n-th unit only.

    `Serial(shard=(2, 16))` is one of 16 processes, on any machines, that share a product's units between them.
    """

    def __init__(self, shard: tuple[int, int] = (0, 1)):
        """Does nothing yet.

        Args:
            shard: (i, n), 0 <= i < n.
        """
        i, n = shard
        if not 0 <= i < n:
            raise InputError(f"shard {i}/{n} is none of 0/{n} to {n - 1}/{n}")
        self.shard = (i, n)

    @contextlib.contextmanager
    def session(self, task: Task, say: Callable[[str], None]) -> Iterator[tuple[Session, int]]:
        """Yields a session that holds one unit."""
        yield _SerialSession(task), 1


class _SerialSession:
    def __init__(self, task: Task):
        self._task, self._units = task, list[str]()

    def submit(self, unit: str) -> None:
        self._units.append(unit)

    def next(self) -> End:
        return self._task(self._units.pop(0))


def parse_shard(text: str) -> tuple[int, int]:
    """(2, 16) for "2/16".

    Raises:
        InputError: it is none.
    """
    parts = text.split("/")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"shard {text!r} is not i/n, such as 0/16 to 15/16")
    return int(parts[0]), int(parts[1])
