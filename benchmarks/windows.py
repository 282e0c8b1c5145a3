"""Times the network over one window of a map, ours and the peers' in turns; the result is JSON-ready."""

import contextlib
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from benchmarks import resident, roofline
from benchmarks.machine import machine
from benchmarks.measure import Say, compared
from benchmarks.ours import compiled_memory
from benchmarks.peers.driver import Peers, PeerSteps, begin
from benchmarks.subject import Subject, describe, flat
from benchmarks.timing import Contestant, Failed, Series, Turn, interleave, ratio, spread, timed
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor.predictor import Predictor, predict_tiles
from jointseg_jax.models import cost
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.trained import Trained

# How far probability and images of a peer may be from ours: the norm of the difference over the norm. On a GPU, float32
# means TF32 to both.
TOLERANCE = {("cpu", "float32"): 1e-4, ("gpu", "float32"): 1e-3}
COARSE = 2e-2  # in bfloat16


class OurWindows:
    """A contestant: the predictor's program, compiled ahead, on one batch of windows that lies on the device."""

    name = "jax"
    share = 1.0

    def __init__(self, subject: Subject, tile: int, halo: int):
        before = resident.now()
        data, meta = subject.experiment.data, subject.experiment.meta(Calibration())
        trained = Trained(data.root, 0, "ema", subject.experiment.model, subject.state().params, meta)
        predictor = Predictor(trained, halo, tile=tile)
        scene, handles = data.scene(next(iter(data.sites)), meta.contract), Handles()
        self.host, _ = predictor.read(scene, [Window(0, 0, tile, tile)], handles)
        handles.close()
        self.arguments = (predictor.params, predictor.temperature, jax.device_put(self.host), None)
        how: dict[str, Any] = {"halo": halo, "images": True}
        began = time.perf_counter()
        lowered = predict_tiles.lower(predictor.model, *self.arguments, **how)
        traced = time.perf_counter()
        self.program = lowered.compile()
        self.seconds = {"trace": traced - began, "compile": time.perf_counter() - traced}
        self.flops = roofline.flops(
            roofline.layers(lambda *given: predict_tiles(predictor.model, *given, **how), *self.arguments)
        )
        self._run()
        self.resident_bytes = resident.peak(self._run) - before

    def _run(self) -> Any:
        return jax.block_until_ready(self.program(*self.arguments))

    def turn(self, steps: int) -> Turn:
        """Maps the window so many times and waits for each, as mapping does."""
        return timed(steps, lambda: [self._run() for _ in range(steps)])

    def outputs(self) -> dict[str, np.ndarray]:
        """Probability and images of the window."""
        probability, images = jax.device_get(self._run())
        return {"outputs/probability": probability} | {
            f"outputs/image{k}": image for k, image in enumerate(images, start=1)
        }


def measure(
    config: Any, *, tile: int, halo: int, rounds: int, peers: Peers | None, say: Say, aim: float = 1.0
) -> dict[str, Any]:
    """Measures the network of a config over one window.

    Args:
        config: of an experiment with an existing dataset.
        tile: side of the window without its halo, input pixels.
        halo: input pixels read around it.
        rounds: turns of every contestant.
        peers: other libraries to time; None: none.
        say: receives a line of progress.
        aim: seconds of a turn.
    """
    began, load = time.strftime("%Y-%m-%d %H:%M", time.gmtime()), os.getloadavg()
    subject = Subject.of(config)
    say(f"compiling {config.name} for {jax.devices()[0].device_kind}")
    ours = OurWindows(subject, tile, halo)
    say(f"compiled in {ours.seconds['compile']:.1f} s")
    report: dict[str, Any] = {"asked": peers is not None}
    with contextlib.ExitStack() as stack:
        opened = list(_open(subject, ours, halo, peers, stack, report, say)) if peers is not None else []
        contestants: list[Contestant] = [ours, *opened]
        series = interleave(contestants, rounds, aim=aim, say=say)
    for name, row in report.get("variants", {}).items():
        if f"torch {name}" in series:
            row |= _row(series[f"torch {name}"])
        if "window_seconds" in row:
            row["times_our_seconds"] = {
                clock: ratio(series[f"torch {name}"], series["jax"], clock) for clock in ("wall", "cpu")
            }
    side = tile + 2 * halo
    return {
        "config": {"name": config.name, "dtype": config.model.dtype, "blocks": list(config.model.blocks)},
        "window": {"tile": tile, "halo": halo, "input": [side, side], "output": [10 * tile, 10 * tile]},
        "machine": machine() | {"began": began},
        "load_average": {"before": load, "after": os.getloadavg()},
        "rounds": len(series["jax"].turns),
        "parameters": cost.parameters(ours.arguments[0]),
        "ours": _row(series["jax"])
        | {"flops": ours.flops, "seconds_to_compile": ours.seconds, "resident_bytes": ours.resident_bytes}
        | {"memory": compiled_memory(ours.program)},
        "peers": report,
    }


def _open(
    subject: Subject,
    ours: OurWindows,
    halo: int,
    peers: Peers,
    stack: contextlib.ExitStack,
    report: dict[str, Any],
    say: Say,
) -> Iterator[PeerSteps]:
    """Opens every variant in a process of its own and compares its outputs; the report names those that fail."""
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    params, temperature, *_ = ours.arguments
    arrays: dict[str, Any] = flat("params", jax.device_get(params)) | flat("batch", {"inputs": ours.host})
    np.savez(folder / "window.npz", **arrays)
    given = describe(subject) | {
        "arrays": str(folder / "window.npz"),
        "window": {"temperature": float(temperature), "halo": halo},
    }
    mine, dtype = ours.outputs(), str(subject.experiment.config.model.dtype)
    allowed = {"outputs": TOLERANCE.get((jax.default_backend(), dtype), COARSE)}
    rows: dict[str, Any] = {name: {} for name in peers.variants}
    report |= {"python": peers.python, "variants": rows}
    for name, row in rows.items():
        say(f"torch {name}: first window")
        try:
            peer, report["hello"] = begin(peers, folder / f"{name}.log", jax.default_backend())
            stack.callback(peer.close)
            row["first"] = peer.ask("open", work="map", variant=name, load=given, dtype=dtype, limit=peers.limit)
            result = folder / f"{name}.npz"
            row |= peer.ask("outputs", variant=name, result=str(result), limit=peers.limit)
            with np.load(result) as theirs:
                row["compared"] = compared(mine, dict(theirs), allowed)["outputs"]
                apart = np.abs(mine["outputs/probability"] - theirs["outputs/probability"])
                row["compared"]["largest_of_probability"] = float(apart.max())
        except (Failed, InputError) as error:
            row["failed"] = str(error)
            say(f"torch {name}: {error}")
            continue
        yield PeerSteps(peer, name, limit=peers.limit)


def _row(series: Series) -> dict[str, Any]:
    if series.failed is not None:
        return {"failed": series.failed}
    return {"window_seconds": spread(series.seconds()), "window_cpu_seconds": spread(series.seconds("cpu"))}
