"""One process at a time per folder, or several that agree to share it."""

import contextlib
import errno
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator

from jointseg_jax.errors import InputError

_HELD = frozenset({errno.EWOULDBLOCK, errno.EACCES})


@contextlib.contextmanager
def exclusive(folder: str | os.PathLike[str], what: str, *, wait: bool = False) -> Iterator[None]:
    """Holds a folder while the block runs; the operating system lets go of it when the process ends, however it ends.

    Args:
        folder: is made if it is not there; a file `.lock` stays in it.
        what: the work, for the message: "training".
        wait: until it is free.

    Raises:
        InputError: another process holds it, or it cannot be made.
    """
    with _held(folder, what, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextlib.contextmanager
def shared(folder: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Holds a folder together with others that share it, against those who want it exclusively; see `exclusive`."""
    with _held(folder, what, fcntl.LOCK_SH | fcntl.LOCK_NB):
        yield


@contextlib.contextmanager
def _held(folder: str | os.PathLike[str], what: str, how: int) -> Iterator[None]:
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+b", buffering=0)
    except OSError as error:
        raise InputError(f"{folder} cannot be made or written ({error.strerror}): take another folder") from error
    with file:
        try:
            fcntl.flock(file, how)
        except OSError as error:
            if error.errno not in _HELD:
                raise InputError(
                    f"{folder} lies on a file system without locks ({error.strerror}), where two runs might not notice "
                    "each other: take another folder"
                ) from error
            file.seek(0)
            holder = file.read().decode(errors="replace").strip() or "unknown"
            raise InputError(
                f"{folder} is in use by another {what} (process {holder}): wait for it, or take another folder"
            ) from error
        with contextlib.suppress(OSError):  # on a full disk the lock holds all the same
            file.truncate(0)
            file.write(f"{os.getpid()} on {socket.gethostname()}".encode())
        yield
