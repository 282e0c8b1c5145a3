"""Reads the sites of an archive from a vector file: polygons, or centres with a side."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import pandas as pd
import shapely

from jointseg_jax.data.prepare.site_list import check_split
from jointseg_jax.data.prepare.site_names import check_names
from jointseg_jax.data.prepare.sources import SiteEntry
from jointseg_jax.errors import InputError
from jointseg_jax.geo.antimeridian import cut_at_180
from jointseg_jax.geo.polygons import flat
from jointseg_jax.geo.reproject import reproject
from jointseg_jax.geo.vectors import read_layers
from jointseg_jax.rasters.metric import utm_zone
from jointseg_jax.sources.dates import DATE_FORMS, iso_moment


def read_sites(path: pathlib.Path, side: float, only: Sequence[str] = ()) -> list[SiteEntry]:
    """Reads the sites of all layers of a file, in order.

    Args:
        path: polygons, or points as the centres of squares. Fields, all optional: `site` (a name), `region`, `date` (of
            the 1 m image), `place`, `split`, and `side` for points.
        side: of the squares of points without a field `side`, metres.
        only: names of the sites wanted; all if empty.

    Raises:
        InputError: unreadable, neither polygons nor points, a repeated or unusable name, an invalid date, side or
            split, or `only` names an unlisted site.
    """
    sites: list[SiteEntry] = []
    for layer in read_layers(path):
        layer.check()
        table = layer.table.to_crs(4326)
        for number, (shape, row) in enumerate(zip(table.geometry, table.to_dict("records"), strict=True)):
            where = layer.where(number)
            name = _text(row, "site") or f"site-{len(sites) + 1:04d}"
            date = iso_moment(_text(row, "date"))
            if _text(row, "date") and not date:
                raise InputError(f"{where} has the date {row['date']!r}, which is not an ISO date, like {DATE_FORMS}")
            split = _text(row, "split")
            check_split(split, name, path)
            ground = _ground(shape, row, side, where)
            place, region = _text(row, "place") or name, _text(row, "region") or "all"
            sites.append(SiteEntry(name, place, region, date, path.parent, split, ground))
    check_names([site.name for site in sites], path)
    if unknown := [name for name in only if name not in {site.name for site in sites}]:
        raise InputError(f"dataset.source.only names {unknown}, which {path} does not list: use some of its sites")
    return [site for site in sites if not only or site.name in only]


def _text(row: dict[Any, Any], field: str) -> str:
    value = row.get(field)
    if isinstance(value, pd.Timestamp):  # of a field of type date
        value = value.date().isoformat() if value == value.normalize() else value.isoformat()
    return "" if value is None or pd.isna(value) else str(value).strip()


def _ground(shape: shapely.Geometry | None, row: dict[Any, Any], side: float, where: str) -> shapely.Geometry:
    """The ground of a site, a polygon in degrees."""
    if shape is None or shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon", "Point"):
        kind = "nothing" if shape is None or shape.is_empty else f"a {shape.geom_type}"
        raise InputError(f"{where} is {kind}, but a site is a polygon or a point: correct it or remove it")
    if shape.geom_type != "Point":
        return cut_at_180(shape)
    text = _text(row, "side")
    try:
        side = float(text) if text else side
    except ValueError:
        side = -1.0
    if not 0 < side <= 100_000:
        raise InputError(f"{where} has the side {text!r}: give metres above 0 and up to 100,000")
    crs, half = zone_crs(shape), side / 2
    centre = reproject(shape, 4326, crs, math.inf)
    square = shapely.box(centre.x - half, centre.y - half, centre.x + half, centre.y + half)
    return cut_at_180(reproject(square, crs, 4326, math.inf))


def zone_crs(ground: shapely.Geometry) -> str:
    """The UTM zone, `EPSG:n`, of the middle of polygons or of a point in degrees; raises `InputError` beyond UTM."""
    west, _, east, _ = ground.bounds
    # Parts on both sides of the antimeridian have their common middle near Greenwich.
    middle = (max(flat(ground), key=lambda part: part.area) if east - west > 180 else ground).centroid
    lon, lat = middle.x, middle.y
    zone = utm_zone(lon, lat)
    if zone is None:
        raise InputError(f"a site lies at {lon:.4f}, {lat:.4f}, outside the area that UTM covers: remove it")
    return zone
