"""Keeps Orbax's own reports off the terminal: what they say comes as exceptions, and is said once."""

import functools
import logging
import pathlib
import sys
import traceback
from typing import Any


@functools.cache
def quieten() -> None:
    """Filters the logs of this process; only the first call does anything."""

    def foreign(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        frames = traceback.extract_tb(error.__traceback__) if error else ()
        paths = (record.pathname, *(frame.filename for frame in frames))
        # TensorStore's futures have no traceback, but name themselves or the unfinished checkpoint they wrote.
        ours = any(name in str(error) for name in ("tensorstore", "orbax-checkpoint-tmp"))
        return not (ours or any("orbax" in pathlib.PurePath(path).parts for path in paths))

    # asyncio tells of the tasks that were left when another one of the same save failed.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(foreign)
    usual = sys.unraisablehook

    def hook(args: Any) -> None:
        # When one array fails to be written, TensorStore reports the others to an event loop that is gone.
        if not (isinstance(args.exc_value, RuntimeError) and str(args.exc_value) == "Event loop is closed"):
            usual(args)

    sys.unraisablehook = hook
