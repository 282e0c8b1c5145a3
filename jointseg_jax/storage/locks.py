"""Locks on folders: exclusive or shared use, and marks that keep files from removal while they are read."""

import contextlib
import errno
import fcntl
import os
import pathlib
import socket
import weakref
from collections.abc import Iterator

from jointseg_jax.errors import InputError
from jointseg_jax.storage import retries

_HELD = frozenset({errno.EWOULDBLOCK, errno.EACCES})
FILE = ".lock"
_READERS = ".readers"


@contextlib.contextmanager
def exclusive(folder: str | os.PathLike[str], what: str, *, wait: bool = False) -> Iterator[None]:
    """Locks a folder while the block runs; the operating system releases the lock even if the process is killed.

    Args:
        folder: made if needed; a file `.lock` stays in it.
        what: the work, for messages: "training".
        wait: waits until the folder is free.

    Raises:
        InputError: another process holds the folder, or it cannot be made.
    """
    with _held(folder, what, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextlib.contextmanager
def shared(folder: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Locks a folder for shared use, which excludes `exclusive` locks; see `exclusive`."""
    with _held(folder, what, fcntl.LOCK_SH | fcntl.LOCK_NB):
        yield


@contextlib.contextmanager
def _held(folder: str | os.PathLike[str], what: str, how: int) -> Iterator[None]:
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / FILE).open("a+b", buffering=0)
    except OSError as error:
        if error.errno in retries.FULL:
            raise
        raise InputError(f"{folder} cannot be created or written ({error.strerror}): choose another folder") from error
    with file:
        try:
            fcntl.flock(file, how)
        except OSError as error:
            if error.errno not in _HELD:
                raise InputError(
                    f"{folder} lies on a file system without locks ({error.strerror}), where two runs could write to "
                    "it at once: choose another folder"
                ) from error
            file.seek(0)
            holder = file.read().decode(errors="replace").strip() or "unknown"
            raise InputError(
                f"{folder} is in use by another {what} (process {holder}): wait until it ends, or choose another folder"
            ) from error
        with contextlib.suppress(OSError):  # the lock also holds on a full disk
            file.truncate(0)
            file.write(f"{os.getpid()} on {socket.gethostname()}".encode())
        yield


class Mark:
    """Marks files of a folder as being read, until it is closed or garbage-collected or the process ends."""

    def __init__(self, descriptor: int):
        """Takes an open file that holds a shared lock."""
        # `__del__` would run at the end of the interpreter, when `os` is gone.
        self._closing = weakref.finalize(self, os.close, descriptor)

    def close(self) -> None:
        """Removes the mark."""
        self._closing()


def reading(folder: str | os.PathLike[str]) -> Mark | None:
    """Marks files of a folder as being read; waits while another process removes old files, see `unread`.

    Returns:
        The mark; None if the folder is missing or not writable, or its file system has no locks.
    """
    path = pathlib.Path(folder) / _READERS
    try:
        descriptor = os.open(path, os.O_RDONLY if path.exists() else os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        return None
    return Mark(descriptor)


@contextlib.contextmanager
def unread(folder: str | os.PathLike[str]) -> Iterator[bool]:
    """Yields whether no process reads files of a folder; if so, new readers wait until the block ends."""
    with (pathlib.Path(folder) / _READERS).open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
