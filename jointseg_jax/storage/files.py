"""Atomic writes: a file is either whole or absent."""

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
from collections.abc import Iterable, Iterator
from typing import Any

from jointseg_jax.storage import retries

_SAMPLES, _SAMPLE = 64, 16 << 10  # number of sampled blocks of a file, and bytes per block
_ABANDONED = 24 * 3600.0  # seconds without a write after which the writer of a partial file counts as killed
_PARTIAL = re.compile(r"\.partial-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-")
_swept: set[pathlib.Path] = set()  # folders that this process has swept


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path` and renames it to `path` when the block ends without an exception.

    The temporary name keeps the suffix of `path`, because it selects the raster driver. A reader sees the old file or
    the new one, never a half-written one; a killed writer leaves only a `.partial-*` file. An `OSError` of the block
    names `path`.
    """
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # all other calls raise NotADirectoryError here
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from error
    sweep(path.parent)
    temporary = partial(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        for left in path.parent.glob(f"{glob.escape(temporary.name)}*"):  # GDAL writes separate overview files
            with contextlib.suppress(OSError):
                left.unlink()
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary), temporary):
            error.filename, error.filename2 = str(path), None
        raise


def partial(path: pathlib.Path) -> pathlib.Path:
    """A unique temporary name for `path` that identifies the writing process."""
    return path.with_name(f".partial-{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}-{path.name}")


def sweep(folder: pathlib.Path) -> None:
    """Removes the partial files that killed writers left in a folder, once per process and folder.

    A writer counts as killed if its process on this machine has ended, or if the file has not changed for a day.
    """
    if folder in _swept:
        return
    _swept.add(folder)
    for left in folder.glob(".partial-*"):
        with contextlib.suppress(OSError):
            if left.is_file() and _is_abandoned(left):
                left.unlink()


def clear_partial_folders(folder: pathlib.Path) -> None:
    """Removes the partial folders in a folder; only for the sole process that makes such folders there."""
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
    except OSError:  # the process of another user
        return True
    return True


@functools.cache
def _machine() -> str:
    """Eight hexadecimal digits for host and container, in which process numbers are unique."""
    try:
        space = str(pathlib.Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file atomically; retries for a minute on passing storage failures."""

    def write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)

    retries.call(write)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file in UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes JSON atomically and keeps the order of keys."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def plain(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns a path if it is a regular file or a link to one, because reading a pipe or a device may never end.

    Raises:
        OSError: the path is something else or does not exist.
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
    """Makes a file name from any text, such as a scene's id; adds a digest if characters had to be replaced."""
    kept = re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip(".")[:100]
    return kept if kept == text else f"{kept}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; see `plain`."""
    with plain(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sampled_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's size and of 64 evenly spread blocks of 16 KiB, in hexadecimal.

    The first and last blocks are included; a file of up to 1 MiB is read whole. The cost does not grow with the file.
    A change outside these blocks goes undetected.
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


def sampled_digest(paths: Iterable[str | os.PathLike[str]]) -> str:
    """A digest of several files that changes with their bytes, not with their times; see `sampled_sha256`."""
    return hashlib.sha256("".join(map(sampled_sha256, paths)).encode()).hexdigest()
