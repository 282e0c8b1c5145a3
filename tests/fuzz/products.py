"""What a finished product is read from: plan, ledger, records and rasters; for tables and for the viewer."""

import functools
import json
import math
import pathlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import geopandas
import pandas as pd
import rasterio
import shapely
from fuzz import files, mapped, seeds, trees
from fuzz.engine import Attempt, Kind, Step, Wrong

from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.mapping.area import product_plan
from jointseg_jax.mapping.records.read_product import read_product
from jointseg_jax.mapping.tools.zonal import zonal
from jointseg_jax.mapping.tools.zonal_table import write_table
from jointseg_jax.mapping.viewer.build import build

_HARMLESS = {"symlink", "blanks"}
LAYERS = ("impervious.tif", "probability.tif")


def _said(*names: str, within: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}@{file}" for file in within for name in names)


def _spoil(root: pathlib.Path, steps: Sequence[Step], find: Callable[[str, random.Random], pathlib.Path]) -> set[str]:
    """Mutates files below `root`; returns the names of the mutations that may change contents unseen."""
    blind = set()
    for step in steps:
        rng = random.Random(step.seed)
        name, _, what = step.mutation.partition("@")
        path = find(what, rng)
        if name == "nested":
            trees.nested(path)
        elif name in files.ANY:
            files.ANY[name](rng, path)
            blind |= {name} & set(files.BYTES)
        else:
            trees.rewrite(path, name, rng)
            blind.add("tree")
    return blind


# The plan.


def _plan_path(root: pathlib.Path, what: str, _: random.Random) -> pathlib.Path:
    return root / (product_plan.PLAN if what == "plan" else product_plan.CATALOGUE)


def _plan(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    root = files.link_tree(mapped.product(), folder / "product")
    _spoil(root, steps, functools.partial(_plan_path, root))
    network = product_plan.load(mapped.product(), seeds.contract())[0].network

    def call() -> Any:
        known = product_plan.known_scenes(root, _catalogue_key(), seeds.contract())
        return product_plan.load(root, seeds.contract()), product_plan.halo_in_use(root, network), known

    def check(result: Any) -> None:
        (plan, entries), halo, known = result
        good, good_entries = product_plan.load(mapped.product(), seeds.contract())
        if plan.settings != good.settings or halo not in (None, good.settings.halo):
            raise Wrong(f"settings {plan.settings}, halo {halo}")
        if dict(plan.network) != dict(good.network):
            raise Wrong("another network")
        if [
            (t.name, t.zone, t.bounds if hasattr(t, "bounds") else (t.left, t.top), t.candidates) for t in plan.tiles
        ] != [
            (t.name, t.zone, t.bounds if hasattr(t, "bounds") else (t.left, t.top), t.candidates) for t in good.tiles
        ]:
            raise Wrong("other tiles")
        for found in (entries, known):
            for name, entry in found.items():
                if name not in good_entries or entry.scene.layers != good_entries[name].scene.layers:
                    raise Wrong("other scenes")

    return Attempt(call, check, ("plan.geojson", "catalogue.json"), _must(steps))


def _catalogue_key() -> str:
    return product_plan.catalogue_key(seeds.contract(), product_plan.Settings())


def _must(steps: Sequence[Step]) -> str:
    return "accept" if len(steps) == 1 and steps[0].mutation.partition("@")[0] in _HARMLESS else "either"


# The ledger.


def _ledger_path(root: pathlib.Path, what: str, rng: random.Random) -> pathlib.Path:
    rows = sorted((root / product_plan.LEDGER).glob("*.json"))
    if what == "row":
        return rng.choice(rows)
    row = json.loads(rng.choice(rows).read_bytes())
    return root / rng.choice(sorted(f["path"] for f in row["files"].values()))


def _ledger(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    root = files.link_tree(mapped.product(), folder / "product")
    good = Ledger(mapped.product() / product_plan.LEDGER, say=lambda _: None).done()
    _spoil(root, steps, functools.partial(_ledger_path, root))
    said: list[str] = []

    def call() -> Any:
        ledger = Ledger(root / product_plan.LEDGER, say=said.append)
        return ledger.done(), {u: ledger.find(u, deep=True) is not None for u in good}

    def check(result: Any) -> None:
        done, checks = result
        for unit, row in done.items():
            if row != good.get(unit):
                raise Wrong(f"row {unit} counts, and is another")
        for unit, fine in checks.items():
            intact = all(
                (root / f["path"]).is_file() and _same(root / f["path"], mapped.product() / f["path"])
                for f in good[unit]["files"].values()
            )
            if fine != (unit in done and intact):
                raise Wrong(f"unit {unit} counts as {'done' if fine else 'not done'}: {said}")
        if any("\n" in line for line in said):
            raise Wrong(f"more than one line: {said}")

    return Attempt(call, check, ("ledger",), "accept")


def _same(a: pathlib.Path, b: pathlib.Path) -> bool:
    return a.read_bytes() == b.read_bytes()


# Tables by polygon.


@functools.cache
def polygons() -> geopandas.GeoDataFrame:
    """Two polygons over the product."""
    shapes = [shapely.box(500010, 3399900, 500200, 3400000), shapely.Point(500250, 3399950).buffer(60)]
    return geopandas.GeoDataFrame({"name": ["a", "=b"]}, geometry=shapes, crs=32650)


@functools.cache
def _table() -> pd.DataFrame:
    return zonal(mapped.product(), read_product(mapped.product()).tiles, polygons())


def _record_path(root: pathlib.Path, what: str, rng: random.Random) -> pathlib.Path:
    if what == "collection":
        return root / "collection.json"
    if what == "item":
        return rng.choice(sorted((root / "items").glob("*.json")))
    return rng.choice(sorted(root.glob(f"tiles/**/{what}")))


def _zonal(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    root = files.link_tree(mapped.product(), folder / "product")
    blind = _spoil(root, steps, functools.partial(_record_path, root))

    def call() -> pd.DataFrame:
        return zonal(root, read_product(root).tiles, polygons())

    def check(table: pd.DataFrame) -> None:
        good = _table()
        numbers = [c for c in good.columns if c != "name"]
        if blind & set(files.BYTES) and any(s.mutation.endswith(LAYERS) for s in steps):
            return _check_pixels(root, table, good)
        off = (table[numbers] - good[numbers]).abs().to_numpy().max()
        if list(table.columns) != list(good.columns) or not off <= 1e-9:
            raise Wrong(f"figures differ by {off:g}")
        return None

    names = ("collection.json", *(p.name for p in (root / "items").glob("*.json")), "impervious.tif", "product")
    return Attempt(call, check, (*names, *(p.name for p in (root / "tiles").glob("*/*"))), _must(steps))


def _check_pixels(root: pathlib.Path, table: pd.DataFrame, good: pd.DataFrame) -> None:
    """A damaged raster that can still be read may change the figures only as its pixels changed."""
    changed = 0
    for path in mapped.product().glob("tiles/**/impervious.tif"):
        with rasterio.open(path) as before, rasterio.open(root / path.relative_to(mapped.product())) as after:
            if (after.dtypes, after.count) != (before.dtypes, before.count):
                raise Wrong("a raster of another kind is read as the map")
            changed += int((before.read() != after.read()).sum()) if before.shape == after.shape else 10**6
    off = (table["pixels"] - good["pixels"]).abs().max()
    if off > changed:
        raise Wrong(f"{off} pixels more or less are counted, {changed} were changed")


# The viewer.


def _viewer_path(root: pathlib.Path, what: str, rng: random.Random) -> pathlib.Path:
    if what == "table":
        return root / "zonal.csv"
    if what == "mosaic":
        return rng.choice(sorted(root.glob("mosaics/*.vrt")))
    if what == "input":
        return root / "input.tif"
    return _record_path(root, what, rng)


def _viewer(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    root = files.link_tree(mapped.product(), folder / "product")
    write_table(root / "zonal.csv", _table(), polygons())
    (root / "input.tif").write_bytes(next(mapped.product().parent.glob("scenes/*.tif")).read_bytes())
    _spoil(root, steps, functools.partial(_viewer_path, root))

    def call() -> Any:
        page = build(root, inputs=[root / "input.tif"], table=root / "zonal.csv", deepest=15, say=lambda _: None)
        return json.loads((page.parent / "product.js").read_text().removeprefix("window.PRODUCT = ").rstrip(";\n"))

    def check(about: dict[str, Any]) -> None:
        if not all(map(math.isfinite, (about["mapped_km2"], about["label_km2"], *about["bounds"]))):
            raise Wrong("figures that are not finite")
        if not -180 <= about["bounds"][0] < about["bounds"][2] <= 540:
            raise Wrong(f"bounds {about['bounds']}")
        if any(p.name.startswith(".partial") for p in root.iterdir()):
            raise Wrong("a folder was left behind")

    names = (
        "collection.json",
        *(p.name for p in (root / "items").glob("*.json")),
        "zonal.csv",
        "input.tif",
        ".vrt",
        ".tif",
    )
    return Attempt(call, check, (*names, *(p.name for p in (root / "tiles").glob("*/*"))), _must(steps))


TABLES: dict[str, Callable[[str], str]] = {
    "no_columns": lambda t: "a,b\n1,2\n",
    "words": lambda t: t.replace("117.", "x"),
    "not_a_number": lambda t: t.replace("117.", "nan"),
    "more_fields": lambda t: t + "1,2,3,4,5,6,7,8,9,10,11,12,13,14\n",
    "open_quote": lambda t: t + '"a,b\n',
    "nul": lambda t: t + "\x00",
    "crlf": lambda t: t.replace("\n", "\r\n"),
    "vast": lambda t: t + "x" * 200_000 + "\n",
}
_JSON = (*trees.NAMES, *files.ANY, "nested")
KINDS = (
    Kind("plan", 260, _said(*_JSON, within=("plan", "catalogue")), _plan, together=2),
    Kind(
        "ledger", 220,
        _said(*_JSON, within=("row",)) + _said(*files.BYTES, *files.PLACE, within=("file",)),
        _ledger, together=2,
    ),
    Kind(
        "zonal", 240,
        _said(*_JSON, within=("collection", "item")) + _said(*files.BYTES, *files.PLACE, within=("impervious.tif",)),
        _zonal, together=2,
    ),
    Kind(
        "viewer", 110,
        _said("drop", "null", "nan", "string", "list", "truncate", "missing", within=("collection", "item"))
        + _said(*files.BYTES, *files.PLACE, within=("impervious.tif", "input", "mosaic"))
        + _said(*files.BYTES, *files.PLACE, *files.TEXT, within=("table",)),
        _viewer, together=1,
    ),
)  # fmt: skip
