"""The folder of a run: locks, units that were being done when a process was killed, units that were set aside."""

import contextlib
import hashlib
import os
import pathlib
import uuid
from collections.abc import Iterator, Sequence

from jointseg_jax.errors import InputError
from jointseg_jax.storage import files, formats, locks


class RunFolder:
    """Keeps what a later run must know of a killed one.

    FOLDER/begun/UNIT            one byte per start of the unit in this process; removed when the attempt ends
          /quarantine/UNIT.json  `error` and `details` of a unit that was set aside
          /shards/plan.json      the number of shards, and a digest of the units that they divide
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Reads and writes nothing yet."""
        self.path = pathlib.Path(path).absolute()

    @contextlib.contextmanager
    def hold(self, shard: tuple[int, int], units: Sequence[str]) -> Iterator[None]:
        """Locks other runs out of all units, or out of those of this shard.

        Raises:
            InputError: another run holds them, or its shards divide the units differently.
        """
        i, n = shard
        if n == 1:
            with locks.exclusive(self.path, "run"):
                yield
            return
        folder = self.path / "shards"
        with locks.shared(self.path, "run"):
            with locks.exclusive(folder, "run", wait=True):  # only while the plan is read and written
                _agree(folder / "plan.json", n, hashlib.sha256("\n".join(units).encode()).hexdigest())
            with locks.exclusive(folder / f"{i}-of-{n}", "run"):
                yield

    def begin(self, unit: str) -> None:
        """Marks a unit as started, to count crashes."""
        path = self._of("begun", unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"x")

    def end(self, unit: str) -> None:
        """Removes the marks of `begin`, after success or failure."""
        self._of("begun", unit).unlink(missing_ok=True)

    def kills(self, unit: str) -> int:
        """How often a process was killed during the unit since its last `end`."""
        try:
            return self._of("begun", unit).stat().st_size
        except FileNotFoundError:
            return 0

    def set_aside(self, unit: str, error: str, details: str = "") -> None:
        """Records why a unit was set aside, and removes its marks: the next run counts from zero."""
        record = {"unit": unit, "error": error, "details": details}
        formats.write_record(self._of("quarantine", f"{unit}.json"), record, formats.LEDGER)
        self.end(unit)

    def take_back(self, unit: str) -> None:
        """Removes the record of `set_aside`: the unit is done."""
        self._of("quarantine", f"{unit}.json").unlink(missing_ok=True)

    def identity(self, create: bool = False) -> str:
        """A random name of this folder, by which processes on other machines check that they see the same disk.

        Args:
            create: makes the name if there is none; for one process at a time.

        Raises:
            FileNotFoundError: the folder has no name.
        """
        path = self.path / ".identity"
        if create and not path.exists():
            files.write_text(path, uuid.uuid4().hex)
        return path.read_text()

    def _of(self, kind: str, name: str) -> pathlib.Path:
        if name.startswith(".") or set(name) & set("/\0"):
            raise ValueError(f"{name!r} cannot name a unit of work: it is no name of a file")
        return self.path / kind / name


def _agree(path: pathlib.Path, shards: int, units: str) -> None:
    try:
        theirs = dict(files.read_json(path))
    except (FileNotFoundError, TypeError, ValueError):
        theirs = {}
    if theirs.get("shards", shards) != shards:
        raise InputError(
            f"{path} says that this product is made in {theirs['shards']} shards, not {shards}: run it in "
            f"{theirs['shards']} shards or without shards, or remove that file when no shard is running"
        )
    if theirs.get("units", units) != units:
        raise InputError(
            f"{path} says that the shards of this product divide other units between them: choose another folder, or "
            "remove that file when no shard is running"
        )
    if not theirs:
        files.write_json(path, {"shards": shards, "units": units})
