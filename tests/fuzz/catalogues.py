"""STAC items, item collections and collections as input, and the folders and rasters that stand in for them."""

import functools
import json
import math
import pathlib
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fuzz import files, scene_drafts, seeds, trees
from fuzz.engine import Attempt, Kind, Step, Wrong

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.scenes.catalogue import CatalogueScene
from jointseg_jax.mapping.scenes.find import find_scenes
from jointseg_jax.mapping.scenes.open_all import open_all
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles

_COLOURS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}


@functools.cache
def _seed() -> pathlib.Path:
    """A collection with one item of one asset per band, the item alone, and an item collection of it."""
    root = seeds.room("stac")
    d = scene_drafts.draft()
    for number, band in enumerate(seeds.BANDS):
        one = scene_drafts.draft()
        one.values, one.names, one.tags = d.values[number : number + 1], [band], {}
        scene_drafts.write(one, root / f"{band}.tif")
    scene_drafts.write(scene_drafts.draft(), root / "all.tif")
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/eo/v1.1.0/schema.json"],
        "id": "S2A_50RKU_20210601",
        "geometry": {"type": "Polygon", "coordinates": [[[117, 30], [118, 30], [118, 31], [117, 31], [117, 30]]]},
        "bbox": [117.0, 30.0, 118.0, 31.0],
        "properties": {
            "datetime": "2021-06-01T03:15:41Z",
            "eo:cloud_cover": 12.5,
            "s2:processing_baseline": "05.00",
            "platform": "sentinel-2a",
            "gsd": 10,
        },
        "links": [{"rel": "collection", "href": "./collection.json", "type": "application/json"}],
        "assets": {
            band: {
                "href": f"./{band}.tif",
                "type": "image/tiff; application=geotiff",
                "roles": ["data"],
                "eo:bands": [{"name": band, "common_name": _COLOURS[band]}],
            }
            for band in seeds.BANDS
        },
    }
    (root / "item.json").write_text(json.dumps(item))
    (root / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
    links = [{"rel": "root", "href": "./collection.json"}, {"rel": "item", "href": "./item.json"}]
    collection = {"type": "Collection", "stac_version": "1.0.0", "id": "c", "links": links, "license": "other"}
    (root / "collection.json").write_text(json.dumps(collection))
    return root


def _in_assets(rng: random.Random, record: dict, change: Callable[[str, dict], None]) -> None:
    assets = record["features"][0]["assets"] if "features" in record else record["assets"]
    key = rng.choice(list(assets))
    change(key, assets)


def _properties(record: dict) -> dict:
    return record["features"][0]["properties"] if "features" in record else record["properties"]


def _href(rng: random.Random, record: dict, values: Sequence[str]) -> None:
    _in_assets(rng, record, lambda key, assets: assets[key].__setitem__("href", rng.choice(values)))


def _all_in_one(rng: random.Random, record: dict) -> None:
    """One asset under the modality's name."""
    assets = record["features"][0]["assets"] if "features" in record else record["assets"]
    assets.clear()
    assets["s2"] = {"href": "all.tif", "roles": ["data"]}


def _by_common_name(rng: random.Random, record: dict) -> None:
    assets = record["features"][0]["assets"] if "features" in record else record["assets"]
    for band, colour in _COLOURS.items():
        assets[colour] = assets.pop(band)


def _resolutions(_: random.Random, record: dict) -> None:
    """Keys as the Copernicus catalogue has them."""
    assets = record["features"][0]["assets"] if "features" in record else record["assets"]
    for band in _COLOURS:
        assets[f"{band}_10m"] = assets.pop(band)


def _property(key: str, values: Sequence[Any]) -> Callable[[random.Random, dict], None]:
    return lambda rng, record: _properties(record).__setitem__(key, rng.choice(values))


# name -> change of the record of an item, and what must come of it.
ITEM: dict[str, tuple[Callable[[random.Random, dict], None], str]] = {
    "all_in_one": (_all_in_one, "accept"),
    "common_names": (_by_common_name, "accept"),
    "resolutions": (_resolutions, "accept"),
    "no_roles": (lambda rng, r: _in_assets(rng, r, lambda k, a: a[k].pop("roles")), "accept"),
    "more_assets": (
        lambda rng, r: _in_assets(rng, r, lambda k, a: a.__setitem__("thumbnail", {"href": "x.png"})), "accept"
    ),
    "remote": (lambda rng, r: _href(rng, r, ("https://127.0.0.1:9/x.tif", "s3://x/y.tif", "//x/y.tif")), "refuse"),
    "vsi": (
        lambda rng, r: _href(rng, r, ("/vsicurl/http://127.0.0.1:9/x.tif", "vsis3/x", "/vsimem/x.tif", "/vsistdin/")),
        "refuse",
    ),
    "no_url": (lambda rng, r: _href(rng, r, ("http://[", "file://[::1", "\x00", "http://a b/%zz")), "refuse"),
    "nowhere": (lambda rng, r: _href(rng, r, ("x.tif", "", ".", "item.json", "../" * 40, "a" * 5000)), "refuse"),
    "encoded": (
        lambda rng, r: _in_assets(rng, r, lambda k, a: a[k].__setitem__("href", a[k]["href"].replace("B", "%42"))),
        "either",
    ),
    "cloud": (_property("eo:cloud_cover", (None, float("nan"), -5, 1e9, "12", [], {}, True)), "accept"),
    "date": (_property("datetime", (None, "", "2021", "June", 20210601, [], {}, True, "2021-02-30")), "either"),
    "baseline": (_property("s2:processing_baseline", ("abc", "nan", "", None, [], -4, "99999", 1e300, {})), "either"),
    "old_baseline": (_property("s2:processing_baseline", ("02.14", "N0209", 3.01)), "either"),
    "applied": (_property("earthsearch:boa_offset_applied", (True, "true", False, None, "x")), "either"),
    "id": (
        lambda rng, r: (r["features"][0] if "features" in r else r).__setitem__(
            "id", rng.choice(("../../x", "a/b", "é" * 200, ".", "..", "CON", " ", "x" * 4000, 5))
        ),
        "accept",
    ),
    "no_id": (lambda rng, r: (r["features"][0] if "features" in r else r).__setitem__("id", ""), "refuse"),
    "no_assets": (lambda rng, r: (r["features"][0] if "features" in r else r).__setitem__("assets", {}), "refuse"),
    "twice": (lambda _, r: r["features"].append(r["features"][0]), "refuse"),
}  # fmt: skip
LINKS: dict[str, tuple[Any, str]] = {
    "circle_of_links": ({"rel": "child", "href": "./collection.json"}, "refuse"),
    "remote_link": ({"rel": "item", "href": "https://127.0.0.1:9/i.json"}, "refuse"),
    "link_nowhere": ({"rel": "item", "href": "./gone.json"}, "refuse"),
    "link_to_raster": ({"rel": "item", "href": "./B02.tif"}, "refuse"),
    "link_no_url": ({"rel": "item", "href": "http://["}, "refuse"),
    "link_null": (None, "either"),
    "link_list": ([], "either"),
    "link_without_href": ({"rel": "item"}, "refuse"),
    "link_number": ({"rel": "item", "href": 5}, "refuse"),
    "link_twice": ({"rel": "item", "href": "./item.json"}, "either"),
}
TREE = tuple(f"{name}@{file}" for file in ("item.json", "items.json", "collection.json") for name in trees.NAMES)
PLACE = tuple(f"{name}@{file}" for file in ("item.json", "collection.json") for name in (*files.ANY, "nested"))
RASTER = tuple(f"{name}@raster" for name in (*files.BYTES, *files.PLACE))


def attempt(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    """Finds and opens what a mutated catalogue names."""
    root = files.link_tree(_seed(), folder / "c")
    rng = random.Random(steps[0].seed if steps else 0)
    given, must, blind = rng.choice(("item.json", "items.json", "collection.json")), [], False
    for step in steps:
        rng = random.Random(step.seed)
        name, _, where = step.mutation.partition("@")
        if name in ITEM:
            target = "items.json" if name == "twice" else given if given == "items.json" else "item.json"
            given = target if name == "twice" else given
            record = json.loads((root / target).read_bytes())
            change, wanted = ITEM[name]
            change(rng, record)
            files.replace(root / target, json.dumps(record).encode())
            must.append(wanted)
            blind = blind or name in ("old_baseline", "applied")  # then it says that nothing was added
        elif name in LINKS:
            given = "collection.json"
            record = json.loads((root / given).read_bytes())
            record["links"].append(LINKS[name][0])
            files.replace(root / given, json.dumps(record).encode())
            must.append(LINKS[name][1])
        elif where == "raster":
            files.ANY[name](rng, root / f"{rng.choice(seeds.BANDS)}.tif")
            must.append("accept" if name in files.HARMLESS else "either")
            blind = blind or name in files.BYTES
        else:
            given = where
            if name == "nested":
                trees.nested(root / where)
            elif name in files.ANY:
                files.ANY[name](rng, root / where)
            else:
                trees.rewrite(root / where, name, rng)
            must.append("accept" if name in (*files.HARMLESS, "bom") else "either")
            blind = blind or name in ("flip", "zero_block")
    source = root / given

    def call() -> CatalogueScene:
        found = find_scenes(source, seeds.contract(), folder / "inputs")
        entries, refused = open_all(found, seeds.contract())
        if refused:
            raise InputError(refused[0].reason)
        return entries[0]

    elsewhere = ("127.0.0.1:9", "s3://x", "//x", "/vsi", "vsis3")  # what a link leads to, as the catalogue has it
    files_here = ("item.json", "items.json", "collection.json", *(f"{b}.tif" for b in seeds.BANDS), "all.tif")
    names = (*files_here, "gone.json", *elsewhere)
    return Attempt(call, functools.partial(_check, blind=blind), names, must[0] if len(must) == 1 else "either")


def _check(entry: CatalogueScene, blind: bool) -> None:
    if entry.cloud is not None and not (math.isfinite(entry.cloud) and 0 <= entry.cloud <= 100):
        raise Wrong(f"cloud cover {entry.cloud}")
    if entry.date and not re.fullmatch(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\dZ)?)?)?", entry.date):
        raise Wrong(f"date {entry.date!r}")
    handles = Handles()
    read = entry.scene.read(Window(0, 0, *entry.scene.shape), handles)["s2"]
    handles.close()
    d = scene_drafts.draft()
    if blind:
        return
    if not np.array_equal(read["valid"][0], d.valid):
        raise Wrong("other pixels are valid")
    worst = float(np.abs(read["values"][0] - d.truth)[d.valid].max())
    if not worst <= 2e-5:
        raise Wrong(f"values differ by up to {worst:.4g} from the truth")


KINDS = (Kind("stac", 420, (*ITEM, *LINKS, *TREE, *PLACE, *RASTER), attempt, together=2),)
