"""A network without its training: a record and the weights as safetensors, as `mapping.tools.export` writes them.

DIR/network.json          step, kind and digest of the weights; config, contract and calibration
    weights.safetensors   the parameters by path, float32 or float16
    halo_STEP_KIND.json   the context that a tile needs, if it was measured
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from jointseg_jax.errors import InputError
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import atomic_path
from jointseg_jax.training.checkpoints.meta import Meta, parse

RECORD, WEIGHTS = "network.json", "weights.safetensors"
# Of the config; the rest holds paths of the machine that trained the network.
_KEPT = ("name", "seed", "steps", "model", "loss", "optimizer", "data")


@dataclasses.dataclass(frozen=True)
class _Record:
    """The record; `written` is the date of the checkpoint, `meta` its metadata with a part of the config."""

    step: int
    weights: str
    sha256: str
    written: str | None
    meta: dict[str, Any]


def is_portable(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds such a network."""
    return (pathlib.Path(folder) / RECORD).is_file()


def write(
    folder: pathlib.Path, arrays: Mapping[str, np.ndarray], meta: Meta, step: int, weights: str, written: str | None
) -> None:
    """Writes weights and record.

    Args:
        folder: that exists.
        arrays: parameters by path, float32 or float16.
        meta: of the checkpoint.
        step: of the checkpoint.
        weights: "ema" or "raw".
        written: when the checkpoint was, ISO 8601; None if unknown.
    """
    about = {"name": str(meta.config["name"]), "step": str(step), "weights": weights}
    content = safetensors.numpy.save({name: np.ascontiguousarray(x) for name, x in arrays.items()}, about)
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(content)  # the library's own file writer hides a full disk
    config = {key: meta.config[key] for key in _KEPT if key in meta.config}
    kept = typed.plain(dataclasses.replace(meta, config=config))
    record = _Record(step, weights, hashlib.sha256(content).hexdigest(), written, kept)
    formats.write_record(folder / RECORD, typed.plain(record), formats.EXPORT)


def read_meta(folder: pathlib.Path) -> tuple[int, str, Meta]:
    """Step, kind of weights and metadata.

    Raises:
        InputError: the record is damaged, or of a newer version.
    """
    record = _record(folder)
    return record.step, record.weights, parse(record.meta, folder / RECORD)


def written(folder: pathlib.Path) -> str | None:
    """When the checkpoint was written, ISO 8601; None if unknown."""
    return _record(folder).written


def read_weights(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """The parameters by path, float32.

    Raises:
        InputError: the file is missing, or differs from the record.
    """
    path = folder / WEIGHTS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise formats.damaged(folder, formats.EXPORT, f"{WEIGHTS} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != _record(folder).sha256:
        raise formats.damaged(folder, formats.EXPORT, f"{WEIGHTS} is not the file that {RECORD} describes")
    return {name: np.asarray(x, np.float32) for name, x in safetensors.numpy.load(content).items()}


def read_params(folder: pathlib.Path, shapes: Any) -> Any:
    """The parameters as a tree.

    Args:
        folder: of the network.
        shapes: tree of the parameters' shapes.

    Raises:
        InputError: see `read_weights`; or the weights are not those of this network.
    """
    from flax import traverse_util  # loads JAX, which reading the record does not need

    stored = read_weights(folder)
    wanted = traverse_util.flatten_dict(shapes, sep="/")
    for name in sorted({*wanted, *stored}):
        here = tuple(wanted[name].shape) if name in wanted else "absent"
        there = stored[name].shape if name in stored else "absent"
        if here != there:
            raise formats.damaged(folder, formats.EXPORT, f"{name} is {there} in {WEIGHTS}, but {here} by its config")
    return traverse_util.unflatten_dict(stored, sep="/")


def check_choice(folder: pathlib.Path, checkpoint: str, weights: str) -> None:
    """Raises `InputError` if a folder does not hold this checkpoint ("best", "latest" or a step) and these weights."""
    record = _record(folder)
    if checkpoint not in ("best", "latest", str(record.step)) or weights != record.weights:
        raise InputError(
            f"{folder} holds only the {record.weights} weights of step {record.step}: give --weights={record.weights} "
            "and no --checkpoint"
        )


def _record(folder: pathlib.Path) -> _Record:
    return typed.read(folder / RECORD, _Record, formats.EXPORT)
