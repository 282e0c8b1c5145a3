"""The design of a sample: what was drawn from which frame, and the files that hold it.

DESIGN/design.json   frame, strata with N_h and n_h, seed, inclusion probabilities, digest of sample.csv
      /sample.csv    a line per point: id, unit, stratum, place, map class, weight; not for the interpreter
      /label.html    the page for the interpreter, see `page`
"""

import csv
import dataclasses
import hashlib
import io
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from jointseg_jax.data.tables import read_table
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.accuracy.draw import Place
from jointseg_jax.geo.reproject import transformer
from jointseg_jax.storage import formats, typed
from jointseg_jax.storage.files import sha256, write_bytes

DESIGN_FILE, SAMPLE_FILE, PAGE_FILE = "design.json", "sample.csv", "label.html"
COLUMNS = (
    "id", "unit", "stratum", "tile", "epsg", "x", "y", "longitude", "latitude", "map_class", "near", "weight",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Stratum:
    """A stratum of a design.

    Attributes:
        name: of it.
        size: N_h, in square metres for points, in blocks for blocks.
        units: n_h, points or blocks drawn.
        classes: map classes that can occur in it.
    """

    name: str
    size: float
    units: int
    classes: tuple[str, ...]

    @property
    def weight(self) -> float:
        """N_h / n_h, the inverse of the inclusion probability (of a square metre, or of a block)."""
        return self.size / self.units


@dataclasses.dataclass(frozen=True)
class Design:
    """The design of a sample.

    Attributes:
        frame: digest of the map, see `Frame.digest`.
        title: of the product.
        kind: "points" or "blocks".
        classes: names of the map's classes.
        strata: see `Stratum`.
        mapped: mapped area of every class, in square metres.
        area: square metres of the frame.
        seed: of the draw.
        tolerance: metres within which `near` lists the map's classes.
        block: side of a block in metres and points on a side of it; None for points.
        sample: SHA-256 of sample.csv.
    """

    frame: str
    title: str
    kind: str
    classes: tuple[str, ...]
    strata: tuple[Stratum, ...]
    mapped: tuple[float, ...]
    area: float
    seed: int
    tolerance: int
    block: tuple[int, int] | None
    sample: str

    @property
    def key(self) -> str:
        """Tells this sample from others, in the page and in its answers."""
        return self.sample[:16]

    def __post_init__(self) -> None:
        if self.kind not in ("points", "blocks") or not self.strata or len(self.mapped) != len(self.classes):
            raise ValueError(f"kind {self.kind!r}, {len(self.strata)} strata, {len(self.mapped)} areas")
        if not all(0 < s.size < math.inf and s.units > 0 and set(s.classes) <= set(self.classes) for s in self.strata):
            raise ValueError("a stratum is empty or has a class that the map lacks")
        names = [s.name for s in self.strata]
        if len(set(names)) < len(names) or len(set(self.classes)) < len(self.classes):
            raise ValueError("two strata or two classes have one name")
        if not (0 < self.area < math.inf and math.isclose(sum(self.mapped), self.area, rel_tol=1e-6)):
            raise ValueError(f"the areas of the classes do not add up to {self.area}")


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of sample.csv; `near` holds the map's classes within the tolerance."""

    id: str
    unit: str
    stratum: str
    epsg: int
    x: float
    y: float
    longitude: float
    latitude: float
    map_class: str
    near: tuple[str, ...]


def sample_table(
    places: Sequence[Place],
    found: Sequence[tuple[int, tuple[int, ...]]],
    strata: Sequence[Stratum],
    classes: Sequence[str],
    rng: np.random.Generator,
) -> bytes:
    """The content of sample.csv, in random order: an id tells the interpreter nothing.

    Args:
        places: drawn; their strata are numbers in `strata`.
        found: of `draw.map_classes`.
        strata: of the design.
        classes: names.
        rng: shuffles.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    digits = len(str(len(places)))
    for number, at in enumerate(rng.permutation(len(places)), 1):
        place, (own, near) = places[at], found[at]
        west, _, _, north = place.tile.bounds
        x, y = west + place.col + 0.5, north - place.row - 0.5
        lon, lat = transformer(place.tile.epsg, 4326).transform(x, y)
        stratum = strata[place.stratum]
        named = (f"{number:0{digits}d}", place.unit, stratum.name, place.tile.tile, place.tile.epsg)
        where = (f"{x:.1f}", f"{y:.1f}", f"{lon:.8f}", f"{lat:.8f}")
        writer.writerow((*named, *where, classes[own], _joined([classes[c] for c in near]), f"{stratum.weight:.10g}"))
    return text.getvalue().encode()


def _joined(names: Sequence[str]) -> str:
    """Names with semicolons between them; a name that has one itself is quoted."""
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="").writerow(names)
    return text.getvalue()


def write_design(folder: pathlib.Path, design: Design, table: bytes) -> None:
    """Writes sample.csv and then design.json, which names its digest."""
    write_bytes(folder / SAMPLE_FILE, table)
    known = dataclasses.replace(design, sample=hashlib.sha256(table).hexdigest())
    formats.write_record(folder / DESIGN_FILE, typed.plain(known), formats.DESIGN)


def read_design(folder: pathlib.Path) -> tuple[Design, list[Row]]:
    """Reads a design and its sample.

    Raises:
        InputError: a file is missing or changed, or the sample is not the one that was drawn.
    """
    path = folder / DESIGN_FILE
    try:
        design = typed.read(path, Design, formats.DESIGN)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: give the folder that `jointseg sample` wrote") from error
    table = folder / SAMPLE_FILE
    rows = read_table(table, COLUMNS)
    if sha256(table) != design.sample:
        raise InputError(
            f"{table} is not the sample that {path} describes (SHA-256): restore it, or draw the sample again; answers "
            "belong into a file of their own"
        )
    try:
        found = [_row(row) for row in rows]
        _check_rows(design, found, [row["weight"] for row in rows])
    except ValueError as error:
        raise formats.damaged(path, formats.DESIGN, f"{SAMPLE_FILE} is no sample of this design: {error}") from error
    return design, found


def _check_rows(design: Design, rows: Sequence[Row], weights: Sequence[str]) -> None:
    """Raises `ValueError` if ids, strata, classes, weights or numbers of units are not those of the design."""
    strata = {stratum.name: stratum for stratum in design.strata}
    units: dict[str, set[str]] = {name: set() for name in strata}
    for row, weight in zip(rows, weights, strict=True):
        if row.stratum not in strata or not {row.map_class, *row.near} <= set(design.classes):
            raise ValueError(f"stratum {row.stratum!r} or class {row.map_class!r} of id {row.id!r}")
        if weight != f"{strata[row.stratum].weight:.10g}":
            raise ValueError(f"weight {weight} of id {row.id!r}")
        units[row.stratum].add(row.id if design.kind == "points" else row.unit)
    if len({row.id for row in rows}) < len(rows):
        raise ValueError("two points have one id")
    for name, found in units.items():
        drawn = strata[name].units
        # A block without a point on mapped ground has no line.
        if len(found) > drawn or (design.kind == "points" and len(found) < drawn):
            raise ValueError(f"{len(found)} units of {drawn} in stratum {name!r}")


def _row(row: dict[str, str]) -> Row:
    x, y, longitude, latitude = (float(row[k]) for k in ("x", "y", "longitude", "latitude"))
    near = tuple(next(csv.reader([row["near"]], delimiter=";")))
    return Row(
        row["id"], row["unit"], row["stratum"], int(row["epsg"]), x, y, longitude, latitude, row["map_class"], near
    )
