"""Turns the features of vector files into shapes to burn: what rule they take, how wide they are, where they lie."""

import collections
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
import pyproj
import shapely

from jointseg_jax.data.prepare.labels.rules import Rules
from jointseg_jax.data.prepare.labels.tags import PACKED, THEMATIC, tags_of
from jointseg_jax.data.prepare.labels.widths import MOST, line_width
from jointseg_jax.errors import InputError
from jointseg_jax.geo.polygons import is_tangled, polygonal
from jointseg_jax.geo.reproject import longest_side, reproject
from jointseg_jax.geo.vector_window import VectorWindow, read_window, window_box
from jointseg_jax.geo.vectors import VectorLayer

_AROUND = MOST / 2 + 150.0  # metres beyond a site from which features count: half the widest line, and cut ends
_LINE, _AREA = 1, 3  # shapely's type numbers
_CLASS = "fclass"  # the column of Geofabrik's shapefiles
_MANY = 200  # vertices; fewer cannot make a tangle


@dataclasses.dataclass(frozen=True)
class Shape:
    """Ground to burn.

    Attributes:
        geometry: an area, in the site's CRS.
        value: label value.
        order: burnt in rising order: level, then size.
        whole: true for an area of the file, false for a line with its width.
    """

    geometry: shapely.Geometry
    value: int
    order: tuple[float, float]
    whole: bool


@dataclasses.dataclass(frozen=True)
class Features:
    """What the vector files of a site hold.

    Attributes:
        shapes: in the order in which they are burnt.
        counts: what was found -> number of features, for the record of the site.
        covered: ground that OpenStreetMap extracts declare to cover, in degrees; None if the files declare none.
    """

    shapes: tuple[Shape, ...]
    counts: Mapping[str, int]
    covered: shapely.Geometry | None


def read_features(
    paths: Iterable[pathlib.Path],
    rules: Rules,
    bounds: tuple[float, float, float, float],
    crs: str,
    scratch: pathlib.Path | None = None,
) -> Features:
    """Reads the vectors of a site and applies the rules.

    Args:
        paths: vector files, read as one.
        rules: see `load_rules`.
        bounds: left, bottom, right, top of the site, metres.
        crs: of the site.
        scratch: see `read_window`.

    Raises:
        InputError: see `read_window`; a file has only points; or it holds several themes and there are no rules.
    """
    left, bottom, right, top = bounds
    around = (left - _AROUND, bottom - _AROUND, right + _AROUND, top + _AROUND)
    counts: collections.Counter[str] = collections.Counter()
    shapes: list[Shape] = []
    declared = []
    for path in paths:
        window = read_window(path, around, crs, scratch)
        if window.only_points:
            raise InputError(f"{path} contains only points, which have no area: give polygons or lines")
        if rules.given:
            _check_rules(path, window, rules)
        else:
            _check_one_theme(path, window)
        declared.append(window.covered)
        for layer in window.layers:
            shapes += _shapes_of(layer, rules, around, crs, counts)
    covered = None if None in declared else shapely.union_all(declared)
    return Features(
        tuple(sorted(shapes, key=lambda shape: shape.order)), {k: n for k, n in counts.items() if n}, covered
    )


def _check_one_theme(path: pathlib.Path, window: VectorWindow) -> None:
    """Without rules every line and area of a file is impervious: refuses files of which that cannot be meant."""
    names = [layer.name for layer in window.layers]
    tags = sorted({str(name) for layer in window.layers for name in layer.table.columns} & THEMATIC)
    if len(names) == 1 and not tags:
        return
    has = f"the layers {', '.join(names)}" if len(names) > 1 else f"the tags {', '.join(tags)}"
    fitting = "'geofabrik' for Geofabrik's shapefiles" if _CLASS in tags else "'osm' for OpenStreetMap"
    raise InputError(
        f"{path} has {has}, and without rules all of it would be impervious: set dataset.label.rules to {fitting}, or "
        "to a YAML file that says what is impervious (docs/your-own-data.md)"
    )


def _check_rules(path: pathlib.Path, window: VectorWindow, rules: Rules) -> None:
    """Refuses a file whose tags no rule asks for: every feature would be left out, or fit a rule by chance."""
    unknown = []
    for layer in window.layers:
        themes = {str(name) for name in layer.table.columns} & THEMATIC
        packed = bool(themes & {*PACKED}) and _CLASS not in rules.keys
        if not themes or packed or rules.may_fit(themes, layer.name):
            return
        unknown += sorted(themes)
    if unknown:
        fitting = "geofabrik" if _CLASS in unknown else "osm"
        raise InputError(
            f"{path} says in {', '.join(dict.fromkeys(unknown))} what a feature is, but no rule asks for that: set "
            f"dataset.label.rules to {fitting!r}, or to a YAML file with rules for it (docs/your-own-data.md)"
        )


def _shapes_of(
    layer: VectorLayer,
    rules: Rules,
    around: tuple[float, float, float, float],
    crs: str,
    counts: collections.Counter[str],
) -> list[Shape]:
    """The shapes of one layer; adds to `counts`."""
    table = layer.table
    if table.empty:
        return []
    geometries = np.asarray(table.geometry.values)
    counts["features"] += len(table)
    counts["dropped: no geometry"] += int(shapely.is_missing(geometries).sum() + shapely.is_empty(geometries).sum())
    parts, owner = _simple_parts(geometries)
    finite = np.isfinite(shapely.bounds(parts)).all(-1)
    counts["dropped: coordinates that are no numbers"] += len(np.unique(owner[~finite]))
    parts, owner = parts[finite], owner[finite]
    tags = list(tags_of(table.drop(columns=table.geometry.name), rules.keys))
    numbers = _match(parts, owner, tags, layer.name, rules)
    told = {int(feature): rules.rules[number] for feature, number in zip(owner, numbers, strict=True) if number >= 0}
    for rule in told.values():
        counts[f"rule {rule.name}"] += 1
    counts["no rule"] += len(np.unique(owner)) - len(told)
    burnt = np.array([number >= 0 and rules.rules[number].value is not None for number in numbers], bool)
    parts, owner, numbers = parts[burnt], owner[burnt], numbers[burnt]
    whole = np.array([_repair(part) for part in parts], object)
    lost = shapely.is_missing(whole)
    counts["dropped: broken beyond repair"] += len(np.unique(owner[lost]))
    counts["repaired"] += len(np.unique(owner[~lost & (whole != parts)]))
    whole, owner, numbers = whole[~lost], owner[~lost], numbers[~lost]
    return _place(whole, [tags[feature] for feature in owner], numbers, table.crs, rules, around, crs, counts)


def _place(
    parts: np.ndarray,
    tags: list[dict[str, str]],
    numbers: np.ndarray,
    source: pyproj.CRS,
    rules: Rules,
    around: tuple[float, float, float, float],
    crs: str,
    counts: collections.Counter[str],
) -> list[Shape]:
    """Shapes in the site's CRS of valid parts in the CRS `source`, with their tags and the numbers of their rules."""
    box = shapely.box(*window_box(around, crs, source))
    sizes = shapely.area(parts) * _metres_per_unit(source, box) ** 2
    near = np.where(shapely.covers(box, parts), parts, shapely.intersection(parts, box))
    placed = reproject(near, source.to_wkt(), crs, longest_side(source))
    seen = ~shapely.is_empty(placed)
    outside = seen & ~np.isfinite(shapely.bounds(placed)).all(-1)
    counts["dropped: beyond the site's CRS"] += int(outside.sum())
    shapes, levels = [], rules.levels
    for i in np.flatnonzero(seen & ~outside):
        rule, geometry, size = rules.rules[numbers[i]], placed[i], sizes[i]
        line = shapely.get_dimensions(parts[i]) == 1
        if line:
            width, told, unreadable = line_width(tags[i], rules.width_tags, rule.width or 0.0, rule.lane_width)
            counts[f"width by {told}"] += 1
            counts["width that cannot be read"] += unreadable
            geometry = shapely.buffer(geometry, width / 2)
            size = geometry.area
        shapes.append(Shape(geometry, int(rule.value or 0), (-levels[numbers[i]], -float(size)), not line))
    return shapes


def _simple_parts(geometries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The single lines and areas of geometries, collections included, and the number of the geometry of each."""
    parts, owner = shapely.get_parts(geometries, return_index=True)
    while len(parts) and (shapely.get_type_id(parts) > _AREA).any():
        parts, inner = shapely.get_parts(parts, return_index=True)
        owner = owner[inner]
    kinds = shapely.get_type_id(parts)
    kinds = np.where(kinds == 2, _LINE, kinds)  # a ring is a line
    kept = np.isin(kinds, (_LINE, _AREA)) & ~shapely.is_empty(parts)
    return parts[kept], owner[kept]


def _match(parts: np.ndarray, owner: np.ndarray, tags: list[dict[str, str]], layer: str, rules: Rules) -> np.ndarray:
    """The number of the rule of every part, int [parts]; -1 without one."""
    known: dict[tuple[frozenset[tuple[str, str]], bool], int] = {}
    found = []
    for kind, feature in zip(shapely.get_type_id(parts), owner, strict=True):
        line = kind != _AREA
        key = frozenset(tags[feature].items()), line
        if key not in known:
            fits = (n for n, rule in enumerate(rules.rules) if rule.fits(tags[feature], layer, line))
            known[key] = next(fits, -1)
        found.append(known[key])
    return np.array(found, int)


def _repair(part: shapely.Geometry) -> shapely.Geometry | None:
    """The part itself if it is valid, or made valid; None if nothing is left or it is a tangle."""
    if shapely.get_type_id(part) != _AREA:
        tangle = shapely.get_num_coordinates(part) > _MANY and not part.is_simple and is_tangled(part)
        return None if tangle or shapely.length(part) == 0 else part
    if part.is_valid:
        return part
    if shapely.get_num_coordinates(part) > _MANY and is_tangled(part):
        return None
    whole = polygonal(part)
    return None if whole.is_empty else whole


def _metres_per_unit(crs: pyproj.CRS, box: shapely.Geometry) -> float:
    """Metres on the ground per unit of a CRS at a place, roughly: to compare sizes of areas from several files."""
    if not crs.is_geographic:
        return float(crs.axis_info[0].unit_conversion_factor)
    return 111_320.0 * math.sqrt(max(math.cos(math.radians(box.centroid.y)), 1e-3))
