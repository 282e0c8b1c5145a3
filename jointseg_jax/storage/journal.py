"""Append-only files that survive a full disk."""

import contextlib
import os
import pathlib
from collections.abc import Callable


class Journal:
    """A file to which whole records are appended in order.

    A record that cannot be written (full disk, lost storage) waits in memory; the next append tries again. The caller
    continues. Beyond `limit` waiting bytes new records are dropped. The file ends with a whole record, unless its
    writer was killed. It has one writer.

    Attributes:
        lost: number of dropped records.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        lines: bool,
        complain: Callable[[str], None],
        limit: int = 8 << 20,
    ):
        """Opens nothing yet.

        Args:
            path: of the file; an existing file is continued.
            lines: records are lines; a line that a killed writer left unfinished gets a line break first.
            complain: receives one message when an outage begins and one when it ends.
            limit: in bytes.
        """
        self._path, self._lines, self._complain, self._limit = pathlib.Path(path), lines, complain, limit
        self._descriptor: int | None = None
        self._end = 0  # of the last whole record
        self._waiting = bytearray()
        self._failing = False
        self.lost = 0

    def append(self, record: bytes) -> None:
        """Writes a record, or keeps it for later."""
        if self._failing and len(self._waiting) + len(record) > self._limit:
            self.lost += 1
        else:
            self._waiting += record
        self.flush()

    def flush(self) -> None:
        """Writes the waiting records, as far as storage allows."""
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            if self._failing:
                os.ftruncate(self._descriptor, self._end)
            written = 0
            while written < len(self._waiting):
                written += os.write(self._descriptor, self._waiting[written:])
        except OSError as error:
            with contextlib.suppress(OSError):  # a part of a record may be there; else the next flush removes it
                if self._descriptor is not None:
                    os.ftruncate(self._descriptor, self._end)
            if not self._failing:
                self._complain(
                    f"{self._path} cannot be written ({error.strerror}): the run continues, records are kept in memory"
                )
            self._failing = True
            return
        self._end += written
        self._waiting.clear()
        if self._failing:
            self._complain(f"{self._path} can be written again; {self.lost} records were lost")
        self._failing = False

    def close(self) -> None:
        """Flushes once more, then closes the file."""
        self.flush()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        size = os.fstat(descriptor).st_size
        if self._lines and size and os.pread(descriptor, 1, size - 1) != b"\n":
            self._waiting[:0] = b"\n"
        self._end = size
        return descriptor
