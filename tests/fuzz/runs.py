"""Work directories: checkpoints, the halo and the rates beside them; and weight files of PyTorch and NumPy."""

import functools
import json
import pathlib
import pickle
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch_writer
from fuzz import files, mapped, seeds, trees
from fuzz.engine import Attempt, Kind, Step, Wrong

from jointseg_jax.mapping.area import rates
from jointseg_jax.mapping.area.product_plan import Settings
from jointseg_jax.mapping.predictor import halo
from jointseg_jax.storage import formats
from jointseg_jax.training.checkpoints.torch_files import read_arrays
from jointseg_jax.training.trained import Trained, load_trained


def _checkpoint_path(root: pathlib.Path, what: str, rng: random.Random) -> pathlib.Path:
    """Of the newest and best step, or of the other one."""
    step, _, part = what.partition("/")
    folder = root / "checkpoints" / step
    if part == "meta":
        return folder / "meta" / "metadata"
    if part == "digests":
        return folder / "digests.json"
    inside = sorted(p for p in folder.rglob("*") if p.is_file())
    return rng.choice([p for p in inside if part == "any" or part in str(p.relative_to(folder))] or inside)


def _checkpoint(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    root = files.link_tree(mapped.workdir(), folder / "run")
    for step in steps:
        rng = random.Random(step.seed)
        name, _, what = step.mutation.partition("@")
        path = _checkpoint_path(root, what, rng)
        if name in trees.NAMES:
            trees.rewrite(path, name, rng)
        elif name == "nested":
            trees.nested(path)
        else:
            files.ANY[name](rng, path)
    other_only = all("@1/" in s.mutation for s in steps)

    def check(found: Trained) -> None:
        if found.step == mapped.STEPS[-1] and not mapped.same_params(found, mapped.loaded()):
            raise Wrong("other weights or records than were saved")
        if found.step != mapped.STEPS[-1]:
            if other_only:
                raise Wrong("the damaged step was taken")
            if not mapped.same_params(found, load_trained(mapped.workdir(), checkpoint=str(found.step))):
                raise Wrong("other weights or records than were saved of the step that is whole")

    # Damage of another step must not stop the best one from being loaded.
    return Attempt(lambda: load_trained(root), check, ("checkpoints", "run"), "accept" if other_only else "either")


_CHECKPOINT = (
    *(f"{name}@2/meta" for name in (*trees.NAMES, *files.ANY, "nested")),
    *(f"{name}@2/digests" for name in ("null", "string", "drop", "truncate", "empty", "missing", "garbage")),
    *(f"{name}@2/any" for name in (*files.BYTES, *files.PLACE)),
    *(
        f"{name}@1/{part}"
        for part in ("meta", "digests", "any")
        for name in ("truncate", "garbage", "empty", "missing")
    ),
    *(f"flip@2/{part}" for part in ("ocdbt", "manifest", "state", "METADATA")),
)


# What is kept beside them.


@functools.cache
def _kept() -> bytes:
    key = halo._key(mapped.loaded(), halo.TOLERANCE)
    measured = {"halo": 4, "errors": {"2": 0.1, "4": 0.0}, "reference": 48, "met": True}
    known = {**vars(key), **measured, "scene": "s", "crops": 8, "theory": 48}
    return json.dumps(formats.seal(known, formats.HALO)).encode()


def _beside(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    root = files.link_tree(mapped.workdir(), folder / "run")
    trained = Trained(root, *(getattr(mapped.loaded(), f) for f in ("step", "weights", "model", "params", "meta")))
    settings = Settings()
    rate = {rates._key(settings): {"km2": 2.0, "worker_seconds": 6.0, "bytes": 8}}
    files.replace(halo.kept_at(trained), _kept())
    files.replace(root / rates.FILE, b"")
    formats.write_record(root / rates.FILE, rate, formats.RATES)
    for step in steps:
        rng = random.Random(step.seed)
        name, _, what = step.mutation.partition("@")
        path = halo.kept_at(trained) if what == "halo" else root / rates.FILE
        if name in trees.NAMES:
            trees.rewrite(path, name, rng)
        elif name == "nested":
            trees.nested(path)
        else:
            files.ANY[name](rng, path)

    def call() -> Any:
        return halo.kept(trained), rates.expect(root, settings, 1.0)

    def check(result: Any) -> None:
        known, expected = result
        if known is not None and (known.halo, known.met) != (4, True):
            raise Wrong(f"a halo of {known.halo}, met {known.met}")
        if expected is not None and not 0 <= expected["seconds"] < float("inf"):
            raise Wrong(f"{expected['seconds']} seconds are expected")

    return Attempt(call, check, ("halo_", rates.FILE, "run"), "either")


_BESIDE = tuple(f"{name}@{what}" for what in ("halo", "rates") for name in (*trees.NAMES, *files.ANY, "nested"))


# Weight files.


@functools.cache
def _weights() -> pathlib.Path:
    folder = seeds.room("weights")
    state = {name: torch_writer.tensor(array) for name, array in _arrays().items()}
    torch_writer.save_zip(folder / "zip.pth", {"params": state, "epoch": 3})
    torch_writer.save_legacy(folder / "legacy.pth", {"params": state, "epoch": 3})
    np.savez(folder / "arrays.npz", **{f"params.{k}": v for k, v in _arrays().items()})
    return folder


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "conv.bias": np.arange(4, dtype=np.float32),
    }


def _nested_lists(rng: random.Random, path: pathlib.Path) -> None:
    """Lists in lists, each holding the one before it many times over: few bytes, endless to walk."""
    bomb: list[Any] = []
    for _ in range(rng.choice((40, 300))):
        bomb = [bomb] * 10
    _pickled(path, {"params": bomb})


def _deep(_: random.Random, path: pathlib.Path) -> None:
    depth = 100_000
    files.replace(path, b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")


def _call(rng: random.Random, path: pathlib.Path) -> None:
    path.unlink()  # perhaps a pipe
    torch_writer.save_zip(path, {"x": torch_writer.Call("os", rng.choice(("system", "popen")), "true")})


def _pickled(path: pathlib.Path, value: Any) -> None:
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value, protocol=2))
        archive.writestr("archive/version", "3")


_BOMBS: dict[str, Callable[[random.Random, pathlib.Path], None]] = {
    "nested_lists": _nested_lists, "deep": _deep, "call": _call,
    "no_arrays": lambda _, path: _pickled(path, {"epoch": 3}),
    "no_dict": lambda rng, path: _pickled(path, rng.choice((5, None, "x", [1]))),
}  # fmt: skip
_OF_WEIGHTS = ("flip", "truncate", "zero_block", "garbage", "empty", *files.PLACE, *_BOMBS)


def _weight_file(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    root = files.link_tree(_weights(), folder / "w")
    name = random.Random(steps[0].seed if steps else 0).choice(("zip.pth", "legacy.pth", "arrays.npz"))
    path = root / name
    for step in steps:
        {**files.ANY, **_BOMBS}[step.mutation](random.Random(step.seed), path)

    def check(found: dict[str, np.ndarray]) -> None:
        good = {f"params.{k}": v for k, v in _arrays().items()}
        if name == "legacy.pth":  # that form has no checksums: only its structure can tell
            return
        if list(found) != list(good) or not all(np.array_equal(found[k], good[k]) for k in good):
            raise Wrong("other arrays than were saved")

    must = "accept" if [s.mutation for s in steps] == ["symlink"] else "either"
    must = "refuse" if [s.mutation for s in steps] in (["call"], ["deep"], ["nested_lists"], ["no_dict"]) else must
    return Attempt(lambda: read_arrays(path), check, (name,), must)


KINDS = (
    Kind("checkpoint", 170, _CHECKPOINT, _checkpoint, together=2),
    Kind("halo", 130, _BESIDE, _beside, together=2),
    Kind("weights", 260, _OF_WEIGHTS, _weight_file, together=2),
)
