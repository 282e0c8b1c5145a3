"""Prepares a dataset from raw rasters, site by site and restartable; replaces a former dataset only when complete."""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import tqdm

from jointseg_jax.bounds import flags as bounds
from jointseg_jax.bounds.config import check_dataset
from jointseg_jax.data.dataset import DESCRIPTION, SITES, Dataset, Simulated, Site, load
from jointseg_jax.data.prepare import ground, site_line, site_list, sources, splits, statistics
from jointseg_jax.data.prepare.archive.choose import TABLE as CHOSEN
from jointseg_jax.data.prepare.archive.choose import Archive
from jointseg_jax.data.prepare.archive.sites import read_sites
from jointseg_jax.data.prepare.patch_index import check_room, patch_index
from jointseg_jax.data.prepare.recipe import Recipe, cloud_names, make_recipe
from jointseg_jax.data.prepare.site.lattice import site_lattice
from jointseg_jax.data.prepare.site_folders import SiteFolders
from jointseg_jax.data.prepare.site_work import RUN, WRITTEN, SitePlan, SiteWork
from jointseg_jax.data.prepare.sources import SiteEntry, SiteSource
from jointseg_jax.data.site_record import RECORD
from jointseg_jax.errors import InputError, Unfinished
from jointseg_jax.jobs.cluster import local_executor
from jointseg_jax.jobs.progress import progress_bar
from jointseg_jax.jobs.run_folder import RunFolder
from jointseg_jax.jobs.units import Event, Outcome, run_units
from jointseg_jax.rasters.contract import COMPOSITES, Contract
from jointseg_jax.storage import folders, typed
from jointseg_jax.storage.files import clear_partial_folders
from jointseg_jax.storage.locks import exclusive

_WORTH_A_WORKER = 20.0  # km2: below it, starting a process takes longer than it saves


def prepare(config: Any, say: Callable[[str], None] = print, *, workers: int = 1) -> Dataset:
    """Prepares the dataset of a config, or the rest of it.

    A site made from the same files with the same settings is kept. Failed sites are reported at the end, after all
    others were tried. A site during which a process dies is tried three times. New rasters are written beside the
    former ones: the former dataset stays unchanged until all sites are done, and a process that reads it can continue
    after that.

    Args:
        config: `config.dataset`; see configs/common.py for its fields.
        say: receives one line per site.
        workers: number of processes; 1 means this one, 0 one per core and 20 km2 (4 at most). More than sites are not
            started.

    Raises:
        InputError: the config or a site is faulty; the message says where and what to do.
        Interrupted, StorageError: stopped, or the disk is full; the same call keeps finished sites.
        Unfinished: the process of a site died each time, or a defect of the program ended it.
    """
    check_dataset(config)
    bounds.WORKERS.check("workers", workers)
    root = pathlib.Path(config.path)
    raw = [] if config.source.root is None else [pathlib.Path(config.source.root).expanduser()]
    with (
        folders.claim(root, "prepared dataset", inputs=raw, beside=WRITTEN, older=_made_without_marker),
        exclusive(root, "preparation"),
    ):
        return _prepare(root, config, workers, say)


def _made_without_marker(folder: pathlib.Path) -> list[str] | None:
    """Recognises a complete or partial dataset from before folders were marked."""
    known = (folder / DESCRIPTION).is_file() or any((folder / SITES).glob(f"*/{RECORD}"))
    return [] if known else None


def _prepare(root: pathlib.Path, config: Any, workers: int, say: Callable[[str], None]) -> Dataset:
    recipe = make_recipe(config)
    entries = list_sites(config)
    given = ground.given_splits(config.split, entries)
    names = file_names(config, recipe)
    if config.source.kind == "archive":
        archive = _archive(config, recipe, names, root / sources.INPUTS)
        planned, refused = _plan(entries, recipe, names, archive.find)
        archive.table(root / CHOSEN)
    else:
        inputs = root / sources.INPUTS
        planned, refused = _plan(
            entries, recipe, names, lambda entry: sources.find(entry, names, recipe.modalities, inputs)
        )
    planned = _divide(config, given, planned, say, complete=not refused)
    if not refused:  # the ground of a site that is missing may have room
        check_room(planned, config)
    clear_partial_folders(root / SITES)  # of a run that was killed
    outcome = _run(SiteWork(root, recipe, entries, planned, refused), workers, say)
    found = {**outcome.skipped, **outcome.done}
    failed = {name: str(error) for name, error in found.items() if isinstance(error, InputError)} | outcome.quarantined
    if failed:
        sentence = (
            f"{len(failed)} of {len(entries)} sites could not be prepared ({', '.join(failed)}); the first: "
            f"{next(iter(failed.values()))}"
        )
        if outcome.quarantined:
            raise Unfinished(f"{sentence} (details in {root / RUN / 'quarantine'}; running again tries them again)")
        raise InputError(sentence)
    shutil.rmtree(root / RUN, ignore_errors=True)
    return _finish(root, config, recipe, [found[entry.name] for entry in entries], say)


def _run(work: SiteWork, workers: int, say: Callable[[str], None]) -> Outcome:
    """Makes the sites that are missing, and reports each."""
    names = [entry.name for entry in work.entries]
    km2 = {name: work.plans[name].km2 if name in work.plans else 0.0 for name in names}
    most = len(names) if workers else min(len(names), 1 + int(sum(km2.values()) / _WORTH_A_WORKER))
    executor = local_executor(workers, most)
    with progress_bar("site", km2, "s", logged=False) as tell:

        def report(event: Event) -> None:
            tell(event)
            if event.value is None:
                return
            about = f"FAILED: {event.value}"
            if isinstance(event.value, Site):
                about = site_line.in_words(event.value, work.plans[event.unit], fresh=event.kind == "done")
            with tqdm.tqdm.external_write_mode():
                say(f"[{event.settled}/{event.total}] {event.unit}: {about}")

        return run_units(
            names, work, RunFolder(work.root / RUN), executor, find=work.find, on_event=report, say=say, noun="site"
        )


def list_sites(config: Any) -> list[SiteEntry]:
    """The sites that a dataset config names.

    Raises:
        InputError: the folder is not given, is missing, or lists no site.
    """
    source, only = config.source, tuple(config.source.only)
    if source.root is None:
        raise InputError(source.missing)
    root = pathlib.Path(source.root).expanduser()
    if not root.is_dir():
        raise InputError(f"{root} is not a folder. {source.missing}")
    if source.kind == "archive":
        inside = root / source.sites
        return read_sites(inside if inside.is_file() else pathlib.Path(source.sites), source.side, only)
    if source.kind == "scenes":
        return site_list.from_scenes(root, source.image, only)
    return site_list.from_table(root, only)


def file_names(config: Any, recipe: Recipe) -> sources.Names:
    """The file names of a site; the first modality is required at every site unless it is simulated."""
    source = config.source
    from_files = [m.name for m in recipe.modalities if m is not recipe.primary or recipe.simulate is None]
    return sources.Names(
        image=source.image,
        label=source.label,
        vectors=tuple(source.vectors),
        cloud=cloud_names(config),
        built_up=source.get("built_up", ""),
        layers={name: tuple(source.layers[name]) for name in from_files},
        required=() if recipe.simulate is not None else (recipe.primary.name,),
    )


def _archive(config: Any, recipe: Recipe, names: sources.Names, inputs: pathlib.Path) -> Archive:
    if recipe.simulate is not None or names.cloud:
        field = "simulate.enabled" if recipe.simulate is not None else "source.cloud"
        raise InputError(
            f"dataset.{field} does not go with dataset.source.kind='archive', which reads products and their own scene "
            "classification: leave it unset"
        )
    root = pathlib.Path(config.source.root).expanduser()
    for name in names.vectors:
        if not (root / name).exists():
            raise InputError(f"{root / name} of dataset.source.vectors does not exist: correct the name or the root")
    return Archive(
        root,
        names.layers,
        [dataclasses.replace(m, dates=recipe.acquired[m.name]) for m in recipe.modalities],
        recipe.clear_rule,
        inputs,
        image=names.image,
        label=names.label,
        vectors=names.vectors,
        built_up=names.built_up,
        days=config.source.days,
    )


def _plan(
    entries: list[SiteEntry], recipe: Recipe, names: sources.Names, find: Callable[[SiteEntry], SiteSource]
) -> tuple[dict[str, SitePlan], dict[str, InputError]]:
    """Finds the files and computes the lattices of all sites, before any raster is written."""
    planned: dict[str, SitePlan] = {}
    failed: dict[str, InputError] = {}
    for entry in entries:
        try:
            source = find(entry)
            planned[entry.name] = SitePlan(source, site_lattice(source, recipe))
        except InputError as error:
            failed[entry.name] = error
    if not failed:
        sources.check_layers([plan.source for plan in planned.values()], names)
    return planned, failed


def _divide(
    config: Any,
    given: Mapping[str, str],
    planned: Mapping[str, SitePlan],
    say: Callable[[str], None],
    *,
    complete: bool,
) -> dict[str, SitePlan]:
    """Divides the ground among the splits; while sites are missing, blocks wait for the next run."""
    lattices = {name: plan.lattice for name, plan in planned.items()}
    ground.check_apart(given, lattices)
    divided = {name: lattice for name, lattice in lattices.items() if complete or name in given}
    parts = ground.divide(config.split, given, divided, config.patch, say)
    return {name: dataclasses.replace(plan, ground=parts.get(name, ())) for name, plan in planned.items()}


def _finish(root: pathlib.Path, config: Any, recipe: Recipe, sites: list[Site], say: Callable[[str], None]) -> Dataset:
    modalities = tuple(
        dataclasses.replace(m, optional=any(m.name not in s.layers for s in sites)) for m in recipe.modalities
    )
    composite = COMPOSITES.get(recipe.composite, config.composite)
    contract = Contract(modalities, recipe.image_bands, label=config.label.name, composite=composite)
    simulated = None if recipe.simulate is None else Simulated(recipe.primary.name, recipe.simulate, recipe.later.shift)
    index = patch_index(root, sites, config)
    bare = Dataset(root, contract, {s.name: s for s in sites}, index, simulated, {})
    contract = statistics.over_training(bare)
    description = {
        "name": config.name,
        "licence": config.licence,
        "provenance": config.provenance,
        "contract": typed.plain(contract),
        "simulated": typed.plain(simulated),
        "split": json.loads(config.split.to_json_best_effort()),
        "patch": config.patch,
    }
    if SiteFolders(root).publish(description, sites, index):
        say(f"{root}: former rasters stay while a process reads them; the next preparation removes them")
    if contract.primary.statistics is None:
        say(f"{root}: no site is for training: the dataset can only evaluate networks trained on other datasets")
    counts = ", ".join(f"{split} {int((index['split'] == split).sum())}" for split in splits.SPLITS)
    say(
        f"{root}: {len(sites)} sites, patches of {config.patch} x {config.patch} input pixels: {counts}; more on each "
        f"site in {SITES}/NAME/{RECORD}"
    )
    return load(root, hold=False)  # a later preparation in this process must be able to remove its files
