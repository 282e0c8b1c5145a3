"""Digests of all files of a folder, stored in the folder to detect changed files."""

import pathlib
from collections.abc import Collection

from jointseg_jax.storage import formats
from jointseg_jax.storage.files import sha256

FILE = "digests.json"
_FORMAT = formats.Format("digests", 1, "restore it from a copy")


def write(folder: pathlib.Path, *, besides: Collection[str] = ()) -> None:
    """Writes `digests.json` with the size and SHA-256 of every file below a folder.

    Args:
        folder: its files must be complete.
        besides: names of files directly in the folder to leave out, because they may change later.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (*besides, FILE):
            found[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    formats.write_record(folder / FILE, {"files": found}, _FORMAT)


def amiss(folder: pathlib.Path, below: str = "") -> str:
    """Describes the first missing or changed file of a folder; empty if all files are as written.

    Args:
        folder: with its `digests.json`.
        below: checks only files with this prefix, such as "meta/".

    Raises:
        FileNotFoundError: the folder has no digests.
        Newer: a newer version wrote the digests.
    """
    try:
        known = formats.read_record(folder / FILE, _FORMAT)["files"]
        for name, file in known.items():
            path = folder / name
            if not name.startswith(below):
                continue
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != file["bytes"]:
                return f"{name} has {path.stat().st_size} bytes instead of {file['bytes']}"
            if sha256(path) != file["sha256"]:
                return f"{name} has changed since it was written (SHA-256)"
    except formats.Damaged:
        return f"{FILE} has changed since it was written"
    except PermissionError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    return ""
