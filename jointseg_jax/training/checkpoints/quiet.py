"""Keeps Orbax's messages off the terminal, because the same failures also arrive as exceptions.

The hook of unraisable exceptions is needed: without it a full disk prints one traceback for each array not written yet.
"""

import functools
import logging
import pathlib
import sys
import traceback
from typing import Any


@functools.cache
def quieten() -> None:
    """Installs the log filters of this process; only the first call has an effect."""

    def foreign(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        frames = traceback.extract_tb(error.__traceback__) if error else ()
        paths = (record.pathname, *(frame.filename for frame in frames))
        # TensorStore's futures have no traceback; their messages name TensorStore or the unfinished checkpoint.
        ours = any(name in str(error) for name in ("tensorstore", "orbax-checkpoint-tmp"))
        return not (ours or any("orbax" in pathlib.PurePath(path).parts for path in paths))

    # asyncio logs the tasks left over when another task of the same save failed.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(foreign)
    usual = sys.unraisablehook

    def hook(args: Any) -> None:
        # When one array cannot be written, Orbax closes its event loop, and TensorStore's threads still report the
        # others to it. Nothing is left by then that could be closed or awaited.
        if not (isinstance(args.exc_value, RuntimeError) and str(args.exc_value) == "Event loop is closed"):
            usual(args)

    sys.unraisablehook = hook
