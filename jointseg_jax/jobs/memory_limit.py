"""The memory limit of this process."""

import functools


@functools.cache
def memory_limit() -> int:
    """Bytes of memory of the machine, or the lower limit of a container, job or user."""
    from distributed.system import MEMORY_LIMIT  # knows control groups and limits; slow to import

    return int(MEMORY_LIMIT)


def in_words(count: float) -> str:
    """Formats a number of bytes with its unit."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
