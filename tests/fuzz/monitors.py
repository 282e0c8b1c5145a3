"""What the tools after a monitor read: its record, the rows of its ledger, the decoded states."""

import functools
import pathlib
import random
from collections.abc import Sequence

import numpy as np
from fuzz import files, seeds, trees
from fuzz.engine import Attempt, Kind, Step, Wrong

from jointseg_jax.change.monitor_record import FILE, LEDGER
from jointseg_jax.change.read_monitor import MonitorFolder, read_monitor
from jointseg_jax.evaluation.change.decoded import STATES, read_states
from jointseg_jax.rasters.reader import Handles

STORED = pathlib.Path(__file__).parents[1] / "data_files" / "formats" / "3" / "monitor"


@functools.cache
def _seed() -> pathlib.Path:
    """The stored folder on the disk of the cases, so that they can link to it."""
    return files.copy_tree(STORED, seeds.room("monitors") / "stored")


def _path(root: pathlib.Path, what: str, rng: random.Random) -> pathlib.Path:
    if what == "record":
        return root / FILE
    return rng.choice(sorted((root / LEDGER).glob("*.json") if what == "row" else root.glob(f"tiles/*/*/{STATES}")))


def _spoil(path: pathlib.Path, name: str, rng: random.Random) -> None:
    if name.startswith("forged_"):
        trees.forge(path, name.removeprefix("forged_"), rng)
    elif name in trees.NAMES:
        trees.rewrite(path, name, rng)
    elif name == "nested":
        trees.nested(path)
    else:
        files.ANY[name](rng, path)


def _read(root: pathlib.Path) -> tuple[MonitorFolder, dict[str, np.ndarray]]:
    """What the growth report takes from a folder."""
    found, states = read_monitor(root), read_states(root)
    handles = Handles()
    try:
        return found, {name: states.read(row.epsg, row.bounds, handles) for name, row in found.tiles.items()}
    finally:
        handles.close()


@functools.cache
def _right() -> tuple[MonitorFolder, dict[str, np.ndarray]]:
    return _read(_seed())


def _monitor(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    root = files.link_tree(_seed(), folder / "monitor")
    for step in steps:
        name, _, what = step.mutation.partition("@")
        rng = random.Random(step.seed)
        _spoil(_path(root, what, rng), name, rng)
    forged = any(step.mutation.startswith("forged_") for step in steps)

    def check(result: tuple[MonitorFolder, dict[str, np.ndarray]]) -> None:
        (found, decoded), (good, states) = result, _right()
        monitor = found.monitor
        if len(monitor.classes) != monitor.ground.count or len(monitor.transitions.gain) != len(monitor.priors):
            raise Wrong(f"{len(monitor.classes)} classes of ground for {len(monitor.regions)} regions")
        for row in found.tiles.values():
            if row.years != monitor.labels or len(row.doubt) != len(monitor.labels):
                raise Wrong(f"dates {row.years} in a monitor of {monitor.labels}")
            row.item()
        if forged:
            return
        if monitor != good.monitor or any(good.tiles[name] != row for name, row in found.tiles.items()):
            raise Wrong("another record, or another row")
        rasters = any(step.mutation.endswith(f"@{STATES}") for step in steps)
        if not rasters and any(not np.array_equal(there, states[name]) for name, there in decoded.items()):
            raise Wrong("other states")

    names = (FILE, LEDGER, "tiles", "monitor", *(row.name for row in (root / LEDGER).glob("*.json")))
    return Attempt(lambda: _read(root), check, names)


_JSON = (*(f"forged_{name}" for name in trees.NAMES), *trees.NAMES, *files.ANY, "nested")
_MUTATIONS = (*(f"{name}@{what}" for what in ("record", "row") for name in _JSON),
              *(f"{name}@{STATES}" for name in (*files.BYTES, *files.PLACE)))  # fmt: skip
KINDS = (Kind("monitor", 180, _MUTATIONS, _monitor, together=2),)
