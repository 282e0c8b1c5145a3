"""Bounds of the config fields; configs/common.py explains the fields. A `*` stands for a name that the user chooses."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jointseg_jax.bounds.kinds import Choice, Either, Inside, Many, Name, Ratio, Row, Switch, Text
from jointseg_jax.bounds.number import Kind, real, shown, whole
from jointseg_jax.errors import InputError

_STEPS = 2**31 - 1  # the state counts steps in int32
_CHANNELS = whole(1, 8192, unit="channels")
_PIXELS = 1_000_000  # 10 m pixels on the side of any site
_SEED = whole(0, 2**32 - 1)
_WEIGHT = real(0)
_RATE = real(above=0)
_NAMES = Many(Text(), distinct=True)
_PER_STAGE = 8  # maximum number of stages

EXPERIMENT: Mapping[str, Kind] = {
    "name": Name(),
    "seed": _SEED,
    "steps": whole(1, _STEPS),
    "log_every": whole(1, unit="steps"),
    "validate_every": whole(1, unit="steps"),
    "validate_patches": whole(1, optional=True),
    "checkpoint_every": whole(1, unit="steps"),
    "keep": whole(1, unit="checkpoints"),
    "panels": whole(0, 100),
    "max_skipped": whole(1),
    "incidents": whole(0),
    "init_from": Text(optional=True),
    "wandb": Text(optional=True),
    "data.inputs": _NAMES,
    "data.batch": whole(1, unit="patches"),
    "data.threads": whole(1, 1024),
    "data.workers": whole(0, 1024, unit="processes"),
    "data.augment": Switch(),
    "data.jitter": real(0),
    "data.date_dropout": real(0, 1),
    "data.sensor_spread.mtf": real(0, 1),
    "data.sensor_spread.shift": real(0, 10, unit="10 m pixels"),
    "data.sensor_spread.gain": real(0, 1),
    "data.sensor_spread.snr": real(1),
    "loss.sr": _WEIGHT,
    "loss.stages": Many(_WEIGHT, least=1),
    "loss.shift": real(0, 100, unit="metres"),
    "loss.cross_entropy": _WEIGHT,
    "loss.dice": _WEIGHT,
    "loss.class_balance": real(0, 10),
    "loss.prior": real(0, below=1),
    "loss.boundary": _WEIGHT,
    "loss.boundary_reach": whole(1, 1000, unit="1 m pixels"),
    "loss.affinity": _WEIGHT,
    "loss.affinity_grid": whole(1, 1024, unit="cells"),
    "loss.weighting": Choice(("fixed", "uncertainty")),
    "loss.segmentation_start": whole(0, unit="steps"),
    "loss.segmentation_ramp": whole(0, unit="steps"),
    "adversarial.weight": _WEIGHT,
    "adversarial.kind": Choice(("vanilla", "relativistic")),
    "adversarial.feature_matching": _WEIGHT,
    "adversarial.perceptual": _WEIGHT,
    "adversarial.vgg": Text(optional=True),
    "adversarial.layers": Many(Row((Text(), _WEIGHT))),
    "adversarial.start": whole(0, unit="steps"),
    "adversarial.ramp": whole(0, unit="steps"),
    "adversarial.features": _CHANNELS,
    "adversarial.sees_input": Switch(),
    "adversarial.crop": whole(0, unit="1 m pixels"),
    "adversarial.learning_rate": _RATE,
    "optimizer.learning_rate": _RATE,
    "optimizer.betas": Many(real(0, below=1), least=2, most=2),
    "optimizer.schedule": Choice(("constant", "cosine")),
    "optimizer.warmup": whole(0, _STEPS, unit="steps"),
    "optimizer.end_factor": real(0, 1),
    "optimizer.clip": real(0),
    "optimizer.ema": real(0, below=1),
    "optimizer.frozen": Many(Text()),
    "optimizer.accumulate": whole(1, unit="pieces"),
    "mesh.data": whole(1, also=(-1,)),
    "mesh.space": whole(1),
    "mesh.rules": Many(Row((Text(), Choice(("largest", "whole"))))),
    "model.stages": Many(Ratio(1, 10), least=1, most=_PER_STAGE),
    "model.blocks": Many(whole(0, 100), least=1, most=_PER_STAGE),
    "model.features": Many(_CHANNELS, least=1, most=_PER_STAGE),
    "model.growth": Many(_CHANNELS, least=1, most=_PER_STAGE),
    "model.tail_features": Many(_CHANNELS, least=1, most=_PER_STAGE),
    "model.trunk_spacing": Many(Ratio(1, 10), least=1, most=_PER_STAGE),
    "model.lattices": Many(Ratio(1, 10), least=2, distinct=True),
    "model.widths": Many(_CHANNELS, least=2),
    "model.segmenter_blocks": whole(0, 100),
    "model.dilations": Many(whole(1, 64), least=0, most=16),
    "model.attention": Switch(),
    "model.fusion": Switch(),
    "model.back_projections": whole(0, 100),
    "model.consistent": Switch(),
    "model.subpixel": Switch(),
    "model.date_features": _CHANNELS,
    "model.control": Choice(("joint", "sequential", "bilinear", "deconvolved", "fine", "coarse")),
    "model.dtype": Choice(("float32", "bfloat16")),
    "model.scan": Switch(optional=True),
    "model.remat": Choice(("none", "blocks", "dense")),
}

DATASET: Mapping[str, Kind] = {
    "dataset.name": Name(),
    "dataset.path": Text(),
    "dataset.licence": Text(empty=True),
    "dataset.provenance": Text(empty=True),
    "dataset.composite": Text(empty=True),
    "dataset.seed": _SEED,
    "dataset.source.kind": Choice(("table", "scenes", "archive", "landscape")),
    "dataset.source.root": Text(optional=True),
    "dataset.source.missing": Text(empty=True),
    "dataset.source.only": _NAMES,
    "dataset.source.image": Inside(empty=True),
    "dataset.source.label": Inside(empty=True),
    "dataset.source.vectors": Many(Text(), distinct=True),  # one file may serve all sites
    "dataset.source.built_up": Text(empty=True),
    "dataset.source.cloud": Either(Many(Inside()), Inside(empty=True)),  # older configs hold a text
    "dataset.source.sites": Text(empty=True),
    "dataset.source.days": whole(0, 3660),
    "dataset.source.dates": whole(1, 100),
    "dataset.source.composite": Choice(("none", "best", "medoid")),
    "dataset.source.side": whole(20, 100_000, unit="metres"),
    "dataset.source.layers.*": Many(Inside(), least=1),
    "dataset.source.landscape.sites": whole(1, 250),  # more would not fit into one UTM zone
    "dataset.source.landscape.side": whole(60, 12_000, multiple=60, unit="metres"),  # larger ones would overlap
    "dataset.source.landscape.years": Many(Choice((2017, 2019, 2021, 2023)), least=1, distinct=True),
    "dataset.source.landscape.seed": _SEED,
    "dataset.source.landscape.shift": real(0, 30, unit="metres"),
    "dataset.inputs": Many(Name(), least=1, distinct=True),
    "dataset.modalities.*.bands": Many(Text(), least=1, distinct=True),
    "dataset.modalities.*.spacing": real(10, 10_000, multiple=10, unit="metres"),
    "dataset.modalities.*.units": Choice(("reflectance", "display", "dB", "m", "index")),
    "dataset.modalities.*.stored": Choice(("values", "power", "elevation")),
    "dataset.modalities.*.speckle": Choice(("none", "lee")),
    "dataset.modalities.*.speckle_window": whole(3, 31, unit="pixels"),
    "dataset.modalities.*.looks": real(above=0),
    "dataset.modalities.*.dates": whole(1, 100, optional=True),
    "dataset.modalities.*.scale": real(above=0),
    "dataset.modalities.*.offset": real(),
    "dataset.image_bands": Many(Text(), least=1, distinct=True),
    "dataset.match_image": Switch(),
    "dataset.warp": Switch(),
    "dataset.coregister": Switch(),
    "dataset.clear": Many(whole(0, 255)),
    "dataset.cloud_buffer": real(0, 10_000, unit="metres"),
    "dataset.label.name": Text(),
    "dataset.label.classes": Many(Row((whole(-(2**31), 2**31), Choice((0, 1, 255)))), least=1),
    "dataset.label.rules": Text(empty=True),
    "dataset.label.completeness.codes": Many(whole(0, 2**31)),
    "dataset.label.completeness.cell": whole(10, 10_000, unit="metres"),
    "dataset.label.completeness.least": real(0, 1),
    "dataset.label.change.block": whole(60, 10_000, multiple=10, also=(0,), unit="metres"),
    "dataset.label.change.least": real(-1, 2),
    "dataset.simulate.enabled": Switch(),
    "dataset.simulate.mtf": Many(real(above=0, below=1)),
    "dataset.simulate.snr": Many(real(above=0)),
    "dataset.simulate.dates": whole(1, 100),
    "dataset.simulate.shift": real(0, 10, unit="10 m pixels"),
    "dataset.simulate.kernel": Choice(("gaussian", "box")),
    "dataset.simulate.misregistration": Many(real(-100, 100, unit="metres"), least=2, most=2),
    "dataset.patch": whole(1, 4096, unit="10 m pixels"),
    "dataset.stride": whole(1, _PIXELS, unit="10 m pixels"),
    "dataset.min_valid": real(0, 1),
    "dataset.split.by": Choice(("site", "block", "mixed")),
    "dataset.split.table.train": Many(Text()),
    "dataset.split.table.validation": Many(Text()),
    "dataset.split.table.test": Many(Text()),
    "dataset.split.shares.train": real(0),
    "dataset.split.shares.validation": real(0),
    "dataset.split.shares.test": real(0),
    "dataset.split.block": whole(1, _PIXELS, unit="10 m pixels"),
    "dataset.split.gap": whole(0, _PIXELS, unit="10 m pixels"),
    "dataset.split.halo": whole(0, _PIXELS, unit="10 m pixels"),
    "dataset.split.seed": _SEED,
    "dataset.split.tolerance": real(0, 1),
    "dataset.split.folds": whole(2, 1000, also=(0,)),
    "dataset.split.fold": whole(0, 999),
}

FIELDS: Mapping[str, Kind] = {**EXPERIMENT, **DATASET}
OPTIONAL = ("data.sensor_spread", "dataset.source.landscape")  # sections that may be unset or absent
# The configs of older runs lack these.
_LATER = (
    "model.subpixel", "data.date_dropout", "dataset.simulate.dates", "dataset.simulate.shift",
    "dataset.simulate.kernel", "dataset.simulate.misregistration", "dataset.label.rules", "dataset.source.built_up",
    "dataset.label.completeness.codes", "dataset.label.completeness.cell", "dataset.label.completeness.least",
    "dataset.split.tolerance", "dataset.split.folds", "dataset.split.fold", "dataset.coregister",
    "dataset.cloud_buffer", "dataset.source.sites", "dataset.source.side", "dataset.source.days",
    "dataset.source.dates", "dataset.source.composite", "dataset.label.change.block", "dataset.label.change.least",
    "loss.prior", "dataset.source.landscape.shift",
)  # fmt: skip
_MODALITY = ("bands", "spacing", "units")  # what each modality needs
_USERS = {"dataset.source.layers": "modality", "dataset.modalities": "modality"}  # the user names the keys of these
_KEY = re.compile(r"\w[\w-]*")  # the key becomes part of a file name


def check_experiment(config: Any) -> None:
    """Checks all fields of an experiment's config.

    Args:
        config: of an experiment, with its dataset.

    Raises:
        InputError: a field is out of its bounds, unknown or missing; names the first one, its value and its bounds.
    """
    _check(config, "", FIELDS)


def check_dataset(config: Any) -> None:
    """Checks `config.dataset` like `check_experiment`."""
    _check(config, "dataset.", DATASET)


def check_present(config: Any) -> None:
    """Checks the fields that are present: a config for preparation may lack the others."""
    for path, value in _leaves(config, ""):
        _check_field(path, value, FIELDS)


def _check(config: Any, prefix: str, table: Mapping[str, Kind]) -> None:
    found = dict(_leaves(config, prefix))
    for path, value in found.items():
        _check_field(path, value, table)
    modalities = dict.fromkeys(p.split(".")[2] for p in found if p.startswith("dataset.modalities."))
    needed = [path for path in table if "*" not in path and path not in _LATER and not path.startswith(OPTIONAL)]
    needed += [f"dataset.modalities.{name}.{field}" for name in modalities for field in _MODALITY]
    for path in needed:
        if path not in found:
            raise InputError(
                f"the config has no field {path}: build the config with configs/common.py, which sets a default"
            )
    _check_split(found)
    _check_source(found)


def _check_source(found: Mapping[str, Any]) -> None:
    if found["dataset.source.kind"] == "landscape":
        own = [p for p in DATASET if p.startswith("dataset.source.landscape.") and p not in _LATER]
        lacking = [p for p in own if p not in found]
        if lacking:
            raise InputError(f"--config.dataset.source.kind=landscape needs {lacking[0]}: see configs/demo.py")
    if found["dataset.source.kind"] == "archive" and not found.get("dataset.source.sites"):
        raise InputError("--config.dataset.source.kind=archive needs dataset.source.sites: a vector file of the sites")
    labelled = found["dataset.source.label"] or found["dataset.source.vectors"]
    if not found["dataset.source.image"] and (not labelled or found["dataset.simulate.enabled"]):
        raise InputError("--config.dataset.source.image is empty: name the image, which this dataset needs")


def _check_split(found: Mapping[str, Any]) -> None:
    by, gap, halo = (found[f"dataset.{key}"] for key in ("split.by", "split.gap", "split.halo"))
    if by != "site" and gap < halo:  # patches lie wholly on the ground of their split, but maps read beyond it
        raise InputError(
            f"--config.dataset.split.gap={gap} is too small: the gap between splits must cover what a map reads beyond "
            f"its ground (dataset.split.halo={halo}): set it to {halo} or more"
        )
    folds, fold = found.get("dataset.split.folds", 0), found.get("dataset.split.fold", 0)
    if fold and fold >= folds:
        raise InputError(
            f"--config.dataset.split.fold={fold} is not one of dataset.split.folds={folds}, which are counted from 0: "
            + (
                f"set it to {folds - 1} or less"
                if folds
                else "set it to 0, or dataset.split.folds to the number of parts"
            )
        )


def _check_field(path: str, value: Any, table: Mapping[str, Kind]) -> None:
    pattern = _pattern(path)
    kind = table.get(path) or table.get(pattern)
    if kind is not None:
        if path.startswith("dataset.split.table.") and value is None:
            return  # None means no sites
        kind.check(f"--config.{path}", value)
        return
    below = sorted({known[len(pattern) + 1 :].split(".")[0] for known in table if known.startswith(f"{pattern}.")})
    if not below:
        near = difflib.get_close_matches(path, list(table), 1)
        hint = f"did you mean {near[0]}?" if near else "configs/common.py lists the fields"
        raise InputError(f"--config.{path}={shown(value)} is not a known field: {hint}")
    if not hasattr(value, "items") and (value is not None or path not in OPTIONAL):
        raise InputError(f"--config.{path}={shown(value)} must be a section with the fields {', '.join(below)}")


def _pattern(path: str) -> str:
    """The path with `*` for a key that the user chose; raises `InputError` if it cannot be part of a file name."""
    for section, what in _USERS.items():
        if path.startswith(f"{section}."):
            key, *rest = path.removeprefix(f"{section}.").split(".")
            if not _KEY.fullmatch(key):
                raise InputError(f"config.{section} names a {what} {key!r}: use only letters, digits, '_' and '-'")
            return ".".join([section, "*", *rest])
    return path


def _leaves(config: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yields dotted paths and values of the fields of a config; an empty section counts as a field."""
    for key, value in config.items():
        path = f"{prefix}{key}"
        if hasattr(value, "items") and len(value):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value
