"""Standard output and standard error that survive a closed pipe and a full disk."""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any

from jointseg_jax.storage import retries


class Lasting(io.FileIO):
    """A file descriptor that drops bytes if its reader has gone or its disk is full.

    Attributes:
        lost: error of a full disk; the program must report that output was lost.
    """

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes the bytes or drops them all."""
        try:
            return super().write(data)
        except BrokenPipeError:
            pass
        except OSError as error:
            if error.errno not in retries.FULL:
                raise
            self.lost = error
        return memoryview(data).nbytes


@contextlib.contextmanager
def lasting_output() -> Iterator[list[Lasting]]:
    """Makes stdout and stderr survive a lost reader and a full disk, and escape characters that they cannot encode.

    Yields the raw streams, with their `lost` errors. Streams that a caller has replaced, to capture output, are left
    alone.
    """
    before: tuple[Any, Any] = (sys.stdout, sys.stderr)
    raws: list[Lasting] = []
    for name, stream in zip(("stdout", "stderr"), before, strict=True):
        if stream is None or stream not in (sys.__stdout__, sys.__stderr__):
            continue
        stream.flush()
        raw = Lasting(stream.fileno(), "wb", closefd=False)
        raws.append(raw)
        # Line buffering shows the progress of a long job in its log file at once.
        text = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding=stream.encoding, errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, text)
    try:
        yield raws
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before
