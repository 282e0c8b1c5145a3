"""Tables of sites, and small preparations from spoilt rasters."""

import copy
import csv
import functools
import io
import pathlib
import random
from collections.abc import Callable, Sequence

import numpy as np
import rasterio
import toy
from fuzz import files, seeds
from fuzz.engine import Attempt, Kind, Step, Wrong

from jointseg_jax.data.dataset import Dataset
from jointseg_jax.data.prepare.preparation import list_sites, prepare
from jointseg_jax.data.prepare.sources import SiteEntry

COLUMNS = ("site", "place", "region", "date", "folder")
ROWS = [
    {"site": "a", "place": "town", "region": "north", "date": "2021-06-01", "folder": "a"},
    {"site": "b", "place": "town", "region": "north", "date": "2021-06-01T03:25:41Z", "folder": "b"},
    {"site": "Wuhan 武汉", "place": "", "region": "sü,d", "date": "2021-06", "folder": "c/d"},
    {"site": "d_4", "place": "", "region": "", "date": "", "folder": "."},
]  # fmt: skip


class Table:
    """A table before it is written: rows, and how it is put into bytes."""

    def __init__(self) -> None:
        self.rows, self.columns = copy.deepcopy(ROWS), list(COLUMNS)
        self.separator, self.end, self.encoding, self.quoting = ",", "\n", "utf-8", csv.QUOTE_MINIMAL
        self.change: Callable[[str], str] = lambda text: text
        self.must, self.expected = "accept", self.rows

    def text(self) -> str:
        """As a file holds it."""
        out = io.StringIO()
        writer = csv.DictWriter(
            out, self.columns, delimiter=self.separator, lineterminator=self.end, quoting=self.quoting,
            extrasaction="ignore", restval="x",
        )  # fmt: skip
        writer.writeheader()
        writer.writerows(self.rows)
        return self.change(out.getvalue())


def _cell(column: str, values: Sequence[str], must: str) -> Callable[[random.Random, Table], None]:
    """Puts one of some values into a cell."""

    def change(rng: random.Random, t: Table) -> None:
        rng.choice(t.rows)[column] = rng.choice(values)
        t.must = must

    return change


def _set(must: str, **fields: object) -> Callable[[random.Random, Table], None]:
    def change(_: random.Random, t: Table) -> None:
        for key, value in fields.items():
            setattr(t, key, value)
        t.must = must

    return change


def _columns(change: Callable[[random.Random, list[str]], None], must: str) -> Callable[[random.Random, Table], None]:
    def apply(rng: random.Random, t: Table) -> None:
        change(rng, t.columns)
        t.must = must

    return apply


def _no_column(rng: random.Random, t: Table) -> None:
    t.columns.remove(rng.choice(("site", "region", "date", "folder")))
    t.must = "refuse"


def _twice(rng: random.Random, t: Table) -> None:
    t.rows.append(dict(rng.choice(t.rows)))
    t.must = "refuse"


def _torn_row(rng: random.Random, t: Table) -> None:
    more = rng.choice(("x,y", "x,y,z,a,b,c,d,e", '"x,y,z', "x,y,z,2021-01-01,e\x00", "x\ty\tz\t2021-01-01\te"))
    t.change = lambda text: text + more + "\n"
    t.must = "refuse"


TABLE: dict[str, Callable[[random.Random, Table], None]] = {
    "crlf": _set("accept", end="\r\n"),
    "quoted": _set("accept", quoting=csv.QUOTE_ALL),
    "bom": _set("accept", encoding="utf-8-sig"),
    "blank_lines": _set("accept", change=lambda text: text + "\n\n"),
    "no_last_end": _set("accept", change=lambda text: text.rstrip("\n")),
    "more_columns": _columns(lambda rng, c: c.insert(rng.randrange(5), "note"), "accept"),
    "other_order": _columns(lambda rng, c: rng.shuffle(c), "accept"),
    "semicolons": _set("either", separator=";"),
    "tabs": _set("either", separator="\t"),
    "utf16": _set("either", encoding="utf-16"),
    "latin1": _set("refuse", encoding="latin-1", change=lambda text: text.replace("武汉", "é")),
    "capitals": _columns(lambda _, c: c.__setitem__(slice(None), [x.title() for x in c]), "either"),
    "spaced_header": _columns(lambda _, c: c.__setitem__(slice(None), [f" {x} " for x in c]), "either"),
    "no_column": _no_column,
    "column_twice": _columns(lambda rng, c: c.append(rng.choice(("site", "folder"))), "refuse"),
    "no_row": _set("refuse", rows=[]),
    "site_twice": _twice,
    "torn_row": _torn_row,
    "bad_name": _cell(
        "site", ("", ".", "..", "../x", "x/y", "x\\y", ".x", "x" * 300, "x\x00y", "a\nb", "\t", " ", "CON\r"), "refuse"
    ),
    "odd_name": _cell("site", ("x-y_z.1", "ünïcode", "0", "1e3", "None", "nan", "-x"), "accept"),
    "bad_date": _cell(
        "date",
        ("2021-02-30", "yesterday", "nan", "01/06/2021", "20210x", "-1", "2021-13", "0", "2021-06-01T25:00:00Z"),
        "refuse",
    ),
    "good_date": _cell("date", ("2021", "2020-02-29", "2021-06-01T00:00:00+05:00", " 2021-06-01 "), "accept"),
    "odd_region": _cell("region", ("nan", "NULL", "a;b", "é" * 200, '"'), "accept"),
    "bad_folder": _cell("folder", ("x\x00", "y\ny"), "refuse"),
    "odd_folder": _cell("folder", ("x y", "ü", "../other", "a/../b"), "accept"),
}  # fmt: skip
ANYWHERE = {**files.BYTES, **files.PLACE}


def _table(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    t, verdicts, after = Table(), [], []
    for step in steps:
        if step.mutation in TABLE:
            TABLE[step.mutation](random.Random(step.seed), t)
            verdicts.append(t.must)
        else:
            after.append(step)
    path = folder / "sites.csv"
    path.write_bytes(t.text().encode(t.encoding, "replace"))
    for step in after:
        ANYWHERE[step.mutation](random.Random(step.seed), path)
        verdicts.append("accept" if step.mutation == "symlink" else "either")
    config = toy.config(folder, folder / "dataset").dataset

    def check(entries: list[SiteEntry]) -> None:
        if any(s.mutation in files.BYTES for s in after):
            return _plain(entries, folder)  # a table of other words is another table
        wanted = [(r["site"], r["place"] or r["site"], r["region"], folder / r["folder"]) for r in t.rows]
        found = [(e.name, e.place, e.region, e.folder) for e in entries]
        if "column_twice" not in {s.mutation for s in steps} and found != wanted:
            raise Wrong(f"sites are {found}, not {wanted}")
        return None

    must = verdicts[0] if len(steps) == 1 else "either"
    return Attempt(lambda: list_sites(config), check, ("sites.csv", "dataset.source"), must)


def _plain(entries: list[SiteEntry], folder: pathlib.Path) -> None:
    for e in entries:
        if not e.name or set(e.name) & set("/\\\0") or e.name in (".", "..") or "\0" in str(e.folder):
            raise Wrong(f"a site is named {e.name!r} in {e.folder!r}")


@functools.cache
def _raw() -> pathlib.Path:
    """One toy site of 24 x 24 input pixels with its table, and the dataset that it should become."""
    root = seeds.room("raw")
    toy.write_site(root / "raw" / "a", 0, 24, 24)
    (root / "raw" / "sites.csv").write_text("site,region,date,folder\na,north,2021-06-01,a\n")
    prepare(_config(root / "raw", root / "dataset"), say=toy.quiet)
    return root


def _config(raw: pathlib.Path, dataset: pathlib.Path):
    config = toy.config(raw, dataset).dataset
    toy.keep_only(config, "a")
    return config


def _pixels(path: pathlib.Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read()


def _rasters(changes: dict) -> Callable[[random.Random, pathlib.Path], None]:
    def apply(rng: random.Random, path: pathlib.Path) -> None:
        content = path.read_bytes()
        files.replace(path, content)  # `rewrite` opens it for writing, and it is a link to the seed
        toy.rewrite(path, **{k: v(rng) if callable(v) and k != "values" else v for k, v in changes.items()})

    return apply


RASTERS: dict[str, Callable[[random.Random, pathlib.Path], None]] = {
    "other_crs": _rasters({"crs": lambda rng: rng.choice(("EPSG:32633", "EPSG:4326", "EPSG:3857", "EPSG:2263"))}),
    "cut": _rasters({"drop": lambda rng: rng.choice((1, 3, 10))}),
    "shifted": _rasters({"start": lambda rng: rng.choice((1, 4))}),
    "all_zero": _rasters({"values": np.zeros_like}),
    "complex": _rasters({"dtype": "complex64", "nodata": None}),
    "float": _rasters({"dtype": "float64"}),
    "one_number": _rasters({"values": lambda stack: np.full_like(stack, 3)}),
    "no_nodata": _rasters({"nodata": None}),
    "other_nodata": _rasters({"nodata": lambda rng: rng.choice((1, 200))}),
    "bad_tag": _rasters({"RADIO_ADD_OFFSET": lambda rng: rng.choice(("x", "nan", "1000", "inf"))}),
    "no_tags": _rasters({"keep_tags": False}),
    "tag_zero": _rasters({"RADIO_ADD_OFFSET": "0"}),
    "no_names": _rasters({"bands": ("",)}),
}
WHICH = ("s2.tif", "s2_20m.tif", "s1.tif", "dem.tif", "scl.tif", "image.tif", "label.tif")
_OF_SITE = {**ANYWHERE, **RASTERS}
_SITE = tuple(f"{m}/{name}" for name in WHICH for m in ("truncate", "flip", "missing")) + tuple(_OF_SITE)


def _site(folder: pathlib.Path, steps: Sequence[Step]) -> Attempt:
    seed = _raw()
    raw = files.link_tree(seed / "raw", folder / "raw")
    touched = set()
    for step in steps:
        rng = random.Random(step.seed)
        what, _, name = step.mutation.partition("/")
        name = name or rng.choice(WHICH)
        _OF_SITE[what](rng, raw / "a" / name)
        touched.add(name)
    config = _config(raw, folder / "dataset")

    def check(data: Dataset) -> None:
        for name in WHICH:
            made = folder / "dataset" / "sites" / "a" / name
            if not made.exists() or any(step.mutation == "tag_zero" for step in steps):
                continue
            stored, wanted = _pixels(made), _pixels((raw if name in touched else seed / "raw") / "a" / name)
            if stored.dtype != wanted.dtype or stored.shape[1:] != wanted.shape[1:]:
                continue  # brought to the dataset's own encoding, or cut to shared ground
            known = (stored != (255 if name == "label.tif" else 0)).all(0) & np.isfinite(stored).all(0)
            if name not in ("scl.tif", "image.tif") and not (stored == wanted)[: len(wanted), known].all():
                raise Wrong(f"{name} of the dataset is not what the raw file holds")

    return Attempt(
        lambda: prepare(config, say=toy.quiet),
        check,
        (*touched, *(f"'{name[:-4]}'" for name in touched), "site", "s2"),
        "either",
    )


KINDS = (
    Kind("sites.csv", 330, (*TABLE, *ANYWHERE), _table),
    Kind("raw site", 110, _SITE, _site, together=2),
)
