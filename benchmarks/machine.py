"""The machine that a measurement ran on."""

import os
import pathlib
import platform
from collections.abc import Sequence
from typing import Any

import jax


def machine() -> dict[str, Any]:
    """Device, processor, versions, JSON-ready."""
    device = jax.devices()[0]
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "nice": os.nice(0),
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _lines(path: str) -> Sequence[str]:
    try:
        return pathlib.Path(path).read_text().splitlines()
    except OSError:
        return ()
