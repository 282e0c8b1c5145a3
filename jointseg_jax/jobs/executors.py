"""Executors of units of work: the interface, and `Serial` for this process or one shard; `cluster.py` has Dask.

An executor takes units and yields how they ended. `units.run_units` selects the units, retries them and handles the
results, in the same way for all executors.
"""

import dataclasses
import os
import pathlib
import traceback
from collections.abc import Callable, Generator
from typing import Any, Protocol

from jointseg_jax.errors import InputError, RunEnded
from jointseg_jax.jobs.interruption import Stopping
from jointseg_jax.jobs.run_folder import RunFolder
from jointseg_jax.storage import retries

_SEEN_WITHIN = 90.0  # seconds until other machines see a new file, including caches of network disks

# Does one unit: renames its whole files into place and returns a value of any type that can be pickled. The function is
# pickled once per run and unpickled once per worker process; state that it builds lazily (a network) must not be
# pickled. A unit may be done more than once, and by two processes at a time if one was given up as lost; both must
# write the same bits.
Work = Callable[[str], Any]


@dataclasses.dataclass(frozen=True)
class End:
    """How one attempt at a unit ended.

    Attributes:
        unit: its name.
        value: what the work returned, if the unit is done.
        error: one sentence, if it failed.
        details: a traceback.
        full: storage is full.
        dropped: the unit was not at fault and is to be done again.
    """

    unit: str
    value: Any = None
    error: str = ""
    details: str = ""
    full: bool = False
    dropped: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
    """Does units in any process and catches their errors; picklable if its work is.

    Attributes:
        work: does one unit.
        folder: of the run.
        identity: of that folder, if the process may be on another machine; otherwise empty.
    """

    work: Work
    folder: pathlib.Path
    identity: str = ""

    def __call__(self, unit: str) -> End:
        """Does the unit; the returned `End` holds any error."""
        try:
            if self.identity:
                self._check_disk()
            return End(unit, self.work(unit))
        except (Exception, SystemExit) as error:
            return failure(unit, error)

    def _check_disk(self) -> None:
        try:
            found = retries.call(
                RunFolder(self.folder).identity,
                errors=FileNotFoundError,
                patience=lambda error: _SEEN_WITHIN,
                first=0.5,
            )
        except FileNotFoundError:
            found = ""
        if found != self.identity:
            raise InputError(
                f"{self.folder} on {os.uname().nodename} is not the folder that this run writes: give all workers the "
                "same file system under the same path"
            )


def failure(unit: str, error: BaseException) -> End:
    """The end of an attempt that raised an error; for use in its `except` block."""
    return End(unit, error=sentence(error), details=traceback.format_exc(), full=retries.is_full(error))


def sentence(error: BaseException) -> str:
    """An error in one line; the name of its type precedes messages that were not written for users."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError | RunEnded) else f"{type(error).__name__}: {text}".rstrip(": ")


class Executor(Protocol):
    """Runs units of work."""

    @property
    def shard(self) -> tuple[int, int]:
        """(i, n): it does only every n-th unit, from the i-th on; (0, 1) does all."""
        ...

    @property
    def distant(self) -> bool:
        """Whether its processes may be on other machines."""
        ...

    def ends(
        self, task: Task, take: Callable[[], str | None], say: Callable[[str], None], stopping: Stopping
    ) -> Generator[End | None]:
        """Does units until it is closed, which drops those that still run.

        Args:
            task: does a unit.
            take: the next unit; None if there is none now.
            say: prints a message.
            stopping: of the run.

        Yields:
            The end of an attempt; None if none ended within a moment.
        """
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

    def ends(
        self, task: Task, take: Callable[[], str | None], say: Callable[[str], None], stopping: Stopping
    ) -> Generator[End | None]:
        """Does one unit after another; one that outlasts the grace of `stopping` is dropped by an exception."""
        folder = RunFolder(task.folder)
        while True:
            unit = take()
            if unit is None:
                yield None
                continue
            try:
                folder.begin(unit)  # stays if the process is killed
                with stopping.droppable():
                    end = task(unit)
            except OSError as error:  # of `begin`
                end = failure(unit, error)
            finally:
                folder.end(unit)
            yield end


def parse_shard(text: str) -> tuple[int, int]:
    """Parses a shard: (2, 16) for "2/16".

    Raises:
        InputError: the text is not i/n.
    """
    parts = text.split("/")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"shard {text!r} is not i/n, such as 0/16 to 15/16")
    return int(parts[0]), int(parts[1])
