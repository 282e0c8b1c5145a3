"""Keeps a network's mapping speed beside its checkpoint, and predicts time and size of a plan from it."""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.area.product_plan import Settings
from jointseg_jax.shipped import is_shipped
from jointseg_jax.storage import formats, typed

FILE = "mapping_rate.json"


@dataclasses.dataclass(frozen=True)
class _Rate:
    """What was mapped so far, and what it took."""

    km2: float
    worker_seconds: float
    bytes: float


def keep(workdir: pathlib.Path, settings: Settings, rows: Sequence[dict[str, Any]]) -> None:
    """Adds the measurements of a run to the stored ones.

    Does nothing if the network is a shipped one, or its folder is not writable. The pace is the median over tiles,
    weighted by area: the first tile of a process also compiles.

    Args:
        workdir: of the network.
        settings: of the product.
        rows: of the tiles that the run mapped.
    """
    areas = np.array([r["owned_m2"] / 1e6 for r in rows])
    if areas.sum() <= 0 or is_shipped(workdir):
        return
    paces = np.array([r["seconds"]["total"] for r in rows]) / np.maximum(areas, 1e-9)
    order = np.argsort(paces)
    pace = float(paces[order][np.searchsorted(np.cumsum(areas[order]), areas.sum() / 2)])
    known = _read(workdir)
    old = known.get(_key(settings), _Rate(0.0, 0.0, 0))
    known[_key(settings)] = _Rate(
        old.km2 + float(areas.sum()),
        old.worker_seconds + pace * float(areas.sum()),
        old.bytes + sum(f["bytes"] for r in rows for f in r["files"].values()),
    )
    with contextlib.suppress(OSError):
        formats.write_record(workdir / FILE, typed.plain(known), formats.RATES)


def expect(workdir: pathlib.Path, settings: Settings, km2: float) -> dict[str, float] | None:
    """Predicts the seconds of one worker and the bytes for `km2`; None without a comparable measurement."""
    known = _read(workdir).get(_key(settings))
    if not known or known.km2 <= 0:
        return None
    return {
        "seconds": km2 * known.worker_seconds / known.km2,
        "bytes": km2 * known.bytes / known.km2,
        "measured_km2": known.km2,
    }


def hours(seconds: float) -> str:
    """Formats a duration."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def _key(settings: Settings) -> str:
    """The settings that decide the speed: a rate holds only for the same kind of device and work."""
    names = (
        "halo",
        "tile",
        "batch",
        "augment",
        "dtype",
        "image",
        "confidence",
        *(["support"] if settings.support else []),
    )
    decisive = {name: getattr(settings, name) for name in names}
    decisive |= {"uncertainty": True} if settings.uncertainty else {}
    return json.dumps({"device": jax.devices()[0].device_kind, **decisive})


def _read(workdir: pathlib.Path) -> dict[str, _Rate]:
    """The stored rates by key; empty if the file is damaged."""
    try:
        return typed.read(workdir / FILE, dict[str, _Rate], formats.RATES)
    except (OSError, InputError):
        return {}


def km2(square_metres: float) -> str:
    """Formats an area in words."""
    return f"{square_metres / 1e6:,.4g} km2" if square_metres < 1e10 else f"{square_metres / 1e6:,.0f} km2"
