"""One process at a time per folder."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from jointseg_jax.errors import InputError


@contextlib.contextmanager
def exclusive(folder: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Holds a folder while the block runs; the operating system lets go of it when the process ends, however it ends.

    Args:
        folder: is made if it is not there; a file `.lock` stays in it.
        what: the work, for the message: "training".

    Raises:
        InputError: another process holds it, or it cannot be made.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}): take another folder") from error
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise InputError(
                f"{folder} is in use by another {what} (process {holder}): wait for it, or take another folder"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
