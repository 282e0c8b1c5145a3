"""Digests of all files of a folder, kept in it: what is there is what was written."""

import pathlib
from collections.abc import Collection

from jointseg_jax.storage import formats
from jointseg_jax.storage.files import sha256

FILE = "digests.json"
_FORMAT = formats.Format("digests", 1, "restore it from a copy")


def write(folder: pathlib.Path, *, besides: Collection[str] = ()) -> None:
    """Writes `digests.json`, with size and SHA-256 of every file below a folder.

    Args:
        folder: whose files are complete.
        besides: names of files, directly in it, that may change afterwards.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (*besides, FILE):
            found[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    formats.write_record(folder / FILE, {"files": found}, _FORMAT)


def amiss(folder: pathlib.Path, below: str = "") -> str:
    """What is wrong with a folder, in words; empty where all files are as they were written.

    Args:
        folder: with its `digests.json`.
        below: only files whose name begins so: "meta/".

    Raises:
        FileNotFoundError: it has no digests.
        Newer: its digests were written by a newer version.
    """
    try:
        known = formats.read_record(folder / FILE, _FORMAT)["files"]
        for name, file in known.items():
            path = folder / name
            if not name.startswith(below):
                continue
            if not path.is_file():
                return f"{name} is gone"
            if path.stat().st_size != file["bytes"]:
                return f"{name} has {path.stat().st_size} bytes where {file['bytes']} were written"
            if sha256(path) != file["sha256"]:
                return f"{name} is not what was written (SHA-256)"
    except formats.Damaged:
        return f"{FILE} is not what was written"
    except PermissionError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    return ""
