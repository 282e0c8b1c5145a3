"""Ownership of output folders: a folder must be new, empty, or made by this program for the same run.

    FOLDER/MADE_BY   the kind of output, the run, and the files that this program wrote, if listed

The program never removes or replaces inputs or files that it did not write. It ignores hidden files and logs.
"""

import contextlib
import fnmatch
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal, TypedDict

from jointseg_jax.errors import InputError
from jointseg_jax.storage import files, formats, locks, retries, typed

MARKER = "MADE_BY"
_LISTED = 3  # names in a message
# File systems and desktops make the first three; a shell or Slurm opens a log before the program starts.
_IGNORED = ("lost+found", "Thumbs.db", "desktop.ini", "*.log", "*.out", "*.err")

Path = str | os.PathLike[str]


class _Marker(TypedDict):
    kind: str
    run: dict[str, Any]
    files: list[str]


class Claim:
    """An output folder of this run, with the list of files that this program wrote there."""

    def __init__(self, folder: pathlib.Path, record: Mapping[str, Any], alone: bool = False):
        """Reads and writes nothing yet.

        Args:
            folder: with a marker.
            record: the marker's contents.
            alone: this process has locked the folder.
        """
        self.folder = folder
        self._record = dict(record)
        self._alone = alone

    @property
    def files(self) -> set[str]:
        """Paths of files that this program wrote or is about to write, relative to the folder, with `/`."""
        return set(self._record["files"])

    def announce(self, names: Iterable[str]) -> None:
        """Lists files in the marker before they are written, to let a later run recognise them.

        Args:
            names: relative to the folder, with `/`.

        Raises:
            InputError: one of the files exists and was not written by this program.
        """
        names = set(names)
        if names <= self.files:
            return
        with self._turn():
            self._record = _read(self.folder) or self._record
            for name in sorted(names - self.files):
                if os.path.lexists(self.folder / name):
                    raise InputError(
                        f"{self.folder / name} was not written by this program and would be overwritten: move it to "
                        "another folder"
                    )
            self._save(self.files | names)

    def sweep(self, keep: Iterable[str], under: str = "") -> None:
        """Removes files that this program wrote earlier and that no longer belong to the output.

        Args:
            keep: names to keep.
            under: removes only names with this prefix.
        """
        spent = {name for name in self.files - set(keep) if name.startswith(under)}
        for name in spent:
            (self.folder / name).unlink(missing_ok=True)
        if spent:
            with self._turn():
                self._record = _read(self.folder) or self._record
                self._save(self.files - spent)

    def _turn(self) -> contextlib.AbstractContextManager[None]:
        """Keeps other processes from the list of files while it is read and written."""
        return contextlib.nullcontext() if self._alone else locks.exclusive(self.folder, "run", wait=True)

    def _save(self, names: Iterable[str]) -> None:
        self._record["files"] = sorted(names)
        formats.write_record(self.folder / MARKER, self._record, formats.FOLDER)


@contextlib.contextmanager
def claim(
    folder: Path,
    kind: str,
    *,
    run: Mapping[str, str] | None = None,
    names: Iterable[str] = (),
    inputs: Iterable[Path] = (),
    beside: Collection[str] | None = None,
    older: Callable[[pathlib.Path], Iterable[str] | None] = lambda folder: None,
    others: Literal["share", "refuse", "wait"] = "share",
) -> Iterator[Claim]:
    """Claims a folder for the output of a run while the block runs; makes the folder if needed.

    A run that fails before its first write leaves the folder unchanged.

    Args:
        folder: for the output.
        kind: of output, as in "the folder holds a training run": "training run".
        run: describes the run part by part (network, scene, settings); the same run may write again, another is
            refused. None if any run of this kind may continue in the folder.
        names: files that will be written, if known; see `Claim.announce`.
        inputs: files and folders that are read.
        beside: names in the folder that the run writes; inputs may lie in the folder under other names. By default no
            input may lie in the folder.
        older: recognises output of versions without a marker: returns the files written, or None for a foreign folder.
        others: what another process in the folder means: "share", it may write at the same time, such as other tiles;
            for files that belong together "refuse" this process, or let it "wait". Within such a block no other claim
            of the folder can be made.

    Raises:
        InputError: the folder cannot be used; the message says why and what to do.
    """
    folder, inputs = pathlib.Path(folder), list(inputs)
    check_apart(folder, inputs, beside)
    new = not folder.exists()
    mine = {"kind": kind, "run": dict(run or {}), "files": sorted(names)}
    guests = inputs if beside is not None else []
    with contextlib.ExitStack() as stack:
        try:
            made, record = _take(folder, mine, guests, older)
            if others != "share":
                stack.enter_context(locks.exclusive(folder, kind, wait=others == "wait"))
                again, record = _take(folder, mine, guests, older)  # the process before may have taken its marker away
                made = made or again
            files.sweep(folder)
        except OSError as error:
            if error.errno in retries.FULL:
                error.filename, error.filename2 = str(folder), None
                raise
            raise InputError(
                f"{folder} cannot be written ({error.strerror}): choose another folder for the output"
            ) from error
        try:
            taken = Claim(folder, record, alone=others != "share")
            taken.announce(names)
            yield taken
        except BaseException:
            if made and not _contents(folder, ()):
                (folder / MARKER).unlink(missing_ok=True)
                if new:
                    with contextlib.suppress(OSError):
                        if others != "share":
                            (folder / locks.FILE).unlink()
                        folder.rmdir()
            raise


def check_apart(folder: Path, inputs: Iterable[Path], beside: Collection[str] | None = None) -> None:
    """Raises `InputError` if an input lies where output is written; see `claim` for the arguments.

    Links are followed. The output folder may lie inside an input folder.
    """
    own = pathlib.Path(os.path.realpath(folder))
    for given in inputs:
        for place in _places(given):
            if place == own:
                raise InputError(f"the output folder {folder} is an input: choose another folder for the output")
            if place.is_relative_to(own) and (beside is None or place.relative_to(own).parts[0] in beside):
                raise InputError(
                    f"the input {given} lies in the output folder {folder}: choose another folder for the output"
                )


def check_file(path: Path, what: str, ours: Callable[[pathlib.Path], bool], inputs: Iterable[Path] = ()) -> None:
    """Raises `InputError` if an output file must not be written.

    Args:
        path: of the output.
        what: kind of output, for messages: "table".
        ours: whether an existing file is an earlier output of this kind, which may be replaced.
        inputs: files that are read.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, but the {what} is written to a file: give the name of a file")
    if any(place in _places(path) for given in inputs for place in _places(given)):
        raise InputError(f"{path} is an input: choose another name for the {what}")
    if os.path.lexists(path) and not (path.is_file() and ours(path)):
        raise InputError(f"{path} exists and is not a {what} of this program: choose another name for the {what}")


def _places(path: Path) -> set[pathlib.Path]:
    """The target of a path, and the place of the link if it is one."""
    path = pathlib.Path(path).absolute()
    return {pathlib.Path(os.path.realpath(path)), pathlib.Path(os.path.realpath(path.parent), path.name)}


def _take(
    folder: pathlib.Path,
    mine: dict[str, Any],
    guests: Iterable[Path],
    older: Callable[[pathlib.Path], Iterable[str] | None],
) -> tuple[bool, dict[str, Any]]:
    """Writes the marker or checks the existing one; returns whether the folder was empty, and the marker's contents."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, but the output needs a folder: choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):  # raises if the folder is not writable
        pass
    record = _read(folder)
    if record is None:
        foreign = _contents(folder, guests)
        known = older(folder) if foreign else None
        record = _read(folder)  # another process of this run may have written it meanwhile
        if record is None and foreign and known is None:
            raise InputError(
                f"{folder} contains {_some(foreign)} but no {MARKER} file of this program: choose a new or an empty "
                "folder for the output"
            )
        if record is None:
            made = mine if known is None else {**mine, "files": sorted(known)}
            record = _create(folder, made)
            if record is made:
                return not foreign, record
    _check_owner(folder, record, mine)
    return False, record


def _check_owner(folder: pathlib.Path, theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    kind = mine["kind"]
    if theirs["kind"] != kind:
        raise InputError(f"{folder} contains a {theirs['kind']}, but this is a {kind}: choose another folder")
    other = [f"{part}: {theirs['run'].get(part, 'unknown')} there, {text} here" for part, text in mine["run"].items()
             if theirs["run"].get(part) != text]  # fmt: skip
    if other:
        raise InputError(
            f"{folder} contains the {kind} of another run ({'; '.join(other)}): choose another folder or remove it"
        )


def _create(folder: pathlib.Path, record: dict[str, Any]) -> dict[str, Any]:
    """Writes a marker unless one exists; returns the contents of the marker in the folder."""
    temporary = files.partial(folder / MARKER)
    try:
        formats.write_record(temporary, record, formats.FOLDER)
        try:
            os.link(temporary, folder / MARKER)  # only one of several processes succeeds
        except FileExistsError:
            return _read(folder) or record
        except OSError:  # a file system without hard links
            temporary.replace(folder / MARKER)
    finally:
        temporary.unlink(missing_ok=True)
    return record


def _read(folder: pathlib.Path) -> dict[str, Any] | None:
    """Reads a folder's marker; None if there is none."""
    path = folder / MARKER
    try:
        return dict(typed.read(path, _Marker, formats.FOLDER, partial=True))
    except FileNotFoundError:
        return None


def _contents(folder: pathlib.Path, guests: Iterable[Path]) -> list[str]:
    """Names in a folder, without the marker, hidden files, logs and paths to `guests`."""
    own = pathlib.Path(os.path.realpath(folder))
    leading = {p.relative_to(own).parts[0] for g in guests for p in _places(g) if p != own and p.is_relative_to(own)}
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name != MARKER
        and not entry.name.startswith(".")
        and not any(fnmatch.fnmatch(entry.name, pattern) for pattern in _IGNORED)
        and entry.name not in leading
        and not _is_our_output(entry)
    )


def _is_our_output(entry: os.DirEntry[str]) -> bool:
    """Whether this process's stdout or stderr goes to a file."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if os.path.samestat(entry.stat(), os.fstat(stream.fileno())):
                return True
    return False


def _some(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
