"""Areas of interest and polygons for tables, in many formats."""

import functools
import json
import pathlib
import random
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import geopandas
import numpy as np
import pyogrio
import shapely
from fuzz import files, trees
from fuzz.engine import Attempt, Kind, Step, Wrong

from jointseg_jax.geo.area_of_interest import read_area
from jointseg_jax.mapping.tools.zonal import read_polygons

BOX = shapely.box(117.0, 30.7, 117.02, 30.72)
HOLE = shapely.Polygon(
    shapely.box(117.03, 30.7, 117.05, 30.72).exterior, [shapely.box(117.035, 30.705, 117.04, 30.71).exterior]
)


class Shapes:
    """Geometries before they are written, and how.

    Attributes:
        truth: their union in degrees; None where it is not known.
    """

    def __init__(self) -> None:
        self.shapes: list[Any] = [BOX, HOLE]
        self.columns: dict[str, list[Any]] = {"name": ["a", "b"]}
        self.crs: Any = 4326
        self.suffix, self.layer = "gpkg", ""
        self.more_layers: list[geopandas.GeoDataFrame] = []
        self.truth: Any = shapely.union_all(self.shapes)
        self.must = "accept"
        self.raw: bytes | None = None


def _as(suffix: str) -> Callable[[random.Random, Shapes], None]:
    def change(_: random.Random, s: Shapes) -> None:
        s.suffix = suffix

    return change


def _crs(values: Sequence[Any], must: str) -> Callable[[random.Random, Shapes], None]:
    """Another CRS, and coordinates in it where they can be had."""

    def change(rng: random.Random, s: Shapes) -> None:
        crs = rng.choice(values)
        if must != "refuse":
            s.shapes = list(geopandas.GeoSeries(s.shapes, crs=s.crs).to_crs(crs))
        s.crs, s.must = crs, must
        if s.suffix == "geojson":
            s.suffix = "gpkg"

    return change


def _plus(
    make: Callable[[random.Random], Any], must: str, adds: bool = False
) -> Callable[[random.Random, Shapes], None]:
    """One more geometry; `adds` says whether it adds to the ground."""

    def change(rng: random.Random, s: Shapes) -> None:
        shape = make(rng)
        s.shapes.append(shape)
        s.columns["name"].append("c")
        s.must = must
        if adds:
            s.truth = shapely.union_all([s.truth, shapely.make_valid(shape)])

    return change


def _broken(rng: random.Random, value: float) -> shapely.Geometry:
    xy = shapely.get_coordinates(BOX).copy()
    xy[rng.randrange(1, 4), rng.randrange(2)] = value
    return shapely.Polygon(xy)


def _star(count: int) -> shapely.Geometry:
    """A ring that crosses itself nearly everywhere."""
    rng = np.random.default_rng(0)
    return shapely.Polygon(rng.uniform((117.1, 30.7), (117.12, 30.72), (count, 2)))


def _bow() -> shapely.Geometry:
    return shapely.Polygon([(117.1, 30.7), (117.11, 30.71), (117.11, 30.7), (117.1, 30.71)])


def _layers(_: random.Random, s: Shapes) -> None:
    s.suffix = "gpkg"
    far = shapely.box(117.2, 30.7, 117.22, 30.72)
    s.more_layers.append(geopandas.GeoDataFrame({"name": ["z"]}, geometry=[far], crs=4326))
    s.truth, s.must = shapely.union_all([s.truth, far]), "accept"


def _only(shapes: Sequence[Any], must: str = "refuse") -> Callable[[random.Random, Shapes], None]:
    def change(_: random.Random, s: Shapes) -> None:
        s.shapes, s.columns, s.must, s.truth = list(shapes), {"name": ["x"] * len(shapes)}, must, None

    return change


def _columns(rng: random.Random, s: Shapes) -> None:
    name = rng.choice(("share", "", "pixels", "a" * 70, "é", "geometry2", "fid_"))
    s.columns[name] = [1] * len(s.shapes)
    s.must = "either"


def _raw(texts: Sequence[str], must: str = "refuse") -> Callable[[random.Random, Shapes], None]:
    def change(rng: random.Random, s: Shapes) -> None:
        s.raw, s.suffix, s.must, s.truth = rng.choice(texts).encode(), "geojson", must, None

    return change


def _ring(ring: Sequence[Any]) -> str:
    return json.dumps({"type": "Polygon", "coordinates": [ring]})


SHAPES: dict[str, Callable[[random.Random, Shapes], None]] = {
    **{f"as_{s}": _as(s) for s in ("gpkg", "geojson", "shp", "fgb", "kml", "geojsonl", "parquet")},
    "layers": _layers,
    "utm": _crs(("EPSG:32650", "EPSG:32651"), "accept"),
    "mercator": _crs((3857,), "accept"),
    "other_datum": _crs(("EPSG:4490", "EPSG:4230", "EPSG:2326"), "either"),
    "engineering": _crs(('LOCAL_CS["site grid",UNIT["metre",1]]',), "refuse"),
    "wrong_zone": _crs(("EPSG:32650",), "refuse"),  # degrees said to be metres
    "no_crs": _crs((None,), "refuse"),
    "not_finite": _plus(lambda rng: _broken(rng, rng.choice((np.nan, np.inf, -np.inf))), "either"),
    "far_out": _plus(lambda rng: _broken(rng, rng.choice((1e30, -1e9, 1000.0))), "refuse"),
    "bow": _plus(lambda _: _bow(), "accept", adds=True),
    "star": _plus(lambda rng: _star(rng.choice((60, 200))), "either"),
    "bomb": _plus(lambda _: _star(1500), "either"),
    "empty_shape": _plus(lambda _: shapely.Polygon(), "accept"),
    "null_shape": _plus(lambda _: None, "accept"),
    "point": _plus(lambda _: shapely.Point(117.0, 30.7), "either"),
    "line": _plus(lambda _: shapely.LineString([(117, 30), (118, 31)]), "either"),
    "collection": _plus(lambda _: shapely.GeometryCollection([BOX, shapely.Point(1, 1)]), "either"),
    "flat": _plus(lambda _: shapely.Polygon([(117, 30), (118, 30), (117, 30), (117, 30)]), "either"),
    "three_dimensions": _plus(lambda _: shapely.force_3d(BOX, 5.0), "accept"),
    "doubled": _plus(lambda _: BOX, "accept"),
    "antimeridian": _plus(
        lambda _: shapely.MultiPolygon([shapely.box(179.9, 1, 180, 1.1), shapely.box(-180, 1, -179.9, 1.1)]),
        "accept", adds=True,
    ),
    "no_shape": _only([]),
    "only_points": _only([shapely.Point(117, 30)]),
    "only_empty": _only([shapely.Polygon(), None]),
    "odd_column": _columns,
    "unclosed": _raw([_ring([[117, 30], [117.1, 30], [117.1, 30.1]])], "either"),
    "short_ring": _raw([_ring([]), _ring([[117, 30]]), _ring([[117, 30], [117.1, 30]])]),
    "ring_of_words": _raw([_ring([["a", "b"], ["c", "d"], ["a", "b"]]), _ring([None] * 4), _ring([[]] * 4)]),
    "no_coordinates": _raw(['{"type": "Polygon"}', '{"type": "Feature", "geometry": null}', '{"type": "Topology"}']),
    "no_json": _raw(["{", "[]", "null", "5", '"x"', "[" * 5000]),
    "kilometres": _raw([_ring([[500000, 3400000], [500100, 3400000], [500100, 3400100], [500000, 3400000]])]),
}  # fmt: skip
_SIDE = tuple(
    f"{name}@{side}" for side in ("prj", "shx", "dbf") for name in ("truncate", "garbage", "empty", "missing")
)
_TREE = tuple(f"{name}@tree" for name in trees.NAMES)
MUTATIONS = (*SHAPES, *files.ANY, *_SIDE, *_TREE)


def _write(s: Shapes, folder: pathlib.Path) -> pathlib.Path:
    path = folder / f"belt.{s.suffix}"
    if s.raw is not None:
        path.write_bytes(s.raw)
        return path
    frame = geopandas.GeoDataFrame(s.columns, geometry=s.shapes, crs=s.crs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if s.suffix == "parquet":
            frame.to_parquet(path)
            return path
        options = {"layer": "first"} if s.suffix == "gpkg" else {}
        frame.to_file(
            path, driver="LIBKML" if s.suffix == "kml" and "LIBKML" in pyogrio.list_drivers() else None, **options
        )
        for number, more in enumerate(s.more_layers):
            more.to_file(path, layer=f"more{number}")
    return path


def attempt(folder: pathlib.Path, steps: Sequence[Step], *, table: bool) -> Attempt:
    """A mutated vector file, read as an area of interest or as polygons of a table."""
    s, must, blind = Shapes(), [], False
    for step in steps:
        if step.mutation in SHAPES:
            SHAPES[step.mutation](random.Random(step.seed), s)
            must.append(s.must)
        elif step.mutation.endswith("@tree") or step.mutation in files.TEXT:
            s.suffix = "geojson"
        elif "@" in step.mutation:
            s.suffix = "shp"
    path = _write(s, folder)
    for step in steps:
        if step.mutation in SHAPES:
            continue
        rng = random.Random(step.seed)
        name, _, side = step.mutation.partition("@")
        if side == "tree":
            trees.rewrite(path, name, rng)
        else:
            files.ANY[name](rng, path if not side else path.with_suffix(f".{side}"))
        blind = blind or name not in (*files.PLACE, *files.TEXT, "blanks")
        must.append("accept" if name == "symlink" and s.suffix != "shp" else "either")
    verdict = (
        must[0] if len(must) == 1 and not (table and must[0] == "accept" and "antimeridian" in str(steps)) else "either"
    )

    def check(found: Any) -> None:
        area = shapely.union_all(found.geometry.to_crs(4326).values) if table else found
        if area.is_empty or not np.isfinite(area.bounds).all():
            raise Wrong(f"an area with the bounds {area.bounds}")
        if blind or s.truth is None or "star" in str(steps) or "bomb" in str(steps):
            return
        if table and "layers" in str(steps):
            return
        off = shapely.symmetric_difference(shapely.make_valid(area), s.truth).area
        if off > 1e-3 * s.truth.area:
            raise Wrong(f"the area differs by {off / s.truth.area:.3g} of the truth")

    read = functools.partial(read_polygons, name=None) if table else read_area
    if table and any(x.mutation in ("layers", "point", "line", "collection", "flat") for x in steps):
        verdict = "either"
    return Attempt(lambda: read(path), check, (path.name, "belt"), verdict)


KINDS = (
    Kind("area", 330, MUTATIONS, functools.partial(attempt, table=False), together=2),
    Kind("polygons", 220, MUTATIONS, functools.partial(attempt, table=True), together=2),
)
