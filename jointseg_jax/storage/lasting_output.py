"""Standard output and standard error that last as long as the work: a closed pipe or a full disk does not end it."""

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any

from jointseg_jax.storage import retries


class Lasting(io.FileIO):
    """A file descriptor whose bytes are dropped once nobody reads them, or once its disk is full.

    Attributes:
        lost: what the disk said when it took no more; what is lost then must not pass for written.
    """

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes, or drops, all of the bytes."""
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
    """Lets stdout and stderr outlive their reader and a full disk, and write every letter in some form.

    Yields what may have lost something. Streams of somebody who collects the output are left alone.
    """
    before: tuple[Any, Any] = (sys.stdout, sys.stderr)
    raws: list[Lasting] = []
    for name, stream in zip(("stdout", "stderr"), before, strict=True):
        if stream is None or stream not in (sys.__stdout__, sys.__stderr__):
            continue
        stream.flush()
        raw = Lasting(stream.fileno(), "wb", closefd=False)
        raws.append(raw)
        # By lines, so that a log file shows at once how far a long job is.
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
