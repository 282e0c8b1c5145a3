"""Prepares a dataset from raw rasters, site by site and restartable; replaces a former dataset only when complete."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

from odc.geo.geobox import GeoBox

from jointseg_jax.bounds.config import check_dataset
from jointseg_jax.data.dataset import DESCRIPTION, INDEX, SITES, Dataset, Simulated, Site, load
from jointseg_jax.data.prepare import ground, sources, splits, statistics
from jointseg_jax.data.prepare.patch_index import patch_index
from jointseg_jax.data.prepare.recipe import Recipe, make_recipe, site_lattice
from jointseg_jax.data.prepare.site_folders import SiteFolders
from jointseg_jax.data.prepare.site_rasters import prepare_site
from jointseg_jax.data.prepare.sources import SiteEntry, SiteSource
from jointseg_jax.data.site_record import RECORD
from jointseg_jax.errors import InputError, StorageError
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.rasters.lattice import crs_text
from jointseg_jax.storage import folders, typed
from jointseg_jax.storage.locks import exclusive

_MAKING = 1  # raise it when the same files and settings yield other rasters; sites are then made again
_WRITTEN = frozenset({DESCRIPTION, INDEX, SITES})  # in the dataset's folder, beside which raw data may lie


@dataclasses.dataclass(frozen=True)
class _Planned:
    """A site with its files, which match by their headers.

    Attributes:
        source: its files.
        lattice: its 10 m lattice.
        others: lattices of the sites from which it keeps the gap.
    """

    source: SiteSource
    lattice: GeoBox
    others: tuple[GeoBox, ...] = ()


def prepare(config: Any, say: Callable[[str], None] = print) -> Dataset:
    """Prepares the dataset of a config, or the rest of it.

    A site made from the same files with the same settings is kept. Failed sites are reported at the end, after all
    others were tried. New rasters are written beside the former ones: the former dataset stays unchanged until all
    sites are done, and a process that reads it can continue after that.

    Args:
        config: `config.dataset`; see configs/common.py for its fields.
        say: receives one line per site.

    Raises:
        InputError: the config or a site is faulty; the message says where and what to do.
        StorageError: the disk is full; finished sites are kept.
    """
    check_dataset(config)
    root = pathlib.Path(config.path)
    raw = [] if config.source.root is None else [pathlib.Path(config.source.root).expanduser()]
    with (
        folders.claim(root, "prepared dataset", inputs=raw, beside=_WRITTEN, older=_made_without_marker),
        exclusive(root, "preparation"),
    ):
        return _prepare(root, config, say)


def _made_without_marker(folder: pathlib.Path) -> list[str] | None:
    """Recognises a complete or partial dataset from before folders were marked."""
    known = (folder / DESCRIPTION).is_file() or any((folder / SITES).glob(f"*/{RECORD}"))
    return [] if known else None


def _prepare(root: pathlib.Path, config: Any, say: Callable[[str], None]) -> Dataset:
    recipe = make_recipe(config)
    entries = list_sites(config)
    rules = ground.split_rules(config.split, entries)
    planned, failed = _plan(entries, recipe, file_names(config, recipe))
    planned = _set_apart(config, entries, planned)
    prepared: list[Site] = []
    said: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        try:
            if entry.name in failed:
                raise failed[entry.name]
            site, fresh = _one_site(planned[entry.name], recipe, rules[entry.name], config, root)
        except StorageError:
            raise  # it would stop the other sites too
        except InputError as error:
            failed[entry.name] = error
            say(f"[{number}/{len(entries)}] {entry.name}: FAILED: {error}")
            continue
        prepared.append(site)
        # Shared notes are printed once, notes on missing files for every site.
        notes = [n for n in site.notes if n in planned[entry.name].source.notes or n not in said]
        said.update(notes)
        area = site.height * site.width / 1e4
        done = [f"{area:.2f} km2", "prepared" if fresh else "already there"]
        say(f"[{number}/{len(entries)}] {entry.name}: {'; '.join([', '.join(done), *notes])}")
    if failed:
        raise InputError(
            f"{len(failed)} of {len(entries)} sites could not be prepared ({', '.join(failed)}); the first: "
            f"{next(iter(failed.values()))}"
        )
    return _finish(root, config, recipe, prepared, say)


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
    return sources.from_scenes(root, source.image, only) if source.kind == "scenes" else sources.from_table(root, only)


def file_names(config: Any, recipe: Recipe) -> sources.Names:
    """The file names of a site; the first modality is required at every site unless it is simulated."""
    source = config.source
    from_files = [m.name for m in recipe.modalities if m is not recipe.primary or recipe.simulate is None]
    return sources.Names(
        image=source.image,
        label=source.label,
        vectors=tuple(source.vectors),
        cloud=source.cloud,
        layers={name: tuple(source.layers[name]) for name in from_files},
        required=(recipe.primary.name,),
    )


def _plan(
    entries: list[SiteEntry], recipe: Recipe, names: sources.Names
) -> tuple[dict[str, _Planned], dict[str, InputError]]:
    """Finds the files and computes the lattices of all sites, before any raster is written."""
    planned: dict[str, _Planned] = {}
    failed: dict[str, InputError] = {}
    for entry in entries:
        try:
            source = sources.find(entry, names)
            planned[entry.name] = _Planned(source, site_lattice(source, recipe))
        except InputError as error:
            failed[entry.name] = error
    if not failed:
        sources.check_layers([plan.source for plan in planned.values()], names)
    return planned, failed


def _set_apart(config: Any, entries: list[SiteEntry], planned: dict[str, _Planned]) -> dict[str, _Planned]:
    """Applies `ground.check_apart`, and records the neighbours from which each site keeps the gap."""
    lattices = {name: plan.lattice for name, plan in planned.items()}
    ground.check_apart(config.split, entries, lattices)
    apart = {}
    for name, others in ground.neighbours(config.split, lattices).items():
        source = planned[name].source
        if others:
            note = f"no split within {config.split.gap} pixels of {', '.join(others)}: the blocks there are others"
            source = dataclasses.replace(source, notes=(*source.notes, note))
        apart[name] = _Planned(source, lattices[name], tuple(lattices[other] for other in others))
    return apart


def _one_site(plan: _Planned, recipe: Recipe, rule: ground.Rule, config: Any, root: pathlib.Path) -> tuple[Site, bool]:
    """Keeps or makes a site; returns it and whether it was made."""
    folders.check_apart(root, plan.source.files(), _WRITTEN)
    made, name, fingerprint = SiteFolders(root), plan.source.entry.name, _fingerprint(plan, recipe, config)
    known = made.find(name, fingerprint)
    if known is not None:
        return known, False
    rule = ground.give_way(rule, plan.lattice, plan.others, config.split.gap)

    def write(folder: pathlib.Path, at: str) -> Site:
        return prepare_site(plan.source, plan.lattice, recipe, rule, folder, at)

    return made.make(name, fingerprint, write), True


def _fingerprint(plan: _Planned, recipe: Recipe, config: Any) -> str:
    """A digest that changes with the site's files, settings or neighbours."""
    files = []
    for path in plan.source.files():
        status = path.stat() if path.exists() else None  # a virtual raster's source may not be a file
        files.append((str(path), status and (status.st_size, status.st_mtime_ns)))
    entry = plan.source.entry
    others = [(crs_text(other), *other.affine[:6], *other.shape) for other in plan.others]
    about = [entry.place, entry.region, entry.date]  # the place's name seeds the blocks
    settings = [_MAKING, repr(recipe), config.split.to_json_best_effort(), *about, others, files]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


def _finish(root: pathlib.Path, config: Any, recipe: Recipe, sites: list[Site], say: Callable[[str], None]) -> Dataset:
    modalities = tuple(
        dataclasses.replace(m, optional=any(m.name not in s.layers for s in sites)) for m in recipe.modalities
    )
    contract = Contract(modalities, recipe.image_bands, label=config.label.name, composite=config.composite)
    simulated = None if recipe.simulate is None else Simulated(recipe.primary.name, recipe.simulate)
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
        say(f"{root}: no site is for training: networks that were trained elsewhere can be judged on it")
    counts = {s: int((index["split"] == s).sum()) for s in splits.SPLITS}
    say(f"{root}: {len(sites)} sites, patches of {config.patch} x {config.patch} input pixels: {counts}")
    return load(root, hold=False)  # a later preparation in this process must be able to remove its files
