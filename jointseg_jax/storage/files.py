"""Files that are either whole or absent."""

import contextlib
import errno
import functools
import glob
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from typing import Any

from jointseg_jax.storage import retries

_SAMPLES, _SAMPLE = 64, 16 << 10  # blocks of a file, and bytes of each, that stand for the whole
_ABANDONED = 24 * 3600.0  # seconds without a write, after which a partial file of another machine is a killed writer's
_PARTIAL = re.compile(r"\.partial-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-")
_swept: set[pathlib.Path] = set()  # folders that this process has looked through


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`; renames it into place when the block ends without an exception.

    The temporary name keeps the suffix of `path`, because raster drivers are chosen by it. A reader sees the old file
    or the new one, never a half-written one; a killed writer leaves only a `.partial-*` file behind. An `OSError` of
    the block names `path`.
    """
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # in every other place the system says that this is no folder
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from error
    sweep(path.parent)
    temporary = partial(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        for left in path.parent.glob(f"{glob.escape(temporary.name)}*"):  # GDAL writes overviews to files of their own
            with contextlib.suppress(OSError):
                left.unlink()
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary), temporary):
            error.filename, error.filename2 = str(path), None
        raise


def partial(path: pathlib.Path) -> pathlib.Path:
    """A name for what will become `path`, that no other writer takes and that tells who writes it."""
    return path.with_name(f".partial-{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}-{path.name}")


def sweep(folder: pathlib.Path) -> None:
    """Removes the partial files that killed writers left in a folder; once per process and folder.

    A file is a killed writer's when its process is gone from this machine, or when nobody wrote to it for a day.
    """
    if folder in _swept:
        return
    _swept.add(folder)
    for left in folder.glob(".partial-*"):
        with contextlib.suppress(OSError):
            if left.is_file() and _is_abandoned(left):
                left.unlink()


def clear_partial_folders(folder: pathlib.Path) -> None:
    """Removes the partial folders in a folder; for the only process that makes any there."""
    for left in folder.glob(".partial-*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def _is_abandoned(path: pathlib.Path) -> bool:
    named = _PARTIAL.match(path.name)
    if named and named["machine"] == _machine() and not _is_running(int(named["process"])):
        return True
    return time.time() - path.stat().st_mtime > _ABANDONED


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


@functools.cache
def _machine() -> str:
    """Eight digits for the processes among which a process number is unique: a host, and on it a container."""
    try:
        space = str(pathlib.Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file atomically; tries for a minute where storage fails in passing."""

    def write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)

    retries.call(write)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file in UTF-8, see `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes JSON atomically, keys in the order given."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def plain(path: str | os.PathLike[str]) -> pathlib.Path:
    """The path of a regular file or of a link to one; reading a pipe or a device may never end.

    Raises:
        OSError: it is something else, or not there.
    """
    path = pathlib.Path(path)
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", str(path))
    return path


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file in UTF-8, with or without a byte order mark; see `plain`."""
    return json.loads(plain(path).read_text(encoding="utf-8-sig"))


def file_name(text: str) -> str:
    """Any text, such as a scene's id, as the name of a file: itself where it can be, else with a digest of its own."""
    kept = re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip(".")[:100]
    return kept if kept == text else f"{kept}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; see `plain`."""
    with plain(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sampled_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's size and of 64 blocks of 16 KiB spread evenly over it, in hexadecimal.

    The first and the last block are among them; a file of up to 1 MiB is read whole. It costs the same for a file of
    any size, and does not see a change that leaves out all of these blocks.
    """
    with plain(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        if size <= _SAMPLES * _SAMPLE:
            file.seek(0)
            digest.update(file.read())
        else:
            for i in range(_SAMPLES):
                file.seek(i * (size - _SAMPLE) // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
