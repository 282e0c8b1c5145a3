"""TensorBoard's event file, written in the calling thread.

tensorboardX encodes the records. Its writers are not used: on a full disk, the asynchronous one blocks the run forever,
and the synchronous one leaves half a record, at which TensorBoard stops reading.
"""

import math
import pathlib
import socket
import struct
import time
from collections.abc import Callable

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from jointseg_jax.storage.journal import Journal


class EventFile:
    """One event file of a run.

    Args:
        folder: of the run's events.
        first: the first step; TensorBoard hides records of later steps left by an earlier, killed run.
        complain: called once per storage outage.
    """

    def __init__(self, folder: pathlib.Path, first: int, complain: Callable[[str], None]):
        name = f"events.out.tfevents.{time.time_ns() // 1_000_000}.{socket.gethostname()}"
        self._journal = Journal(folder / name, lines=False, complain=complain)
        self._write(Event(file_version="brain.Event:2"))
        if first:
            self._write(Event(step=first + 1, session_log=SessionLog(status=SessionLog.START)))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Writes a number."""
        self._write(Event(step=step, summary=summary.scalar(name, value)))

    def picture(self, name: str, rgb: np.ndarray, step: int) -> None:
        """Writes a picture, uint8 [h, w, 3]."""
        self._write(Event(step=step, summary=summary.image(name, rgb, dataformats="HWC")))

    def histogram(self, name: str, counts: np.ndarray, edges: np.ndarray, step: int) -> None:
        """Writes a histogram: counts [bins] between edges [bins + 1], without empty outer bins."""
        filled = np.flatnonzero(counts)
        if len(filled):
            bins = slice(filled[0], filled[-1] + 1)
            counts, edges = counts[bins], edges[bins.start : bins.stop + 1]
            middle = (edges[:-1] + edges[1:]) / 2
            sums = [float(np.sum(counts * middle**power)) for power in (0, 1, 2)]
            raw = summary.histogram_raw(name, edges[0], edges[-1], *sums, edges[1:].tolist(), counts.tolist())
            self._write(Event(step=step, summary=raw))

    def close(self) -> None:
        """Closes the file."""
        self._journal.close()

    def _write(self, event: Event) -> None:
        """Appends a record: length, its checksum, the event, its checksum (TFRecord)."""
        event.wall_time = time.time()
        body = event.SerializeToString()
        length = struct.pack("<Q", len(body))
        checksums = (struct.pack("<I", masked_crc32c(part)) for part in (length, body))
        self._journal.append(b"".join((length, next(checksums), body, next(checksums))))


def printable(value: object) -> object:
    """Converts NaN and infinities, which JSON lacks, to "nan", "inf" and "-inf"."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
