"""Finds the scenes of --input: a raster, a scene, a folder of those, a prepared dataset, STAC, an address."""

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence

from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import Dataset, load
from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.contract import Contract, differences
from jointseg_jax.rasters.open_scene import find_files, valid_sample
from jointseg_jax.rasters.radiometry.find_bands import bands_note
from jointseg_jax.rasters.scene import OpenedScene
from jointseg_jax.sources.acquisition import Acquisition, stack
from jointseg_jax.sources.band_files import RASTERS, group, rasters_in
from jointseg_jax.sources.raster_tags import date_and_cloud, moment_in
from jointseg_jax.sources.safe import is_safe, read_safe
from jointseg_jax.sources.stac import StacScene
from jointseg_jax.sources.stac_items import is_stac, open_catalogue
from jointseg_jax.sources.wanted import ANYTHING, Wanted

# Words in the names of files that products and processors write beside a scene.
_COMPANIONS = frozenset(
    (
        "SCL",
        "AOT",
        "AOD",
        "WVP",
        "TCI",
        "PVI",
        "CLD",
        "CLDPRB",
        "SNWPRB",
        "QA60",
        "QAI",
        "QA",
        "MSK",
        "MASK",
        "CLOUDMASK",
    )
)
_SEARCHED = "search.json"  # in the folder of virtual rasters: what a STAC API answered
_STAC_NAMES = ("collection.json", "catalog.json", "item-collection.json")


@dataclasses.dataclass(frozen=True)
class SceneFiles:
    """A scene that was found but not opened yet.

    Attributes:
        id: unique among the found scenes.
        files: finds modality -> one file per date; raises `InputError` if one is missing.
        date: ISO, as precise as known; empty if unknown.
        cloud: per cent, or None.
        opened: opens a scene that needs more than its files (a site of a dataset); None otherwise.
    """

    id: str
    files: Callable[[], Mapping[str, Sequence[pathlib.Path]]]
    date: str = ""
    cloud: float | None = None
    opened: Callable[[], OpenedScene] | None = None


def find_scenes(
    path: str | os.PathLike[str],
    contract: Contract,
    inputs: str | os.PathLike[str],
    *,
    dates: int | None = None,
    wanted: Wanted = ANYTHING,
    say: Callable[[str], None] = lambda _: None,
) -> list[SceneFiles]:
    """Finds the scenes of a path or an address.

    Args:
        path: a raster; a folder that is a scene (one raster per modality, or one file per band); a folder of scenes or
            rasters; a product as .SAFE or zip archive; a STAC item, item collection, catalogue or collection (or a
            folder with `collection.json`); a prepared dataset. Rasters and STAC may have an address (`https://...`);
            the collection of a STAC API is searched, and the answer kept in `inputs`.
        contract: of the network's training.
        inputs: folder for the virtual rasters that stack separate band files.
        dates: of every scene, use only so many, the first ones; None for all.
        wanted: only scenes that may have this date, and STAC items that may show this ground.
        say: receives a line for each skipped file.

    Raises:
        InputError: the path holds no scene.
    """
    path, inputs = remote.path_of(path), pathlib.Path(inputs)
    found = _distinct(_found(path, contract, inputs, dates, wanted, say), path)
    chosen = [scene for scene in found if wanted.has(scene.date, None)]
    if not chosen:
        raise InputError(
            f"{path} has no scene for the wanted ground and time ({len(found)} at other times; {wanted.datetime}): "
            "correct --aoi and --period"
        )
    return chosen


def _found(
    path: pathlib.Path,
    contract: Contract,
    inputs: pathlib.Path,
    dates: int | None,
    wanted: Wanted,
    say: Callable[[str], None],
) -> list[SceneFiles]:
    """All scenes of a path; of STAC the wanted ones."""
    if remote.is_remote(path) and not path.exists():
        if _is_address_of_raster(path):
            return [_raster(path, contract)]
        return _from_stac(path, contract, inputs, wanted)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: --input needs a raster, a folder of scenes, a STAC file or a prepared dataset"
        )
    if is_stac(path):
        return _from_stac(path, contract, inputs, wanted)
    if path.is_file():
        return [_acquired(read_safe(path), contract, inputs) if is_safe(path) else _raster(path, contract)]
    if (path / "dataset.json").is_file():
        return _sites(load(path), contract, dates)
    catalogue = next((path / name for name in _STAC_NAMES if (path / name).is_file()), None)
    if catalogue is not None:
        return _from_stac(catalogue, contract, inputs, wanted)
    found = [_acquired(scene, contract, inputs) for scene in _one(path, contract)] or _inside(
        path, contract, inputs, dates, say
    )
    if not found:
        first = contract.primary.name
        raise InputError(
            f"{path} contains no scene: --input needs rasters ({', '.join(RASTERS)}), one file per band (..._B02.tif, "
            f"...), folders with one raster per modality ({first}.tif or {first}_0.tif, ...), products (.SAFE, .zip), "
            "a collection.json or a dataset.json"
        )
    return found


def is_single(path: str | os.PathLike[str], contract: Contract) -> bool:
    """Whether a path is one scene.

    A raster, a folder with one raster per modality or one file per band, or a product as .SAFE or zip archive.
    """
    path = remote.path_of(path)
    if remote.is_remote(path):
        return _is_address_of_raster(path)
    if path.is_dir():
        records = ("dataset.json", *_STAC_NAMES)
        return _is_scene(path, contract) or (
            not any((path / name).is_file() for name in records) and bool(_one(path, contract))
        )
    return not is_stac(path)


def single_files(path: pathlib.Path, contract: Contract, inputs: pathlib.Path) -> dict[str, list[pathlib.Path]] | None:
    """Stacks the band files of a scene, in a folder or an archive; None if `open_scene` finds the files itself."""
    if remote.is_remote(path):
        return _remote_files(path, contract)
    scenes = _one(path, contract) if path.is_dir() else [read_safe(path)] if is_safe(path) else []
    return next((stack(scene, contract.modalities, inputs) for scene in scenes), None)


def _one(folder: pathlib.Path, contract: Contract) -> list[Acquisition]:
    """The scene of a folder that holds exactly one, with one file per band; otherwise none."""
    if is_safe(folder):
        return [read_safe(folder)]
    if _is_scene(folder, contract):
        return []
    scenes, rest = group(rasters_in(folder), contract.primary)
    return [*scenes] if len(scenes) == 1 and not [p for p in rest if not _is_companion(p)] else []


def _inside(
    folder: pathlib.Path, contract: Contract, inputs: pathlib.Path, dates: int | None, say: Callable[[str], None]
) -> list[SceneFiles]:
    """Finds the scenes in a folder: sub-folders, rasters, and groups of rasters."""
    if _is_scene(folder, contract):
        return [_folder(folder, contract, dates)]
    folders = [p for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    found = [_folder(p, contract, dates) for p in folders if _is_scene(p, contract)]
    found += [_acquired(scene, contract, inputs) for p in folders for scene in _one(p, contract)]
    archives = [p for p in sorted(folder.glob("*.zip")) if is_safe(p)]
    found += [_acquired(read_safe(p), contract, inputs) for p in archives]
    scenes, rest = group(rasters_in(folder), contract.primary)
    found += [_acquired(scene, contract, inputs) for scene in scenes]
    beside = [p for p in rest if _is_companion(p)] if found or not all(map(_is_companion, rest)) else []
    for path in beside:
        say(f"skipped {path.name}: its name is that of a classification, a mask or a preview of a scene")
    return found + [_raster(p, contract) for p in rest if p not in beside]


def _is_companion(path: pathlib.Path) -> bool:
    return bool(_COMPANIONS & set(re.split(r"[^A-Z0-9]+", path.stem.upper())))


def _acquired(found: Acquisition, contract: Contract, inputs: pathlib.Path) -> SceneFiles:
    return SceneFiles(found.id, functools.partial(stack, found, contract.modalities, inputs), found.date, found.cloud)


def _is_scene(folder: pathlib.Path, contract: Contract) -> bool:
    return any(_is_first(f, contract) for f in folder.iterdir())


def _is_first(file: pathlib.Path, contract: Contract) -> bool:
    return re.fullmatch(rf"{re.escape(contract.primary.name)}(?:_\d+)?\.tif", file.name) is not None


def _folder(path: pathlib.Path, contract: Contract, dates: int | None) -> SceneFiles:
    first = next(f for f in sorted(path.iterdir()) if _is_first(f, contract))
    date, cloud = date_and_cloud(first, path.name)
    return SceneFiles(path.name, functools.partial(find_files, path, contract, dates), date, cloud)


def _raster(path: pathlib.Path, contract: Contract) -> SceneFiles:
    stem = remote.bare(path).stem
    date, cloud = date_and_cloud(path, stem)
    finder = _remote_files if remote.is_remote(path) else find_files
    return SceneFiles(stem, functools.partial(finder, path, contract), date, cloud)


def _is_address_of_raster(path: pathlib.Path) -> bool:
    """Whether a remote path is that of a raster, judged by its suffix; raises `InputError` for a product."""
    suffix = remote.bare(path).suffix.lower()
    if suffix in (".safe", ".zip"):
        raise InputError(
            f"{path} is a product on another machine, and products are read from disk alone: download it, or give the "
            "address of its STAC item"
        )
    return suffix in RASTERS


def _remote_files(path: pathlib.Path, contract: Contract) -> dict[str, list[pathlib.Path]]:
    """The files of a remote raster: it is the first modality."""
    others = [m.name for m in contract.modalities if m is not contract.primary and not m.optional]
    if others:
        raise InputError(
            f"{path} is one raster, but the network was trained on {[m.name for m in contract.modalities]}: give a "
            "STAC item that names one raster for each, or download them into a folder"
        )
    return {m.name: [path] if m is contract.primary else [] for m in contract.modalities}


def _from_stac(path: pathlib.Path, contract: Contract, inputs: pathlib.Path, wanted: Wanted) -> list[SceneFiles]:
    items = open_catalogue(path).find(wanted, inputs / _SEARCHED)
    return [_acquired(StacScene(item), contract, inputs) for item in items]


def _distinct(found: list[SceneFiles], path: pathlib.Path) -> list[SceneFiles]:
    seen: set[str] = set()
    for item in found:
        if item.id in seen:
            raise InputError(f"{path} contains two scenes named {item.id!r}: rename one of them")
        seen.add(item.id)
    return found


def _sites(data: Dataset, contract: Contract, dates: int | None) -> list[SceneFiles]:
    wanted = {m.name for m in contract.modalities}
    own = data.contract.replace(modalities=tuple(m for m in data.contract.modalities if m.name in wanted))
    own = own.first_dates(dates)
    found = differences(contract, own)
    if found:
        raise InputError(
            f"{data.root} does not fit the network ({found[0]}): prepare a dataset with the same modalities and units"
        )
    return [
        SceneFiles(
            name,
            functools.partial(_site_files, data, name, wanted, dates),
            moment_in(site.date),
            opened=functools.partial(_open_site, data, name, contract, dates),
        )
        for name, site in data.sites.items()
    ]


def _site_files(data: Dataset, name: str, wanted: set[str], dates: int | None) -> dict[str, list[pathlib.Path]]:
    return {k: [data.root / p for p in v[:dates]] for k, v in data.sites[name].layers.items() if k in wanted}


def _open_site(data: Dataset, name: str, contract: Contract, dates: int | None) -> OpenedScene:
    """Opens a site; preparation has already decided how its values are interpreted."""
    site_record.check_rasters(data, [data.sites[name]], deep=False)
    scene = data.scene(name, contract).first_dates(dates)
    layers = {
        modality: tuple(dataclasses.replace(layer, path=str(pathlib.Path(layer.path).absolute())) for layer in own)
        for modality, own in scene.layers.items()
    }
    valid = valid_sample(layers[contract.primary.name][0])
    decisions = {"radiometry": "of the prepared dataset"}
    for modality in contract.modalities:
        if own := layers.get(modality.name):
            decisions[f"bands_{modality.name}"] = bands_note(own[0].indexes, modality.bands, modality)
    return OpenedScene(dataclasses.replace(scene, layers=layers, image=None), decisions, valid)
