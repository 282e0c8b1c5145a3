"""Memory of this process, on Linux, by the standard library alone: the peers use it too."""

import contextlib
import ctypes
import gc
import pathlib
import re
from collections.abc import Callable

_STATUS, _RESET = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")


def now() -> int:
    """Bytes of the process in physical memory, after all that was freed is given back."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)
    return _read("VmRSS")


def peak(work: Callable[[], object]) -> int:
    """The most bytes of the process in physical memory while `work` runs, or ever where Linux forgets no peak."""
    now()
    with contextlib.suppress(OSError):  # restricted containers
        _RESET.write_text("5")  # forgets the earlier peak
    work()
    return _read("VmHWM")


def _read(name: str) -> int:
    found = re.search(rf"^{name}:\s*(\d+) kB$", _STATUS.read_text(), re.M)
    assert found is not None
    return 1024 * int(found[1])
