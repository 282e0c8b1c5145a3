"""Versions of all records that this program writes to disk and reads again.

A record is a JSON object with two more keys: `format` (name, version, and the version of the program that wrote it) and
`checksum` (SHA-256 of all other keys). Both mean the same in all versions. Older records are read: the reader supplies
the fields that they lack. Newer records are refused with a sentence that names both versions of the program.

Raise a version here if an older program cannot read, or misreads, a new record. Keep the code that reads the older
versions, and add a folder to `tests/data_files/formats`.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from jointseg_jax import __version__
from jointseg_jax.errors import InputError
from jointseg_jax.storage import files

_FORMAT, _CHECKSUM = "format", "checksum"


@dataclasses.dataclass(frozen=True)
class Format:
    """A kind of record.

    Attributes:
        name: in the record and in messages.
        version: that this program writes.
        again: what the user does about a damaged record.
    """

    name: str
    version: int
    again: str


_PREPARE = "prepare the dataset again with `jointseg prepare --config=...`"
CHECKPOINT = Format("checkpoint", 3, "use another step (--checkpoint), or restore it from a copy")
DATASET = Format("dataset", 2, _PREPARE)
SITE = Format("site", 2, _PREPARE)
LANDSCAPE = Format("landscape", 2, _PREPARE)
PLAN = Format("plan", 2, "remove it; the same command writes a new one")
CATALOGUE = Format("catalogue", 2, "run the same `jointseg predict` command again, which writes a new one")
LEDGER = Format("ledger row", 2, "run the same command again, which repeats that unit")
HALO = Format("halo", 2, "remove it; the next run measures it again")
RATES = Format("mapping rates", 2, "remove it; the next run measures it again")
CONFIDENCE = Format("confidence", 2, "run `jointseg evaluate --augment` again")
UNCERTAINTY = Format(
    "uncertainty", 1, "run `jointseg evaluate --uncertainty --split=validation` again, then on the test split"
)
DESIGN = Format("accuracy design", 1, "draw the sample again with `jointseg sample`")
ASSESSMENT = Format("accuracy assessment", 1, "run `jointseg estimate --product=...` again")
MONITOR = Format("monitor", 1, "remove it; the same `jointseg monitor` command writes a new one")
FOLDER = Format("folder", 1, "choose another folder for the output")
EXPORT = Format("export", 1, "export the network again with `jointseg export`")


class Damaged(InputError):
    """A record cannot be read, or changed since it was written."""


class Newer(InputError):
    """A record was written by a newer version of this program."""


def checksum(record: Mapping[str, Any]) -> str:
    """SHA-256 of a record without its `checksum`, as JSON with sorted keys and no spaces, in UTF-8."""
    rest = {k: v for k, v in record.items() if k != _CHECKSUM}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def seal(record: Mapping[str, Any], kind: Format) -> dict[str, Any]:
    """Adds format and checksum to a record of JSON values."""
    about = {"name": kind.name, "version": kind.version, "software": __version__}
    sealed = {_FORMAT: about, **record}
    return {**sealed, _CHECKSUM: checksum(sealed)}


def unseal(record: Any, kind: Format, where: object) -> dict[str, Any]:
    """Checks and removes the format and checksum that `seal` added.

    Args:
        record: as read; version 1 had no `format` and, in most kinds, no `checksum`.
        kind: the expected kind.
        where: path of the record, for messages.

    Returns:
        The record without `format` and `checksum`.

    Raises:
        Damaged: this is no record of this kind, or the checksum does not match.
        Newer: a newer version of the program wrote the record.
    """
    if not isinstance(record, dict):
        raise damaged(where, kind, "it is not a JSON object")
    sealed = _CHECKSUM in record or version(record) >= 2
    if sealed and record.get(_CHECKSUM) != checksum(record):
        raise damaged(where, kind, "its checksum is wrong: the file was changed after it was written")
    check_version(record, kind, where)
    return {k: v for k, v in record.items() if k not in (_FORMAT, _CHECKSUM)}


def version(record: Mapping[str, Any]) -> int:
    """The version of a record's format; 1 if the record has none."""
    about = record.get(_FORMAT)
    found = about.get("version") if isinstance(about, dict) else None
    return found if isinstance(found, int) else 1


def check_version(record: Mapping[str, Any], kind: Format, where: object) -> None:
    """Raises `Newer` for a record of a newer version, `Damaged` for one of another kind."""
    about = record.get(_FORMAT, {})
    if not isinstance(about, dict) or about.get("name", kind.name) != kind.name:
        raise damaged(where, kind, f"it is not a record of kind {kind.name!r}")
    if version(record) > kind.version:
        raise Newer(
            f"{where} was written by jointseg-jax {about.get('software', 'unknown')} ({kind.name} format "
            f"{version(record)}), which is newer than this {__version__} (format {kind.version}): upgrade jointseg-jax"
        )


def damaged(where: object, kind: Format, reason: str) -> Damaged:
    """Makes the exception for a damaged record."""
    return Damaged(f"{where} is damaged ({reason}): {kind.again}")


def write_record(path: str | os.PathLike[str], record: Mapping[str, Any], kind: Format) -> None:
    """Writes a sealed record atomically."""
    files.write_json(path, seal(record, kind))


def read_record(path: str | os.PathLike[str], kind: Format) -> dict[str, Any]:
    """Reads a record.

    Raises:
        FileNotFoundError: the file does not exist.
        Damaged, Newer: see `unseal`.
    """
    path = pathlib.Path(path)
    try:
        record = files.read_json(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror}): {kind.again}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, nested too deeply
        raise damaged(path, kind, str(error) or type(error).__name__) from error
    return unseal(record, kind, path)
