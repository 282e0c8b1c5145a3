"""Mutations of a JSON record: one node of it, drawn at random."""

import copy
import json
import pathlib
import random
from collections.abc import Callable, Iterator
from typing import Any

from fuzz.files import content_of, replace

from jointseg_jax.storage import formats

Place = tuple[Any, Any]  # a dict or list, and a key or number in it

STRANGE: dict[str, Callable[[random.Random, Any], Any]] = {
    "null": lambda _, __: None,
    "nan": lambda _, __: float("nan"),
    "infinite": lambda _, __: float("-inf"),
    "negative": lambda _, v: -v if isinstance(v, int | float) and v else -1,
    "huge": lambda rng, _: rng.choice((10**30, 1e308, -(10**19))),
    "zero": lambda _, __: 0,
    "boolean": lambda rng, _: rng.choice((True, False)),
    "number": lambda rng, _: rng.choice((7, 0.5)),
    "string": lambda rng, _: rng.choice(("", "x", "-", "1e", "http://[", "../../x", "a\x00b", "é" * 300, "1,5")),
    "list": lambda rng, v: rng.choice(([], [None], [v], [v, v], [[]])),
    "object": lambda rng, v: rng.choice(({}, {"x": v}, {"": None})),
    "as_text": lambda _, v: str(v),
}


def places(value: Any) -> Iterator[Place]:
    """Every node but the root."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield value, key
        yield from places(part)


def mutate(name: str, rng: random.Random, record: Any, within: Callable[[Any], Any] = lambda r: r) -> Any:
    """A copy of a record with one node of it changed.

    Args:
        name: one of `NAMES`.
        rng: draws the node.
        record: JSON-ready.
        within: gives the part of the record in which the node lies.
    """
    record = copy.deepcopy(record)
    parent, key = rng.choice(list(places(within(record))) or [(record, next(iter(record)))])
    if name == "drop":
        del parent[key]
    elif name == "rename" and isinstance(parent, dict):
        parent[f"{key}_"] = parent.pop(key)
    elif name == "swap" and len(parent) > 1:
        other = rng.choice([k for k in (parent if isinstance(parent, dict) else range(len(parent))) if k != key])
        parent[key], parent[other] = parent[other], parent[key]
    elif name == "duplicate" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    elif name == "unknown":
        target = parent[key] if isinstance(parent[key], dict) else parent if isinstance(parent, dict) else record
        if isinstance(target, dict):
            target["of_a_newer_version"] = 1
    else:
        parent[key] = STRANGE.get(name, STRANGE["null"])(rng, parent[key])
    return record


NAMES = ("drop", "rename", "swap", "duplicate", "unknown", *STRANGE)


def rewrite(
    path: pathlib.Path, name: str, rng: random.Random, within: Callable[[Any], Any] = lambda r: r
) -> tuple[Any, Any]:
    """Mutates the record in a file; returns it as it was and as it is."""
    before = json.loads(content_of(path))
    after = mutate(name, rng, before, within)
    replace(path, json.dumps(after, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass"))
    return before, after


def forge(path: pathlib.Path, name: str, rng: random.Random) -> None:
    """Changes one node of a record and seals it again, so that only its fields can show it."""
    _, after = rewrite(path, name, rng)
    if isinstance(after, dict):
        sealed = {**after, "checksum": formats.checksum(after)}
        replace(path, json.dumps(sealed).encode("utf-8", "surrogatepass"))


def nested(path: pathlib.Path) -> None:
    """A list in a list in a list, deeper than a parser can go."""
    replace(path, b"[" * 100_000 + b"]" * 100_000)
