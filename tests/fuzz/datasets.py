"""Prepared datasets: what loads is what was prepared."""

import functools
import pathlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from fuzz import configs, files, trees
from fuzz.engine import Attempt, Kind, Step, Wrong

from jointseg_jax.data.dataset import load
from jointseg_jax.data.patches import PatchReader
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.scenes.find import find_scenes
from jointseg_jax.mapping.scenes.open_all import open_all
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles

Frame = Callable[[random.Random, pd.DataFrame], pd.DataFrame]


def _put(column: str | None, values: Sequence[Any]) -> Frame:
    def change(rng: random.Random, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(object)
        name = column or rng.choice(list(frame.columns))
        frame.loc[rng.randrange(len(frame)), name] = rng.choice(values)
        try:
            return frame.infer_objects()
        except (TypeError, ValueError):
            return frame.astype(str)

    return change


INDEX: dict[str, Frame] = {
    "no_column": lambda rng, f: f.drop(columns=rng.choice(list(f.columns))),
    "more_columns": lambda _, f: f.assign(note="x"),
    "as_words": lambda rng, f: f.assign(**{rng.choice(list(f.columns)): "x"}),
    "no_rows": lambda _, f: f.iloc[:0],
    "outside": _put("row", (-1, 10**6)),
    "unknown_site": _put("site", ("z", "", None)),
    "unknown_split": _put("split", ("nosuch", None)),
    "zero_size": _put("height", (0, -6, 7)),
    "not_a_number": _put("impervious_fraction", (float("nan"), -1, 7)),
    "fraction_row": _put("row", (0.5, float("nan"))),
}
WHICH = ("s2.tif", "image.tif", "label.tif", "split.tif")
_MUTATIONS = (
    *(f"{name}@dataset.json" for name in (*trees.NAMES, *files.ANY, "nested")),
    *(f"{name}@index.parquet" for name in (*INDEX, *files.BYTES, *files.PLACE)),
    *(f"{name}@{raster}" for raster in WHICH for name in ("truncate", "flip", "zero_block", "missing")),
    *(f"{name}@site" for name in (*files.BYTES, *files.PLACE)),
)


def _read(root: pathlib.Path, inputs: pathlib.Path) -> dict[str, Any]:
    """All that mapping would see of the sites, and training of every split."""
    data = load(root)
    contract = data.contract.replace(modalities=data.contract.modalities[:1])
    entries, refused = open_all(find_scenes(root, contract, inputs), contract)
    if refused:
        raise InputError(refused[0].reason)
    handles = Handles()
    scenes = {e.id: e.scene.read(Window(0, 0, *e.scene.shape), handles)["s2"] for e in entries}
    handles.close()
    found: dict[str, Any] = {"scenes": scenes}
    for split in ("train", "validation", "test"):
        reader = PatchReader(data, split, contract)
        found[split] = [reader.read(i) for i in range(min(2, len(reader)))], len(reader)
    return found


@functools.cache
def _good() -> dict[str, Any]:
    return _read(configs.dataset(), configs.dataset() / "inputs")


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f"))


def attempt(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    """A mutated dataset, loaded and read as training and mapping read it."""
    root = files.link_tree(configs.dataset(), folder / "dataset")
    lenient = False
    for step in steps:
        rng = random.Random(step.seed)
        name, _, what = step.mutation.partition("@")
        site = rng.choice("abcd")
        path = root / what if what in ("dataset.json", "index.parquet") else root / "sites" / site / what
        if what == "site":
            path = rng.choice(sorted((root / "sites" / site).iterdir()))
        if name in INDEX:
            frame = INDEX[name](rng, pd.read_parquet(path))
            path.unlink()
            frame.to_parquet(path, index=False)
        elif name in trees.NAMES:
            trees.rewrite(path, name, rng)
        elif name == "nested":
            trees.nested(path)
        else:
            files.ANY[name](rng, path)
        lenient = lenient or what not in ("dataset.json", "index.parquet")
    must = "accept" if len(steps) == 1 and steps[0].mutation.partition("@")[0] in files.HARMLESS else "either"

    def call() -> dict[str, Any]:
        return _read(root, folder / "inputs")

    def check(found: dict[str, Any]) -> None:
        # A patch that cannot be read is masked and counted while training; scenes have to be right.
        same = _same(found["scenes"], _good()["scenes"]) if lenient else _same(found, _good())
        if not same:
            raise Wrong("it reads as another dataset")

    return Attempt(call, check, ("dataset", "index.parquet", ".tif"), must)


KINDS = (Kind("dataset", 230, _MUTATIONS, attempt, together=2),)
