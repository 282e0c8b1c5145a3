"""Command lines of the programs, and configs: parsed in this process, and run where that is cheap."""

import contextlib
import importlib
import io
import json
import pathlib
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

from fuzz import configs, mapped, products
from fuzz.engine import Attempt, Kind, Step, Wrong
from ml_collections import ConfigDict

from jointseg_jax import cli
from jointseg_jax.commands import compare_products, estimate, export, sample, view, zonal
from jointseg_jax.errors import InputError

ROOT = pathlib.Path(__file__).parents[2]
_NO_NUMBER = ("nan", "inf", "-inf", "abc", "", "1e400", "1.5", "1_0_", "é", "--", "1,2", "9" * 5000)
_BELOW = ("0", "-1", "-1000000000")
_NO_CHOICE = ("", "nosuch", "BEST ", "a\nb", "'", "é" * 300)

# Program -> flag -> values that cannot be, values that can. Numbers out of bounds are the first.
BAD: dict[str, dict[str, tuple[str, ...]]] = {
    "predict": {
        "tile": (*_NO_NUMBER, *_BELOW, "1000000000", "10000000000000000000000"),
        "batch": (*_NO_NUMBER, *_BELOW, "1000000", "10000000000000000000000"),
        "grid": (*_NO_NUMBER, *_BELOW, "19", "30", "100000000000000"),
        "workers": (*_NO_NUMBER, "-1", "3"),
        "dtype": _NO_CHOICE, "executor": (*_NO_CHOICE, "Dask"), "radiometry": _NO_CHOICE,
        "checkpoint": (*_NO_CHOICE, "-1", "3", "1.0", "../1", "²"), "weights": _NO_CHOICE,
        "bands": ("1,1,1,1", "0,1,2,3", "1,2", "a,b,c,d", "4,3,2,1", "1,2,3,4,5", "-1,2,3,4", ",", "²,1,2,3", "9" * 99),
        "keep_grid": ("maybe", "2"), "augment": ("maybe",), "image": ("perhaps",),
        "shard": ("0/4", "x"), "scheduler": ("tcp://",), "slurm": ("queue=gpu",),
        "input": ("/nowhere/x.tif", "", "é" * 3000, "/dev/zero", "http://127.0.0.1:9/x.tif", "a\nb"),
        "workdir": ("/nowhere", "", "/dev/null", "é" * 3000, "http://127.0.0.1:9", "a\nb"),
        "aoi": ("/nowhere.geojson", "/dev/null"),
        "nosuch": ("1",), "confidence": ("true",), "support": ("maybe",), "uncertainty": ("maybe",),
    },
    "evaluate": {
        "alpha": ("nan", "abc", "", "0", "1", "-1"),
        "tile": (*_NO_NUMBER, *_BELOW), "split": _NO_CHOICE, "dtype": _NO_CHOICE, "weights": _NO_CHOICE,
        "checkpoint": (*_NO_CHOICE, "7"), "dataset": ("/nowhere", "/dev/null", "a" * 5000),
        "workdir": ("/nowhere",), "nosuch": ("1",),
    },
    "train": {
        "config": ("", "/nowhere.py", "configs/demo.py:nosuch=1", "configs/demo.py:sites", "configs/demo.py:sites=-1",
                   "configs/demo.py:stages=2.5x4", "configs/demo.py:stages=x", "configs/demo.py:control=", "README.md",
                   "configs", "None", "configs/demo.py:side=1e9", "configs/demo.py:stages=0x1"),
        "config.steps": (*_NO_NUMBER, *_BELOW, "None"),
        "config.data.batch": (*_NO_NUMBER, *_BELOW),
        "config.optimizer.learning_rate": ("nan", "inf", "-1", "0", "abc", "", "None"),
        "config.optimizer.betas": ("(2, 3)", "1", "()", "(0.9,)", "abc", "('a', 'b')", "(0.9, 1)"),
        "config.optimizer.ema": ("2", "-1", "nan", "1"),
        "config.seed": ("-1", "1.5", "99999999999999"),
        "config.nosuch": ("1",), "config.data.nosuch": ("1",), "config.model": ("3",),
        "config.dataset.split.gap": ("-5", "nan"), "config.data.jitter": ("-1", "nan", "inf"),
        "config.log_every": _BELOW, "config.validate_every": _BELOW, "config.panels": ("-1", "1.5"),
        "config.data.workers": ("-1",), "config.data.threads": ("-1", "0"), "config.validate_patches": _BELOW,
        "config.dataset.patch": _BELOW, "config.dataset.stride": _BELOW, "config.model.dtype": _NO_CHOICE[:2],
        "processes": (*_NO_NUMBER, *_BELOW), "process": ("-1", "x"), "heartbeat_timeout": (*_BELOW, "x"),
        "connect_timeout": (*_BELOW, "x"), "nosuch": ("1",),
    },
}  # fmt: skip
GOOD: dict[str, dict[str, tuple[str, ...]]] = {
    "predict": {
        "tile": ("16", "5"), "batch": ("1", "2"), "dtype": ("float32",), "bands": ("1,2,3,4",),
        "weights": ("raw", "ema"),
        "checkpoint": ("1", "latest", "best"), "image": ("false",), "radiometry": ("contract", "harmonise"),
        "augment": ("true",), "keep_grid": ("true",),
    },
    "train": {
        "config.steps": ("1", "100000"), "config.optimizer.learning_rate": ("1e-4",), "config.seed": ("0", "5"),
        "config.optimizer.betas": ("(0.5, 0.9)",), "config": ("configs/demo.py:control=bilinear",),
        "config.name": ("None_", "x-y"),
    },
}  # fmt: skip


@contextlib.contextmanager
def _installed(name: str, arguments: Sequence[str]) -> Iterator[Any]:
    """A program with its flags at their defaults, and its command line."""
    module = importlib.import_module(f"jointseg_jax.commands.{name}")
    values = module.FLAGS.values
    before = set(values)
    with mock.patch.object(sys, "argv", [f"jointseg {name}", *arguments]):
        try:
            yield module
        finally:
            for key in set(values) - before:  # overrides of the config
                delattr(values, key)
            values.unparse_flags()


def _line(name: str, folder: pathlib.Path) -> dict[str, str]:
    """The flags of an ordinary run."""
    scene = next(iter(sorted(mapped.product().parent.glob("scenes/*.tif"))))
    run = {"workdir": str(mapped.workdir())}
    return {
        "predict": {**run, "input": str(scene), "output": str(folder / "map"), "tile": "16"},
        "evaluate": {**run, "dataset": str(configs.dataset())},
        "train": {"config": "configs/demo.py", "workdir": str(folder / "run")},
    }[name]


def _command(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    if not steps:
        steps = (Step("predict tile", 1),)  # a value that can be
    program, flag = steps[0].mutation.split(" ")[:2]
    rng = random.Random(steps[0].seed)
    good = flag in GOOD.get(program, {}) and (flag not in BAD[program] or rng.random() < 0.3)
    value = rng.choice((GOOD if good else BAD)[program][flag])
    line = {**_line(program, folder), flag: value}
    arguments = [f"--{k}={v}" for k, v in line.items()]

    def call() -> Any:
        with _installed(program, arguments) as module, contextlib.chdir(ROOT):

            def work() -> None:
                cli._parse(module.FLAGS, sys.argv)
                if program != "train":
                    module.work()

            _end(work)
            return _plain(module.FLAGS.values.config) if program == "train" else {}

    def check(result: Any) -> None:
        if program == "predict" and not (folder / "map" / "impervious.tif").is_file():
            raise Wrong("no map was written")

    return Attempt(call, check, _spoken(flag, value, line), "accept" if good else "refuse")


def _end(work: Callable[[], int | None]) -> None:
    """Runs it as a program does; what that would print before it ends with another status than 0 is raised."""
    heard = io.StringIO()
    with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(io.StringIO()):
        status = cli.status_of(work)
    if status:
        lines = heard.getvalue().removesuffix("\n").split("\n")
        raise InputError("\n".join(line.removeprefix("error: ") for line in lines if "tile/s]" not in line))


def _spoken(flag: str, value: str, line: dict[str, str]) -> tuple[str, ...]:
    """What a sentence about a flag may name: the flag, or the file it stands for."""
    names = [f"--{flag}", f"--{flag.replace('_', '-')}", flag.removeprefix("config."), flag.rpartition(".")[2]]
    return tuple(
        n for n in (*names, pathlib.PurePath(value.split(":")[0]).name[:20], value.rpartition(":")[2]) if n
    ) + _places(value)


def _places(value: str) -> tuple[str, ...]:
    """A folder on the way to a path; nothing stands for the folder one is in."""
    return tuple(str(parent) for parent in pathlib.PurePath(value).parents[:-1]) or ((".",) if not value else ())


def _plain(config: ConfigDict) -> dict[str, Any]:
    return json.loads(config.to_json_best_effort())


_COMMANDS = tuple(
    f"{program} {flag}" for program in BAD for flag in dict.fromkeys((*BAD[program], *GOOD.get(program, {})))
)

_MODULE: dict[str, tuple[Any, dict[str, tuple[str, ...]]]] = {
    "zonal": (zonal.main, {
        "product": ("/nowhere", "", "README.md"), "polygons": ("/nowhere.gpkg", ""),
        "name": ("nosuch", ""), "output": ("", "/dev/null/x.csv", "."), "nosuch": ("1",),
    }),
    "viewer": (view.main, {
        "product": ("/nowhere", ""), "max-zoom": (*_NO_NUMBER, "-1", "21", "1000000"),
        "bands": ("0 1 2", "1 2 99", "-1 2 3", "a b c", "1 2"), "table": ("/nowhere.csv",),
        "input": ("/nowhere.tif",), "nosuch": ("1",),
    }),
    "export": (export.main, {
        "workdir": ("/nowhere", ""), "output": ("/dev/null/x",), "checkpoint": _NO_CHOICE,
        "weights": _NO_CHOICE, "nosuch": ("1",),
    }),
    "sample": (sample.main, {
        "product": ("/nowhere", "", "README.md"), "output": ("/dev/null/x",), "earlier": ("/nowhere", ""),
        "target-se": (*_NO_NUMBER[:7], "0", "1", "-1"), "points": (*_NO_NUMBER, *_BELOW, "1"),
        "minimum": (*_NO_NUMBER, *_BELOW), "seed": (*_NO_NUMBER, "-1"), "expected": ("x", "2", "0.9,0.8,0.7", "nan"),
        "density": ("x", "0.3,0.1", "2", "nan", "0"), "polygons": ("/nowhere.gpkg",), "buffer": ("x", "-1", "501"),
        "block": ("x", "1", "1e9"), "tolerance": ("x", "-1"), "chip": ("x", "1"), "definitions": ("/nowhere.csv",),
        "input": ("/nowhere.tif",), "nosuch": ("1",),
    }),
    "estimate": (estimate.main, {
        "counts": ("/nowhere.csv", "README.md", "/dev/zero"), "areas": ("/nowhere.csv", "README.md"),
        "json": ("/dev/null/x.json", "README.md", "."), "interval": _NO_CHOICE, "labels": ("x.shp", "x"),
        "second": ("/nowhere.csv",), "nosuch": ("1",),
    }),
    "compare_products": (compare_products.main, {
        "map": ("/nowhere", "", "README.md", "/dev/zero"), "year": (*_NO_NUMBER, "20", "1e9"),
        "product": ("", "x", "worldcover:", "worldcover:/nowhere.tif", "mine:README.md,built=1",
                    "mine:/dev/zero,full=1", "gaia:README.md,year=1900", "é:README.md",
                    "mine:README.md,built=,unknown=x", "mine:docs,built=1"),
        "products": ("/nowhere.csv", "README.md"), "other": ("/nowhere", "README.md"), "split": _NO_CHOICE,
        "reference": ("/nowhere", "README.md", "docs"), "regions": ("/nowhere.gpkg", "README.md"),
        "sample": ("/nowhere",), "answers": ("/nowhere.csv",), "output": ("/dev/null/x", "README.md"), "nosuch": ("1",),
    }),
}  # fmt: skip
_OF_MODULES = tuple(f"{name} {flag}" for name, (_, table) in _MODULE.items() for flag in table)


def _module(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    name, flag = (steps or (Step("export x", 0),))[0].mutation.split(" ")
    main, table = _MODULE[name]
    value = random.Random(steps[0].seed).choice(table[flag]) if steps else ""
    scene = next(iter(sorted(mapped.product().parent.glob("scenes/*.tif"))))
    shapes = folder / "shapes.gpkg"
    products.polygons().to_file(shapes)
    tile = next(iter(sorted(mapped.product().glob("tiles/**/impervious.tif"))))
    line = {
        "zonal": {"product": str(mapped.product()), "polygons": str(shapes), "output": str(folder / "t.csv")},
        "viewer": {"product": str(folder / "nothing"), "input": str(scene), "max-zoom": "15"},
        "export": {"workdir": str(mapped.workdir()), "output": str(folder / "out")},
        "sample": {"product": str(mapped.product()), "output": str(folder / "d"), "points": "4", "minimum": "2"},
        "estimate": {"counts": str(folder / "m.csv"), "areas": str(folder / "a.csv"), "json": str(folder / "o.json")},
        "compare_products": {"map": str(mapped.product()), "product": f"mine:{tile},built=1"},
    }[name]
    (folder / "m.csv").write_text("9,1\n2,8\n")
    (folder / "a.csv").write_text("90\n10\n")
    if steps:
        line[flag] = value
    arguments: list[str] = []
    for key, given in line.items():
        if key == "map":
            arguments.append(given)
        else:
            arguments += [f"--{key}", *given.split(" ")] if key in ("bands", "input") else [f"--{key}={given}"]

    def call() -> None:
        _end(lambda: main(arguments))

    def check(_: None) -> None:
        if steps:
            raise Wrong("it ended with status 0")

    place = value.rpartition(":")[2].partition(",")[0]  # of NAME:FILE,KEY=VALUE
    names = (f"--{flag}", flag, "collection.json", *_spoken(flag, value, line), *([place] if place else []), "nothing")
    return Attempt(call, check, names, "refuse")


KINDS = (
    Kind("command", 260, _COMMANDS, _command, together=1),
    Kind("module", 90, _OF_MODULES, _module, together=1),
)
