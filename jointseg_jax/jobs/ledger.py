"""The ledger of finished units: one small file per unit, which any number of processes may write without a lock."""

import json
import os
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from jointseg_jax.storage import files as whole
from jointseg_jax.storage import formats, retries

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_OWN_KEYS = ("unit", "files", "format", "checksum")


class Ledger:
    """Records which units of a product are done.

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
        """The valid rows by unit, sorted; reports invalid ones. Files are not checked: see `find`."""
        try:
            paths = sorted(retries.call(lambda: list(self.folder.iterdir())))
        except FileNotFoundError:
            return {}
        # Other files are locks, records of the run, and what killed writers left.
        rows = [self._read(path) for path in paths if path.suffix == ".json" and _NAME.fullmatch(path.stem)]
        return {row["unit"]: row for row in rows if row is not None}

    def row(self, unit: str) -> dict[str, Any] | None:
        """The row of one unit; None if there is no valid one."""
        return self._read(self._path(unit))

    def add(self, unit: str, row: Mapping[str, Any], files: Mapping[str, str | os.PathLike[str]]) -> dict[str, Any]:
        """Writes the row of a unit whose files are in place.

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
        return complete

    def find(self, unit: str, deep: bool = False) -> dict[str, Any] | None:
        """The row of a unit if its files have the sizes in the row; otherwise None.

        A row whose files do not fit is removed, and the first fault is reported.

        Args:
            unit: name.
            deep: also compares the SHA-256 of the files.
        """
        row = self.row(unit)
        for file in row["files"].values() if row else ():
            amiss = self._amiss(self.product / file["path"], file, deep)
            if amiss:
                self._say(f"{amiss}: {unit} will be done again")
                self._path(unit).unlink(missing_ok=True)
                return None
        return row

    def _amiss(self, path: pathlib.Path, file: Mapping[str, Any], deep: bool) -> str:
        try:
            size = path.stat().st_size
            if size != file["bytes"]:
                return f"{path} has {size} bytes where its row says {file['bytes']}"
            if deep and whole.sha256(path) != file["sha256"]:
                return f"{path} has another SHA-256 than its row says"
        except FileNotFoundError:
            return f"{path} is missing"
        except OSError as error:
            if error.errno in retries.PASSING:
                raise
            return f"{path} cannot be read ({error.strerror})"
        return ""

    def _path(self, unit: str) -> pathlib.Path:
        if not _NAME.fullmatch(unit):
            raise ValueError(f"{unit!r} cannot name a unit of work: letters, digits and ._+- make its file's name")
        return self.folder / f"{unit}.json"

    def _read(self, path: pathlib.Path) -> dict[str, Any] | None:
        try:
            row = retries.call(lambda: whole.read_json(path))
            formats.unseal(row, formats.LEDGER, path)
        except FileNotFoundError:
            return None
        except formats.Newer:
            raise
        except OSError as error:
            if error.errno in retries.PASSING:
                raise
            fault = f"cannot be read ({error.strerror})"
        except (ValueError, RecursionError):  # JSON, UTF-8 or checksum
            fault = "is damaged or was edited"
        else:
            if "checksum" in row and row.get("unit") == path.stem and isinstance(row.get("files"), dict):
                return dict(row)
            fault = f"is not the row of a finished unit {path.stem}"
        self._say(f"{path} {fault}: it does not count")
        return None


def _resolved(path: str | os.PathLike[str]) -> pathlib.Path:
    """Resolves symbolic links in all but the last part of a path."""
    path = pathlib.Path(path).absolute()
    return path.parent.resolve() / path.name


def _stamps(places: Mapping[str, pathlib.Path]) -> list[tuple[int, int, int]]:
    """Inode, size and modification time of each file, which change when a file is replaced."""
    found = [place.stat() for place in places.values()]
    return [(s.st_ino, s.st_size, s.st_mtime_ns) for s in found]
