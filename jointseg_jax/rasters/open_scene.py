"""Opens a user's scene under a network's contract: rejects a scene that breaks it, or adapts it on request."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.cloud_choice import DEFAULT, CloudChoice
from jointseg_jax.rasters.contract import COARSE_SPACING, COMPOSITE_TAG, COMPOSITES, Contract, Modality
from jointseg_jax.rasters.decimated import glance
from jointseg_jax.rasters.lattice import Window, check_same_ground, coarsen
from jointseg_jax.rasters.metric import NotMetric, check_grid, check_metric
from jointseg_jax.rasters.opening import is_raster
from jointseg_jax.rasters.radiometry.encoding import Stated, as_display, interpret, stated
from jointseg_jax.rasters.radiometry.find_bands import bands_note, check_bands, find_bands, match_bands
from jointseg_jax.rasters.radiometry.find_collar import find_collar
from jointseg_jax.rasters.radiometry.sample import Sample, take_sample
from jointseg_jax.rasters.radiometry.unit_checks import HARMONISE, check_against_training, harmonise
from jointseg_jax.rasters.raster_files import dataset_lattice, name_of
from jointseg_jax.rasters.reader import dtype_of, has_mask, open_raster
from jointseg_jax.rasters.scene import Layer, OpenedScene, Scene
from jointseg_jax.rasters.stamps import stamps_of
from jointseg_jax.shipped import RED_GREEN_BLUE, names

RADIOMETRY = ("contract", "display", "harmonise", "any-composite")
_OPTICAL = ("reflectance", "display")
_SIDE = 512  # pixels on a side of a decimated scene


def open_scene(
    path: str | os.PathLike[str],
    contract: Contract,
    *,
    mode: str = "contract",
    keep_grid: bool = False,
    bands: tuple[int, ...] = (),
    files: Mapping[str, Sequence[str | os.PathLike[str]]] | None = None,
    dates: int | None = None,
    clouds: CloudChoice = DEFAULT,
) -> OpenedScene:
    """Opens a raster, or a folder with one raster per modality (`s2.tif`, `s1.tif`, ...; a site of a dataset is one).

    One raster may hold the bands of several optical modalities at 10 m, as most exports of Sentinel-2 do; those of a
    coarser modality are averaged to its spacing first.

    Several dates of a modality are `s2_0.tif`, `s2_1.tif`, ... in order. A network that was trained with several maps
    any number of them.

    Args:
        path: raster file or folder.
        contract: of the network's training data.
        mode: "contract": the scene must be in the contract's units and range; "display": the 8-bit numbers of the
            first modality are a display stretch, for any contract; "harmonise": each band is shifted and scaled to
            the training mean and deviation; "any-composite": as "contract", but a single date may serve a network
            trained on composites, and the other way.
        keep_grid: accept any CRS and pixel size, and produce the map on that grid refined ten times.
        bands: one-based numbers of the network's bands in the file, if band names do not identify them: those of the
            first modality, then those of others that the same file holds.
        files: modality -> one file per date, if `path` does not determine them.
        dates: use only so many dates, the first ones; None for all.
        clouds: which mask of cloud counts.

    Raises:
        InputError: the scene breaks the contract or cannot be read.
    """
    path = pathlib.Path(path)
    known = (
        find_files(path, contract, dates)
        if files is None
        else {k: [*map(pathlib.Path, v)][:dates] for k, v in files.items()}
    )
    try:
        opened = open_files(path.stem, known, contract, mode=mode, keep_grid=keep_grid, bands=bands, clouds=clouds)
    except NotMetric as error:
        raise InputError(f"{error}; or pass --keep-grid to map on its own grid") from error
    asked = {"radiometry": mode, "keep_grid": str(keep_grid), "bands": str(bands)}
    asked |= {} if dates is None else {"dates": str(dates)}
    asked |= clouds.asked()
    return dataclasses.replace(opened, path=path, asked=asked, stamps=stamps_of(known, opened.scene.masks))


def open_files(
    name: str,
    files: Mapping[str, Sequence[pathlib.Path]],
    contract: Contract,
    *,
    mode: str = "contract",
    keep_grid: bool = False,
    bands: tuple[int, ...] = (),
    clouds: CloudChoice = DEFAULT,
) -> OpenedScene:
    """As `open_scene`, with known files: modality -> one per date, none for an absent optional modality."""
    if mode not in RADIOMETRY:
        raise InputError(f"--radiometry={mode} is unknown; known: {', '.join(RADIOMETRY)}")
    where = str(files[contract.primary.name][0])
    with open_raster(where) as raster:
        lattice, where = dataset_lattice(raster), name_of(raster)
        kind = raster.tags().get(COMPOSITE_TAG, "none").lower()
    decisions = {"radiometry": mode, **_composite(kind, contract, mode, where)}
    mode = "contract" if mode == "any-composite" else mode
    check_grid(lattice, where)
    if keep_grid:
        decisions["grid"] = "kept"
    else:
        check_metric(lattice, COARSE_SPACING, where)
    numbers = _numbers(files, contract, bands)
    layers: dict[str, tuple[Layer, ...]] = {}
    valid: dict[str, np.ndarray] = {}
    for modality in contract.modalities:
        first = modality is contract.primary
        opened = [
            _open_layer(
                file,
                modality,
                lattice,
                mode="contract" if mode == "display" and not first else mode,
                bands=numbers.get(modality.name, ()),
                stack=_in_stack(files, contract, modality),
                visible=first,
                clouds=clouds.of_date(date),
            )
            for date, file in enumerate(files[modality.name])
        ]
        layers[modality.name] = tuple(layer for layer, _, _ in opened)
        if opened:
            valid[modality.name] = opened[0][2]
        notes = [note for _, note, _ in opened] or ["absent, masked"]
        decisions[f"radiometry_{modality.name}"] = " | ".join(dict.fromkeys(notes))
        if opened:
            decisions[f"bands_{modality.name}"] = _bands_used(layers[modality.name], modality)
    return OpenedScene(Scene(name, lattice, layers, contract), decisions, valid[contract.primary.name])


def _composite(kind: str, contract: Contract, mode: str, where: str) -> dict[str, str]:
    """The decision on a scene of a kind of composite; raises `InputError` for another kind than the network's."""
    wanted = contract.composite_kind
    if kind != wanted and mode == "contract":
        is_, expects = (COMPOSITES.get(k, k if k != "none" else "of a single date") for k in (kind, wanted))
        raise InputError(
            f"{where} is {is_}, but the network was trained on inputs that are {expects}: give such an input (if it is "
            f"one, say so by gdal_edit.py -mo {COMPOSITE_TAG}={wanted}), or pass --radiometry=any-composite (recorded "
            "in the map)"
        )
    return {} if kind == wanted == "none" else {"composite": f"{kind}, trained on {wanted}"}


def find_files(path: pathlib.Path, contract: Contract, dates: int | None = None) -> dict[str, list[pathlib.Path]]:
    """Finds the files by modality, one per date (the first `dates`, or all); none for an absent optional modality."""
    if not path.exists():
        raise InputError(f"the input {path} does not exist: give a raster or a folder with one raster per modality")
    if path.is_file() and not is_raster(path):
        raise InputError(
            f"{path} is not a supported raster (GeoTIFF, JPEG 2000, PNG, JPEG, VRT): give one of these, or a folder "
            "with one raster per modality"
        )
    files = {}
    for modality in contract.modalities:
        if path.is_dir():
            found = _dated(path, modality.name)[:dates]
        else:
            found = [path] if modality is contract.primary or _holds(path, contract, modality) else []
        if not found and not modality.optional:
            raise InputError(
                f"{path} has no raster of modality {modality.name!r}, but the network was trained on "
                f"{[m.name for m in contract.modalities]}: give a folder with one raster for each, such as s2.tif"
                f"{_other_network(modality, path)}"
            )
        if len(found) > 1 and modality.dates == 1:
            raise InputError(
                f"{path} has {[f.name for f in found]} for modality {modality.name!r}, but the network was trained on "
                f"one date: give one, named {modality.name}.tif, or add --dates=1 to use the first"
            )
        files[modality.name] = found
    return files


def _other_network(missing: Modality, path: pathlib.Path) -> str:
    """Advice: the shipped network that maps one raster, if it has red, green and blue."""
    if RED_GREEN_BLUE not in names() or path.is_dir():
        return ""
    return (
        f"; or try it without {missing.name}, by the shipped network for red, green and blue alone: "
        f"--workdir={RED_GREEN_BLUE} --radiometry=harmonise, which maps ground unlike that of its training poorly"
    )


def _holds(path: pathlib.Path, contract: Contract, modality: Modality) -> bool:
    """Whether one raster holds the bands of another optical modality, by their names or, without names, by number."""
    if modality.units not in _OPTICAL:
        return False
    with open_raster(path) as raster:
        found = match_bands(raster, modality)
        unnamed = not any(raster.descriptions) and raster.count >= len(contract.primary.bands) + len(modality.bands)
    return unnamed if found is None else all(found)


def _in_stack(files: Mapping[str, Sequence[pathlib.Path]], contract: Contract, modality: Modality) -> bool:
    """Whether a modality is read from the raster of the first one."""
    return modality is not contract.primary and [*files[modality.name]] == [*files[contract.primary.name]] != []


def _numbers(
    files: Mapping[str, Sequence[pathlib.Path]], contract: Contract, bands: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """The numbers of --bands by modality.

    Raises:
        InputError: there are fewer or more than the file's modalities have bands, or none for bands without names.
    """
    held = [m for m in contract.modalities if m is contract.primary or _in_stack(files, contract, m)]
    wanted = [band for modality in held for band in modality.bands]
    if len(bands) != len(wanted):
        with open_raster(files[contract.primary.name][0]) as raster:
            named, count, where = any(raster.descriptions), raster.count, raster.name
        if len(held) > 1 and not (named and len(bands) in (0, len(contract.primary.bands))):
            raise InputError(
                f"{where} has {count} {'' if named else 'unnamed '}bands, and the network needs {wanted}: give the "
                f"numbers of these {len(wanted)} with --bands=1,2,..."
            )
        return {contract.primary.name: bands}
    found, begin = {}, 0
    for modality in held:
        found[modality.name] = bands[begin : begin + len(modality.bands)]
        begin += len(modality.bands)
    return found


def _dated(folder: pathlib.Path, name: str) -> list[pathlib.Path]:
    """`name.tif` and `name_<number>.tif` of a folder, by number."""
    pattern = re.compile(rf"{re.escape(name)}(?:_(\d+))?\.tif")
    matches = [(m, f) for f in folder.iterdir() if (m := pattern.fullmatch(f.name))]
    return [f for _, f in sorted(matches, key=lambda pair: int(pair[0][1] or -1))]


def _open_layer(
    path: pathlib.Path,
    modality: Modality,
    lattice: GeoBox,
    *,
    mode: str,
    bands: tuple[int, ...],
    visible: bool,
    clouds: CloudChoice,
    stack: bool = False,
) -> tuple[Layer, str, np.ndarray]:
    """A layer, a note on how it is decoded, and where it is valid, decimated: bool [h, w]."""
    with open_raster(path) as raster:
        # All bands of a stack lie on the scene's lattice.
        finer = round(modality.spacing / COARSE_SPACING) if stack else 1
        step = round(modality.spacing / COARSE_SPACING) // finer
        check_same_ground(dataset_lattice(raster), coarsen(lattice, step), str(path))
        if bands:
            check_bands(bands, raster, modality)
        indexes = bands or find_bands(raster, modality)
        dtype_of(raster, indexes)
        file = stated(raster, indexes)
        picture = modality.units == "display" or (file.dtype == "uint8" and mode != "contract")
        collar = find_collar(raster, indexes) if picture else None
        masked = has_mask(raster, indexes) or (picture and raster.nodata is not None)
        # The encoding is not known yet, but the file's nodata value is.
        units = "display" if picture else modality.units
        unread = Modality(modality.name, modality.bands, modality.spacing, file.dtype, units, file.nodata)
        at_a_glance = Layer(
            str(path), indexes, unread, own_mask=masked, collar=collar, finer=finer if finer > 1 else None
        )
        likely = _valid_at_a_glance(at_a_glance, raster)
        mask, note = clouds.mask(raster, lattice, step) if modality.units in _OPTICAL else (None, "")
        if mask is not None and clouds.applied:
            at_a_glance = dataclasses.replace(at_a_glance, clouds=mask)
            likely = _valid_at_a_glance(at_a_glance, raster)
        sample = take_sample(raster, indexes, masked=masked, likely=likely, collar=collar, clouds=mask)
    read_as, said = _encoding(modality, file, sample, mode)
    layer = dataclasses.replace(at_a_glance, modality=read_as, speckle=modality.speckle)
    values = layer.decode(sample.ground(read_as))
    filtered = "" if modality.speckle is None else str(modality.speckle)
    said = "; ".join(filter(None, (said, collar.note if collar else "", note, filtered)))
    if not len(values):
        raise InputError(f"{path} has no valid pixel in a sample of its pixels: check its nodata value")
    if mode == "harmonise":
        adjustment = harmonise(values, modality)
        said = f"{said}; harmonised, gain {_list(adjustment.gain)}, offset {_list(adjustment.offset)}"
        layer = dataclasses.replace(layer, adjustment=adjustment)
    elif mode == "contract":
        check_against_training(values, modality, str(path), visible=visible, scale=file.scale)
    return layer, said, likely


def _encoding(modality: Modality, file: Stated, sample: Sample, mode: str) -> tuple[Modality, str]:
    """How the file's numbers are decoded, and why: by the contract, unless the mode overrides it."""
    if mode == "display" and file.dtype != "uint8":
        raise InputError(
            f"{file.path} has {file.dtype} numbers, but --radiometry=display needs 8-bit numbers: remove the flag, or "
            "stretch the image to uint8"
        )
    optical = modality.units in _OPTICAL
    if mode == "display" or (mode == "harmonise" and optical and file.dtype == "uint8"):
        return as_display(dataclasses.replace(modality, dtype=file.dtype))
    if mode == "harmonise":  # the fitted line absorbs scale and offset
        plain = dataclasses.replace(modality, dtype=file.dtype, nodata=file.nodata, scale=1.0, offset=0.0)
        return plain, f"{file.dtype} numbers"
    try:
        return interpret(modality, file, sample)
    except InputError as error:
        raise InputError(f"{error}; or {HARMONISE}") from error


def _bands_used(layers: Sequence[Layer], modality: Modality) -> str:
    notes = []
    for layer in layers:
        with open_raster(layer.path) as raster:
            notes.append(bands_note(layer.indexes, raster.descriptions, modality))
    return " | ".join(dict.fromkeys(notes))


def valid_sample(layer: Layer) -> np.ndarray:
    """Where a layer is valid, decimated to at most 512 on a side: bool [h, w]."""
    with open_raster(layer.path) as raster:
        return _valid_at_a_glance(layer, raster)


def _valid_at_a_glance(layer: Layer, raster: DatasetReader) -> np.ndarray:
    height, width = raster.shape
    return glance(layer, raster, Window(0, 0, height, width), (min(height, _SIDE), min(width, _SIDE)))[1]


def _list(values: Any) -> str:
    return "/".join(f"{v:.4g}" for v in values)
