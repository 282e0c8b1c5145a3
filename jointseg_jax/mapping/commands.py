"""How the small commands of this room end: as the doors do, see `jointseg_jax.door`."""

import sys
from collections.abc import Callable

from jointseg_jax.errors import InputError, RunEnded, StorageError
from jointseg_jax.jobs import retries

INPUT_ERROR_STATUS = 2


def status_of(work: Callable[[], None]) -> int:
    """Runs `work`; what the user can mend becomes one line on stderr. Returns the exit status."""
    try:
        work()
    except RunEnded as ended:
        print(f"error: {ended}", file=sys.stderr)
        return ended.status
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return INPUT_ERROR_STATUS
    except OSError as error:
        if error.errno not in retries.FULL:
            raise
        print(f"error: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        return StorageError.status
    return 0
