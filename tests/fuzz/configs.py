"""Configs: every field, with every value that is none."""

import functools
import math
import pathlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import toy
from fuzz import mapped, seeds, trees
from fuzz.engine import Attempt, Kind, Step, Wrong
from ml_collections import ConfigDict

from jointseg_jax.bounds.config import check_experiment
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.recipe import make_recipe
from jointseg_jax.training.set_up import set_up


@functools.cache
def dataset() -> pathlib.Path:
    """A prepared dataset of the toy sites."""
    root = seeds.room("sites")
    toy.write_table(root / "raw", 24, 24)
    config = toy.config(root / "raw", root / "dataset").dataset
    config.patch = config.stride = 6
    prepare(config, say=toy.quiet)
    return root / "dataset"


@functools.cache
def _config() -> ConfigDict:
    config = toy.config(dataset().parent / "raw", dataset())
    config.dataset.patch = config.dataset.stride = 6
    config.data.inputs, config.data.batch, config.data.threads = ("s2",), 2, 1
    config.mesh.data = 1
    config.model = mapped.network_config()
    return config


def _leaves(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@functools.cache
def _fields() -> tuple[str, ...]:
    skipped = ("dataset.path", "dataset.source.root", "dataset.source.missing", "init_from", "wandb")
    return tuple(f for f in _leaves(_config()) if f not in skipped)


_STRANGE = ("null", "nan", "infinite", "negative", "huge", "zero", "string", "list", "object", "as_text", "number")
# What no field that holds a number may be.
_NEVER = ("nan", "infinite", "string", "object", "list", "as_text")


def _configured(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    config = _config().copy_and_resolve_references()
    config.unlock()
    must = "either"
    touched = []
    for step in steps:
        rng = random.Random(step.seed)
        path = rng.choice(_fields())
        *parents, key = path.split(".")
        at = functools.reduce(lambda c, k: c[k], parents, config)
        before = at[key]
        value = trees.STRANGE[step.mutation](rng, before)
        with at.ignore_type():
            at[key] = tuple(value) if isinstance(value, list) else value
        first = functools.reduce(lambda c, k: c[k], path.split("."), _config())  # a text may be a number by now
        number = isinstance(first, int | float) and not isinstance(first, bool)
        if number and (step.mutation in _NEVER or value is None):
            must = "refuse"
        touched += [path, key]

    def call() -> Any:
        check_experiment(config)
        make_recipe(config.dataset)
        return set_up(config)

    def check(experiment: Any) -> None:
        rate = float(experiment.schedule(1))
        if not (math.isfinite(rate) and rate >= 0):
            raise Wrong(f"a learning rate of {rate}")

    return Attempt(call, check, (*touched, "config"), must)


KINDS = (Kind("config", 330, _STRANGE, _configured, together=2),)
