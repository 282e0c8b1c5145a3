"""Decodes the maps of several dates, tile by tile; `jointseg monitor` runs it."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import shapely

from jointseg_jax.change import figures, maps
from jointseg_jax.change.decode_tile import decode_tile
from jointseg_jax.change.estimation import (
    LEAST_DATES,
    Sample,
    believable,
    class_means,
    estimate,
    estimate_sharpness,
    first_chain,
)
from jointseg_jax.change.measure import SAMPLED, measure_tile, probabilities_of
from jointseg_jax.change.monitor_record import LEDGER, ClassRates, Monitor, Settings, write_monitor
from jointseg_jax.change.transitions import Transitions
from jointseg_jax.change.work import MEASURED, Context, TileWork
from jointseg_jax.errors import Interrupted
from jointseg_jax.jobs.executors import Executor
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.jobs.progress import progress_bar
from jointseg_jax.jobs.run_folder import RunFolder
from jointseg_jax.jobs.units import Outcome, run_units
from jointseg_jax.storage.folders import claim

KIND = "monitor"
_MOST_SAMPLED = 1 << 20  # sequences from which the transitions are estimated


def run_monitor(
    folders: Mapping[str, str | os.PathLike[str]],
    output: str | os.PathLike[str],
    settings: Settings,
    executor: Executor,
    *,
    regions: Mapping[str, shapely.Geometry] | None = None,
    mixed: bool = False,
    skip_missing: bool = False,
    deep: bool = False,
    beside: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Decodes maps: measures their tiles, estimates the transitions, decodes the tiles, writes records and figures.

    Args:
        folders: of the maps, by date, in order of time; see `maps.parse_maps`.
        output: folder; created if missing.
        settings: see `Settings`.
        executor: runs the tiles.
        regions: polygons in degrees by name, that have transitions of their own.
        mixed: record differences between the maps, instead of refusing them.
        skip_missing: tiles that are planned but not mapped count as without data.
        deep: verify the checksums of existing files.
        beside: the maps lie in the output folder.
        say: receives the lines of the report.

    Raises:
        InputError: the maps cannot be decoded together, or the folder holds something else.
        Interrupted, StorageError: the same call resumes.
        Unfinished: some tiles failed repeatedly.
    """
    folder = pathlib.Path(output)
    read = {label: pathlib.Path(path) for label, path in folders.items()}
    own = (LEDGER, "tiles", "items", MEASURED, "monitor.json", "metrics.json", "collection.json")
    with claim(folder, KIND, inputs=read.values(), beside=own if beside else None):
        years = maps.open_maps(read, skip_missing=skip_missing)
        monitor = maps.set_up(folder, years, settings, regions or {}, mixed=mixed)
    _introduce(monitor, say)
    context = Context(folder.absolute())
    outcome = _measure(context, executor, deep, say)
    if not monitor.classes:
        monitor = _estimated(context, executor, outcome)
        write_monitor(folder, monitor)
        context.monitor = monitor
    figures.say_classes(monitor, say)
    ledger = Ledger(folder / LEDGER, folder, say=say)
    units = [name for name in context.tiles if name not in outcome.quarantined]
    decoded = _run(context, units, TileWork(folder, decode_tile), RunFolder(ledger.folder), executor, ledger, deep, say)
    rows = {name: row for name, row in ledger.done().items() if name in context.tiles}
    if len(rows) < len(context.tiles) and executor.shard[1] > 1:
        say(
            f"shard   its tiles are done; {len(context.tiles) - len(rows)} of all {len(context.tiles)} are not done, "
            "or not visible here yet: the last shard writes the records; if none has written them, run any shard again"
        )
    elif rows:
        figures.conclude(folder, monitor, rows, say)
    outcome.raise_unfinished()
    decoded.raise_unfinished()


def _run(
    context: Context,
    units: list[str],
    work: Callable[[str], Any],
    run: RunFolder,
    executor: Executor,
    ledger: Ledger,
    deep: bool,
    say: Callable[[str], None],
) -> Outcome:
    km2 = {name: context.tiles[name].owned_m2 / 1e6 for name in units}
    with progress_bar("tile", km2, "s") as tell:
        return run_units(
            units,
            work,
            run,
            executor,
            find=lambda tile: ledger.find(tile, deep),
            on_event=tell,
            say=say,
            noun="tile",
        )


def _measure(context: Context, executor: Executor, deep: bool, say: Callable[[str], None]) -> Outcome:
    run = RunFolder(context.measured.folder)
    units, work = list(context.tiles), TileWork(context.folder, measure_tile)
    say(f"measure {len(units)} tiles: shifts and jumps between their dates, density, a sample of sequences")
    return _run(context, units, work, run, executor, context.measured, deep, say)


def _estimated(context: Context, executor: Executor, outcome: Outcome) -> Monitor:
    """The monitor with its classes.

    Raises:
        Interrupted: other shards have not measured their tiles yet.
        Unfinished: no tile could be measured.
    """
    rows = context.measured.done()
    left = set(context.tiles) - set(rows) - set(outcome.quarantined)
    if left:
        raise Interrupted(
            f"{len(left)} of {len(context.tiles)} tiles are not measured yet, from which the transitions are "
            "estimated: run the same command again when the other shards have measured theirs"
        )
    if not rows:
        outcome.raise_unfinished()
    monitor, settings = context.monitor, context.monitor.settings
    count, total = (np.sum([row[key] for row in rows.values()], 0) for key in ("pixels", "probability"))
    if outcome.quarantined and None in (settings.prior, settings.sharpness, settings.gain, _loss(settings)):
        outcome.raise_unfinished()  # what is estimated must not depend on which tiles failed today
    sample = _sample(context, rows)
    chain, priors, sharpness = _chain(sample, tuple(date.time for date in monitor.dates), len(count), settings)
    chain, assumed = believable(chain, gain=settings.gain, loss=_loss(settings))
    known = None not in (settings.gain, _loss(settings)) or len(monitor.dates) < LEAST_DATES
    sampled = np.zeros(len(count), int) if known else np.bincount(sample.classes, minlength=len(count))
    classes = []
    for k, prior in enumerate(priors):
        region, density = context.ground.described(k)
        mean = float(total[k] / count[k]) if count[k] else None
        shares = (float(prior), chain.initial[k], chain.gain[k], chain.loss[k])
        classes.append(ClassRates(region, density, int(count[k]), mean, int(sampled[k]), *shares, assumed[k]))
    return dataclasses.replace(monitor, classes=tuple(classes), sharpness=sharpness)


def _loss(settings: Settings) -> float | None:
    """The loss that the settings give."""
    return 0.0 if settings.irreversible else settings.loss


def _chain(
    sample: Sample, years: tuple[float, ...], classes: int, settings: Settings
) -> tuple[Transitions, np.ndarray, float]:
    """The chain of each class, the prior of each class, and the sharpness: given, or estimated from a sample."""
    gain, loss, sharpness = settings.gain, _loss(settings), settings.sharpness
    if sharpness is None:
        start = first_chain(years, class_means(sample, classes))
        sharpness = estimate_sharpness(sample, start, gain=gain, loss=loss)
    sample = dataclasses.replace(sample, sharpness=sharpness)
    priors = class_means(sample, classes) if settings.prior is None else np.full(classes, settings.prior)
    # A given prior says what the maps assume, not how much was built at first: that is estimated with the rates.
    initial = settings.prior is not None and None in (gain, loss)
    return (
        estimate(sample, first_chain(years, priors), priors, gain=gain, loss=loss, initial=initial),
        priors,
        sharpness,
    )


def _sample(context: Context, rows: Mapping[str, Mapping[str, Any]]) -> Sample:
    """The samples of all tiles, thinned evenly to a size that fits into memory."""
    step = max(1, -(-len(rows) * SAMPLED // _MOST_SAMPLED))
    levels, kinds, doubts = [], [], []
    for name in sorted(rows):
        with np.load(context.sample_file(name)) as stored:
            levels.append(stored["levels"][:, ::step])
            kinds.append(stored["classes"][::step])
        doubt = np.array(rows[name]["doubt"], np.float32)
        doubts.append(np.broadcast_to(doubt[:, None], levels[-1].shape))
    whole = probabilities_of(np.concatenate(levels, 1))
    return Sample(whole, np.concatenate(kinds), np.concatenate(doubts, 1))


def _introduce(monitor: Monitor, say: Callable[[str], None]) -> None:
    for date in monitor.dates:
        what = f"{date.tiles} tiles" if date.kind == "area" else "one scene"
        say(f"maps    {date.label}: {date.folder}, {what}, {date.network}")
    for text in monitor.differences:
        say(f"warning {text}")
