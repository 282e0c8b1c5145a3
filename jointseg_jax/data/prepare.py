"""From raw rasters to a dataset: site by site, restartable, the index written last."""

import dataclasses
import hashlib
import json
import pathlib
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from jointseg_jax.data import sources, splits, statistics
from jointseg_jax.data.dataset import INDEX_COLUMNS, SCHEMA_VERSION, Dataset, Site, load
from jointseg_jax.data.recipe import Recipe
from jointseg_jax.data.sensor import Sensor
from jointseg_jax.data.site_rasters import prepare_site
from jointseg_jax.data.sources import SiteSource
from jointseg_jax.errors import InputError
from jointseg_jax.jobs.files import atomic_path, read_json, write_json
from jointseg_jax.jobs.locks import exclusive
from jointseg_jax.rasters.contract import FINE_FACTOR, IGNORE, Contract, Modality
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import open_raster, read_window

# How datasets store each kind of quantity: dtype, nodata, scale, offset (value = (stored + offset) * scale).
ENCODINGS: dict[str, tuple[str, float | None, float, float]] = {
    "reflectance": ("uint16", 0.0, 1e-4, -1000.0),
    "display": ("uint8", 0.0, 1 / 255, 0.0),
    "dB": ("float32", None, 1.0, 0.0),
    "m": ("float32", None, 1.0, 0.0),
    "index": ("float32", None, 1.0, 0.0),
}


def prepare(config: Any, say: Callable[[str], None] = print) -> Dataset:
    """Prepares the dataset a config describes, or what is left of it.

    A site whose rasters were written from the same files with the same settings is kept. A site that fails is named
    at the end, after all others were tried; without all of them there is no dataset.

    Args:
        config: `config.dataset`; see configs/common.py for its fields.
        say: receives one line per site.

    Raises:
        InputError: what is wrong, where, and what to do.
    """
    with exclusive(config.path, "preparation"):
        return _prepare(pathlib.Path(config.path), config, say)


def _prepare(root: pathlib.Path, config: Any, say: Callable[[str], None]) -> Dataset:
    recipe = make_recipe(config)
    sites = find_sites(config, say)
    sources.check_layers(sites, recipe.modalities, recipe.modalities[0].name if recipe.simulate else "")
    ground = split_rule(config.split, sites)
    prepared, failed = [], []
    for number, source in enumerate(sites, start=1):
        try:
            site, fresh = _one_site(source, recipe, ground[source.name], config, root)
        except InputError as error:
            failed.append(str(error))
            say(f"[{number}/{len(sites)}] {source.name}: FAILED: {error}")
            continue
        prepared.append(site)
        area = site.height * site.width / 1e4
        say(
            f"[{number}/{len(sites)}] {source.name}: {area:.2f} km2, {'prepared' if fresh else 'already there'}; "
            f"{site.notes[0]}"
        )
    if failed:
        raise InputError(f"{len(failed)} of {len(sites)} sites could not be prepared; the first: {failed[0]}")
    return _finish(root, config, recipe, prepared, say)


def make_recipe(config: Any) -> Recipe:
    """The recipe that a dataset config asks for; raises `InputError` where it contradicts itself."""
    modalities = []
    for name in config.inputs:
        if name not in config.modalities:
            raise InputError(
                f"dataset.inputs names {name!r}, which dataset.modalities does not describe; it has "
                f"{sorted(config.modalities)}"
            )
        given = config.modalities[name]
        dtype, nodata, scale, offset = ENCODINGS[given.units]
        modalities.append(
            Modality(name, tuple(given.bands), float(given.spacing), dtype, given.units, nodata, scale, offset)
        )
    return Recipe(
        modalities=tuple(modalities),
        image_bands=tuple(config.image_bands),
        simulate=_make_sensor(config, modalities[0]) if config.simulate.enabled else None,
        classes={int(code): int(value) for code, value in config.label.classes},
        clear=tuple(config.clear),
        match_image=config.match_image,
        warp=config.warp,
        seed=config.seed,
    )


def _make_sensor(config: Any, modality: Modality) -> Sensor:
    if tuple(modality.bands) != tuple(config.image_bands):
        raise InputError(
            f"the first modality {modality.bands} can only be simulated when it has the image's bands "
            f"{tuple(config.image_bands)}"
        )
    sensor = Sensor.display(modality.bands) if modality.units == "display" else Sensor.sentinel2(modality.bands)
    mtf, snr = tuple(config.simulate.mtf), tuple(config.simulate.snr)
    return dataclasses.replace(sensor, mtf=mtf or sensor.mtf, snr=snr or sensor.snr)


def find_sites(config: Any, say: Callable[[str], None]) -> list[SiteSource]:
    """The raw rasters of all sites; makes the embedded landscape where the config asks for it."""
    source = config.source
    names = sources.Names(
        image=source.image, label=source.label, vectors=tuple(source.vectors), cloud=source.cloud,
        layers={name: tuple(source.layers[name]) for name in config.inputs if name in source.layers},
    )  # fmt: skip
    if source.root is None:
        raise InputError(source.missing)
    root = pathlib.Path(source.root).expanduser()
    if source.kind == "landscape":
        from jointseg_jax.data.synthetic import files  # only here: real data need none of it

        files.write_landscape(root, source.landscape, say)
    elif not root.is_dir():
        raise InputError(f"{root} is not a folder. {source.missing}")
    reader = {"landscape": sources.from_table, "table": sources.from_table, "scenes": sources.from_scenes}[source.kind]
    return reader(root, names, tuple(source.only))


def split_rule(config: Any, sites: Sequence[SiteSource]) -> dict[str, Callable[[int, int], np.ndarray]]:
    """For every site, the function from its size to its split codes. Sites that share ground share a split."""
    places = sources.group_by_place(sites)
    if config.by == "site":
        chosen = splits.split_sites(list(places), {k: tuple(v) for k, v in config.table.items() if v})
        codes = {place: splits.CODES[split] for place, split in chosen.items()}
        return {s.name: lambda h, w, code=codes[s.place]: np.full((h, w), code, np.uint8) for s in sites}  # type: ignore[misc]
    if config.by == "block":
        shares = dict(config.shares)

        def rule(place: str) -> Callable[[int, int], np.ndarray]:
            seed = (config.seed, zlib.crc32(place.encode()))
            return lambda h, w: splits.blocks(h, w, config.block, shares, config.gap, seed)

        return {s.name: rule(s.place) for s in sites}
    raise InputError(f"dataset.split.by is {config.by!r}; known: 'site', 'block'")


def _one_site(
    source: SiteSource, recipe: Recipe, ground: Callable[[int, int], np.ndarray], config: Any, root: pathlib.Path
) -> tuple[Site, bool]:
    """The prepared site, and whether it had to be made."""
    record = root / "sites" / source.name / "site.json"
    fingerprint = _fingerprint(source, recipe, config)
    if record.exists():
        known = read_json(record)
        if known["fingerprint"] == fingerprint:
            return Site.from_dict(known["site"]), False
    site = prepare_site(source, recipe, ground, root)
    write_json(record, {"fingerprint": fingerprint, "site": site.to_dict()})
    return site, True


def _fingerprint(source: SiteSource, recipe: Recipe, config: Any) -> str:
    """Changes whenever the files or the settings a site is made from change."""
    files = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in source.files()]
    settings = [SCHEMA_VERSION, repr(recipe), config.split.to_json_best_effort(), source.region, source.date, files]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()


def _finish(root: pathlib.Path, config: Any, recipe: Recipe, sites: list[Site], say: Callable[[str], None]) -> Dataset:
    contract = Contract(
        modalities=recipe.modalities,
        image_bands=recipe.image_bands,
        label=config.label.name,
        composite=config.composite,
        dates=max(len(files) for s in sites for files in s.layers.values()),
    )
    simulated = (
        None
        if recipe.simulate is None
        else {"modality": recipe.modalities[0].name, "sensor": dataclasses.asdict(recipe.simulate)}
    )
    index = patch_index(root, sites, config)
    bare = Dataset(root, contract, {s.name: s for s in sites}, index, simulated, {})
    contract = statistics.over_training(bare)
    with atomic_path(root / "index.parquet") as temporary:
        index.to_parquet(temporary, index=False)
    description = {
        "schema_version": SCHEMA_VERSION,
        "name": config.name,
        "licence": config.licence,
        "provenance": config.provenance,
        "contract": contract.to_dict(),
        "simulated": simulated,
        "split": json.loads(config.split.to_json_best_effort()),
        "patch": config.patch,
        "sites": [s.to_dict() for s in sites],
    }
    write_json(root / "dataset.json", description)
    counts = {s: int((index["split"] == s).sum()) for s in splits.SPLITS}
    say(f"{root}: {len(sites)} sites, patches of {config.patch} x {config.patch} input pixels: {counts}")
    return load(root)


def patch_index(root: pathlib.Path, sites: Sequence[Site], config: Any) -> pd.DataFrame:
    """One row per patch: square windows that lie wholly on the ground of one split and are labelled enough.

    Training patches start every `config.stride` pixels, those of the other splits lie side by side.

    Raises:
        InputError: a split that has ground has no patch.
    """
    rows = []
    for site in sites:
        with open_raster(root / site.split) as raster:
            codes = read_window(raster, Window(0, 0, site.height, site.width))[0][..., 0]
        known, impervious = label_shares(root / site.label, site.height, site.width)
        for split in splits.SPLITS:
            ground = _integral((codes == splits.CODES[split]).astype(np.float64))
            stride = config.stride if split == "train" else config.patch
            for row in range(0, site.height - config.patch + 1, stride):
                for col in range(0, site.width - config.patch + 1, stride):
                    window = Window(row, col, config.patch, config.patch)
                    if _sum(ground, window) < config.patch**2 - 0.5:
                        continue
                    valid = _sum(known, window) / config.patch**2
                    if valid < config.min_valid or valid == 0:
                        continue
                    share = _sum(impervious, window) / config.patch**2 / valid
                    rows.append((site.name, site.region, split, site.date, site.crs, *window, share, valid))
    index = pd.DataFrame(rows, columns=list(INDEX_COLUMNS))
    for split in splits.SPLITS:
        if any(s.pixels[split] for s in sites) and not (index["split"] == split).any():
            raise InputError(
                f"no patch of {config.patch} pixels fits into the {split} ground: lower dataset.patch, "
                "dataset.min_valid or "
                "dataset.split.gap, or enlarge dataset.split.block"
            )
    return index


def label_shares(path: pathlib.Path, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Integral images [height + 1, width + 1] of the labelled and of the impervious share of each 10 m pixel."""
    known, impervious = np.zeros((height, width)), np.zeros((height, width))
    strip = 64
    with open_raster(path) as raster:
        for row in range(0, height, strip):
            window = Window(row, 0, min(strip, height - row), width)
            label = read_window(raster, window.scale(FINE_FACTOR))[0][..., 0]
            cells = label.reshape(window.height, FINE_FACTOR, width, FINE_FACTOR)
            known[window.slices()] = (cells != IGNORE).mean((1, 3))
            impervious[window.slices()] = (cells == 1).mean((1, 3))
    return _integral(known), _integral(impervious)


def _integral(x: np.ndarray) -> np.ndarray:
    return np.pad(x.cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _sum(integral: np.ndarray, w: Window) -> float:
    bottom, right = w.row + w.height, w.col + w.width
    return float(integral[bottom, right] - integral[w.row, right] - integral[bottom, w.col] + integral[w.row, w.col])
