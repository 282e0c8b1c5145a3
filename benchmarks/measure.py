"""Measures our step, the peers and the device's peaks in turns, then the data pipeline; the result is JSON-ready."""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from benchmarks import roofline
from benchmarks.machine import machine
from benchmarks.ours import Ours, memory
from benchmarks.peaks import Probe, Sizes, peaks, probes
from benchmarks.peers.driver import Peer, Peers, PeerSteps, begin
from benchmarks.subject import Subject, describe, differences, flat
from benchmarks.timing import Contestant, Failed, Series, interleave, ratio, spread
from jointseg_jax.errors import InputError
from jointseg_jax.models import cost
from jointseg_jax.training.loader import open_batches
from jointseg_jax.training.run.meter import Meter

Say = Callable[[str], None]

# How far a peer may be from us before it counts as another network: the norm of the difference over the norm, in
# float32, of every output and of every parameter's gradient. Between the small preset and PyTorch on a CPU, 5e-7
# and 9e-5 were seen.
TOLERANCE = {"loss": 1e-5, "outputs": 1e-4, "gradients": 1e-3}
# The first loss of each timed variant, against ours: it is computed in the dtype that is timed.
FIRST_LOSS = {"float32": 1e-3, "bfloat16": 2e-2}  # on a GPU, float32 means TF32 to both
COMPARED = 2  # samples


def measure(
    config: Any,
    *,
    rounds: int,
    sizes: Sizes,
    data_steps: int,
    peers: Peers | None,
    say: Say,
    aim: float = 1.0,
    keep: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Measures the training step that a config describes.

    Args:
        config: of an experiment with an existing dataset.
        rounds: turns of every contestant.
        sizes: of the probes.
        data_steps: steps of the run that reads its batches.
        peers: other libraries to time; None: none.
        say: receives a line of progress.
        aim: seconds of a turn.
        keep: receives the result without peers before the peers are started, which may take longer than there is time.

    Raises:
        InputError: a peer does not compute the same network.
    """
    facts = {"began": time.strftime("%Y-%m-%d %H:%M", time.gmtime()), "load": os.getloadavg()}
    subject = Subject.of(config)
    host = subject.host_batch()
    say(f"compiling {config.name} for {jax.devices()[0].device_kind}")
    ours = Ours(subject, host)
    say(f"compiled in {ours.seconds['compile']:.1f} s")
    entered = probes(sizes)
    data: dict[str, Any] | None = None
    if keep is not None:
        series = interleave([ours, *entered], rounds, aim=aim, say=say)
        data = _data(subject, ours, data_steps, say)
        early = {"asked": peers is not None, "failed": "this is the result without them; they come after it"}
        keep(_result(subject, ours, entered, series, facts, data, early))
    with contextlib.ExitStack() as stack:
        opened: list[PeerSteps] = []
        report: dict[str, Any] = {"asked": peers is not None}
        if peers is not None:
            opened = list(_open(subject, ours, host, peers, stack, report, say))
        contestants: list[Contestant] = [ours, *opened, *entered]
        series = interleave(contestants, rounds, aim=aim, say=say)
        for peer in opened:
            report["variants"][peer.name.removeprefix("torch ")]["peak_bytes"] = peer.peak_bytes
    for name, row in report.get("variants", {}).items():
        if f"torch {name}" in series:
            row |= _row(series[f"torch {name}"], int(config.data.batch))
            if row.get("step_seconds"):
                row["times_our_seconds"] = {
                    clock: ratio(series[f"torch {name}"], series["jax"], clock) for clock in ("wall", "cpu")
                }
    data = data or _data(subject, ours, data_steps, say)
    return _result(subject, ours, entered, series, facts, data, report)


def _result(
    subject: Subject,
    ours: Ours,
    entered: list[Probe],
    series: dict[str, Series],
    facts: dict[str, Any],
    data: dict[str, Any],
    report: dict[str, Any],
) -> dict[str, Any]:
    """The result of `measure`, from the turns of all contestants; `report` is that of the peers."""
    if series["jax"].failed:
        raise RuntimeError(series["jax"].failed)
    experiment = subject.experiment
    config = experiment.config
    found = peaks(entered, series)
    row = _row(series["jax"], config.data.batch)
    return {
        "config": {"name": config.name, "batch": config.data.batch, "dtype": config.model.dtype}
        | {"patch": list(experiment.training.size), "blocks": list(config.model.blocks), "remat": config.model.remat},
        "machine": machine() | {"began": facts["began"]},
        "load_average": {"before": facts["load"], "after": os.getloadavg()},
        "rounds": len(series["jax"].turns),
        "parameters": cost.parameters(ours.state.params),
        "peaks": dataclasses.asdict(found)
        | {"probes": {p.name: spread([p.work / s for s in series[p.name].seconds()]) for p in entered}},
        "ours": row
        | _against(subject, ours, found, row["step_seconds"]["median"], config.model.dtype)
        | {"seconds_to_compile": ours.seconds, "memory": memory(ours)},
        "data": data,
        "peers": report,
    }


def _open(
    subject: Subject, ours: Ours, host: Any, peers: Peers, stack: contextlib.ExitStack, report: dict[str, Any], say: Say
) -> Iterator[PeerSteps]:
    """Starts the peer, compares it with us, and opens its variants; the report names those that fail.

    Each variant has a process of its own, because one that is not ready in time is ended with its process.
    """
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    rows: dict[str, Any] = {name: {} for name in peers.variants}
    report |= {"python": peers.python, "variants": rows}

    def started(name: str) -> Peer:
        peer, report["hello"] = begin(peers, folder / f"{name}.log", jax.default_backend())
        stack.callback(peer.close)
        return peer

    try:
        peer = started("first")
    except Failed as error:
        report["failed"] = str(error)
        return
    say(f"comparing with {report['hello']['library']} in float32")
    few = jax.tree.map(lambda x: x[:COMPARED], host)
    params, mine = subject.gradients(few)
    said = describe(subject)

    def load(name: str, batch: Any) -> dict[str, Any]:
        path = folder / name
        arrays: dict[str, Any] = params | flat("batch", batch)
        np.savez(path, **arrays)
        return said | {"arrays": str(path)}

    result = folder / "compared.npz"
    try:
        peer.ask("compare", load=load("few.npz", few), result=str(result), dtype="float32", limit=peers.limit)
    except Failed as error:
        report["failed"] = str(error)
        return
    with np.load(result) as theirs:
        report["compared"] = compared(mine, dict(theirs))
    given = load("batch.npz", host)
    dtype = str(subject.experiment.config.model.dtype)
    for number, (name, row) in enumerate(rows.items()):
        say(f"torch {name}: first step")
        try:
            peer = started(name) if number else peer
            row |= {"first": peer.ask("open", work="train", variant=name, load=given, dtype=dtype, limit=peers.limit)}
            off = abs(row["first"]["value"] - ours.loss) / abs(ours.loss)
            if not off <= FIRST_LOSS[dtype]:
                raise Failed(f"its first loss is {row['first']['value']}, but ours is {ours.loss}: the networks differ")
        except Failed as error:
            row["failed"] = str(error)
            say(f"torch {name}: {error}")
            continue
        yield PeerSteps(peer, name, limit=peers.limit)


def compared(
    ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], tolerance: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """The largest difference of each kind of array, and the array that has it.

    Args:
        ours, theirs: arrays by kind/name, such as "outputs/image1".
        tolerance: the most that each kind may differ by; None for `TOLERANCE`.

    Raises:
        InputError: a difference exceeds it: the peer is another network, and timing it would be useless.
    """
    worst: dict[str, Any] = {}
    for name, apart in differences(ours, theirs):
        kind = name.partition("/")[0]
        allowed = (tolerance or TOLERANCE)[kind]
        if not apart <= allowed:  # also what is not a number
            raise InputError(
                f"the peer computes another network: its {name} differs by {apart:.1e} of its norm, but at most "
                f"{allowed:.0e} is allowed"
            )
        if apart > worst.get(kind, {"apart": -1.0})["apart"]:
            worst[kind] = {"apart": apart, "array": name, "tolerance": allowed}
    return worst


def _row(series: Series, batch: int) -> dict[str, Any]:
    if series.failed is not None:
        return {"failed": series.failed}
    wall = spread(series.seconds())
    return {
        "step_seconds": wall,
        "step_cpu_seconds": spread(series.seconds("cpu")),
        "patches_per_second": batch / wall["median"],
        "steps_per_turn": series.turns[0].steps,
    }


def _against(subject: Subject, ours: Ours, found: Any, seconds: float, dtype: str) -> dict[str, Any]:
    """Achieved FLOP/s, and shares of the peaks and of the roofline.

    Counts the operations of the mathematics; the recomputation of remat does not count as achieved.
    """
    shapes = (subject.experiment.abstract(), ours.batch)
    executed = roofline.layers(subject.step, *shapes)
    remat = subject.experiment.model.remat != "none"
    needed = roofline.layers(subject.variant(remat="none").step, *shapes) if remat else executed
    work, line = roofline.flops(needed), roofline.bound(needed, found)
    return {
        "flops_per_step": work,
        "flops_per_step_with_remat": roofline.flops(executed),
        "flops_per_second": work / seconds,
        "share_of_matmul_peak": {d: work / seconds / peak for d, peak in found.matmul.items()},
        "roofline": line | {"dtype": dtype, "share": line["seconds"] / seconds},
        "roofline_with_remat": roofline.bound(executed, found)["seconds"] / seconds,
    }


def _data(subject: Subject, ours: Ours, steps: int, say: Say) -> dict[str, Any]:
    """Times steps that read their batches as a run does, then reading alone."""
    experiment, warm_up = subject.experiment, 2
    config = experiment.config.data
    say(f"{steps} steps with data")
    meter = Meter(config.batch, 0.0)
    with contextlib.closing(subject.loader(ours.steps)) as loader:
        for number in range(warm_up + steps):
            if number == warm_up:
                meter.restart(number)
            with meter.waiting():
                batch = next(loader)
            ours.state, metrics = ours.program(ours.state, batch)
            ours.steps += 1
            jax.device_get(metrics)  # as the training loop does
        read = meter.read(warm_up + steps)
        masked = loader.masked
    if masked:
        raise InputError(f"{masked} patches of {experiment.data.root} could not be read: see above")
    say("reading alone")
    with contextlib.closing(open_batches(experiment, 0, experiment.slice_)) as batches:
        for _ in range(warm_up + config.threads):  # drops the batches that were read ahead
            next(batches)
        began = time.perf_counter()
        for _ in range(steps):
            next(batches)
        alone = steps * config.batch / (time.perf_counter() - began)
    return {
        "dataset": experiment.data.description["name"],
        "training_patches": len(experiment.training),
        "steps": steps,
        "threads": config.threads,
        "wait_share": read["data_wait"],
        "patches_per_second": read["patches_per_second"],
        "patches_per_second_reading_alone": alone,
    }
