"""The ledger of finished units: one small file per unit, which any number of processes may write without a lock."""

import contextlib
import json
import os
import pathlib
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from jointseg_jax.storage import files as whole
from jointseg_jax.storage import formats, retries

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_IDENTITY = ".identity"
_OWN_KEYS = ("unit", "files", "format", "checksum")


class Ledger:
    """Records which units of a product are done and which were set aside.

    A unit is done when its files have been renamed into place and its row, `FOLDER/UNIT.json`, exists. A row holds the
    caller's values and

    - `unit`: its name;
    - `files`: per file `path` (relative to the product, with `/`), `sha256` and `bytes`;
    - `format` and `checksum`: see `formats`.

    Rows are written atomically, one per unit, so writers on several machines need no lock. Rows that are torn, edited,
    or copied from another unit are invalid.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        product: str | os.PathLike[str] | None = None,
        *,
        say: Callable[[str], None] = print,
    ):
        """Reads and writes nothing yet.

        Args:
            folder: of the rows; made at the first write.
            product: folder to which paths of files are relative; by default the parent of `folder`.
            say: prints a message.
        """
        self.folder = _resolved(folder)
        self.product = self.folder.parent if product is None else pathlib.Path(product).resolve()
        self._say = say

    def done(self) -> dict[str, dict[str, Any]]:
        """The valid rows by unit, sorted; reports invalid ones. Files are not checked: see `check`."""
        return self._rows(self.folder)

    def row(self, unit: str) -> dict[str, Any] | None:
        """The row of one unit; None if there is no valid one."""
        return self._read(self._path(unit))

    def add(self, unit: str, row: Mapping[str, Any], files: Mapping[str, str | os.PathLike[str]]) -> dict[str, Any]:
        """Writes the row of a unit whose files are in place, and removes its quarantine record.

        Args:
            unit: name.
            row: JSON values; numbers must be finite.
            files: by name; inside the product.

        Returns:
            The row as written.

        Raises:
            ValueError: a file lies outside the product, or the row uses a reserved key.
            FileNotFoundError: a file is missing.
        """
        path = self._path(unit)
        taken = [key for key in _OWN_KEYS if key in row]
        if taken:
            raise ValueError(f"the row of {unit} has {', '.join(taken)}, which the ledger writes itself")
        places = {name: _resolved(file) for name, file in files.items()}
        while True:
            before = _stamps(places)
            complete = {
                "unit": unit,
                **row,
                "files": {
                    name: {
                        "path": place.relative_to(self.product).as_posix(),
                        "sha256": whole.sha256(place),
                        "bytes": place.stat().st_size,
                    }
                    for name, place in places.items()
                },
            }
            complete = json.loads(json.dumps(complete, allow_nan=False))  # as a reader sees it: lists for tuples
            complete = formats.seal(complete, formats.LEDGER)
            whole.write_json(path, complete)
            # Another writer of this unit may have replaced the files meanwhile: the row must describe the last files.
            if _stamps(places) == before:
                break
        with contextlib.suppress(FileNotFoundError):
            self._quarantine_path(unit).unlink()
        return complete

    def check(self, unit: str, deep: bool = False) -> bool:
        """Whether a unit is done and its files have the sizes in its row; reports the first fault.

        Args:
            unit: name.
            deep: also compares their SHA-256.
        """
        row = self.row(unit)
        return row is not None and self.check_row(row, deep)

    def check_row(self, row: Mapping[str, Any], deep: bool = False) -> bool:
        """Checks a row that is already read; see `check`."""
        for file in row["files"].values():
            amiss = self._amiss(self.product / file["path"], file, deep)
            if amiss:
                self._say(f"{amiss}: unit {row['unit']} does not count as done")
                return False
        return True

    def quarantine(self, unit: str, error: str, details: str = "") -> None:
        """Sets a unit aside in `FOLDER/quarantine/UNIT.json`; `add` removes the record.

        Args:
            unit: name.
            error: one sentence.
            details: a traceback.
        """
        record = {"unit": unit, "error": error, "details": details}
        formats.write_record(self._quarantine_path(unit), record, formats.LEDGER)

    def quarantined(self) -> dict[str, dict[str, Any]]:
        """The records of quarantined units, by unit, sorted: `error` and `details`."""
        return self._rows(self.folder / "quarantine", files=False)

    def forget(self, unit: str) -> None:
        """Removes the row of a unit that is to be done again."""
        self._path(unit).unlink(missing_ok=True)

    def begin(self, unit: str) -> None:
        """Marks a unit as started, to count crashes."""
        path = self._begun_path(unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"x")

    def end(self, unit: str) -> None:
        """Removes the marks of `begin`, after success or failure."""
        self._begun_path(unit).unlink(missing_ok=True)

    def kills(self, unit: str) -> int:
        """How often a process was killed during the unit since its last `end`."""
        try:
            return self._begun_path(unit).stat().st_size
        except FileNotFoundError:
            return 0

    def identity(self, create: bool = False) -> str:
        """A random name of this folder, by which processes on other machines check that they see the same disk.

        Args:
            create: makes the name if there is none; for one process at a time.

        Raises:
            FileNotFoundError: the folder has no name.
        """
        path = self.folder / _IDENTITY
        if create and not path.exists():
            whole.write_text(path, uuid.uuid4().hex)
        return path.read_text()

    def _amiss(self, path: pathlib.Path, file: Mapping[str, Any], deep: bool) -> str:
        try:
            size = path.stat().st_size
            if size != file["bytes"]:
                return f"{path} has {size} bytes where its row says {file['bytes']}"
            if deep and whole.sha256(path) != file["sha256"]:
                return f"{path} is not what its row says (SHA-256)"
        except FileNotFoundError:
            return f"{path} is gone"
        except OSError as error:
            if error.errno in retries.PASSING:
                raise
            return f"{path} cannot be read ({error.strerror})"
        return ""

    def _path(self, unit: str) -> pathlib.Path:
        if not _NAME.fullmatch(unit):
            raise ValueError(f"{unit!r} cannot name a unit of work: letters, digits and ._+- make its file's name")
        return self.folder / f"{unit}.json"

    def _quarantine_path(self, unit: str) -> pathlib.Path:
        return self.folder / "quarantine" / self._path(unit).name

    def _begun_path(self, unit: str) -> pathlib.Path:
        return self.folder / "begun" / self._path(unit).stem

    def _rows(self, folder: pathlib.Path, files: bool = True) -> dict[str, dict[str, Any]]:
        try:
            paths = sorted(retries.call(lambda: list(folder.iterdir())))
        except FileNotFoundError:
            return {}
        found = {}
        for path in paths:
            if path.suffix == ".json" and _NAME.fullmatch(path.stem):  # skips files that killed writers left
                row = self._read(path, files)
                if row is not None:
                    found[row["unit"]] = row
        return found

    def _read(self, path: pathlib.Path, files: bool = True) -> dict[str, Any] | None:
        try:
            row = retries.call(lambda: whole.read_json(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in retries.PASSING:
                raise
            self._say(f"{path} cannot be read ({error.strerror}): it does not count")
            return None
        except (ValueError, RecursionError):  # JSON or UTF-8
            row = None
        try:
            formats.unseal(row, formats.LEDGER, path)
            if "checksum" not in row:
                raise formats.damaged(path, formats.LEDGER, "it has no checksum")
        except formats.Damaged:
            self._say(f"{path} is torn or was edited (its checksum does not fit): it does not count")
            return None
        if row.get("unit") != path.name.removesuffix(".json"):
            self._say(f"{path} is the row of unit {row.get('unit')}: it does not count")
            return None
        if files and not isinstance(row.get("files"), dict):
            self._say(f"{path} lists no files: it does not count")
            return None
        return row


def _resolved(path: str | os.PathLike[str]) -> pathlib.Path:
    """Resolves symbolic links in all but the last part of a path."""
    path = pathlib.Path(path).absolute()
    return path.parent.resolve() / path.name


def _stamps(places: Mapping[str, pathlib.Path]) -> list[tuple[int, int, int]]:
    """Inode, size and modification time of each file, which change when a file is replaced."""
    found = [place.stat() for place in places.values()]
    return [(s.st_ino, s.st_size, s.st_mtime_ns) for s in found]
