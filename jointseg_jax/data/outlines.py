"""Writes the ground of a dataset's sites as polygons: an area to map, and regions to report on.

Sites of one place and several years give one polygon. The columns are `place`, the first such site, and `region`.
"""

import os
import pathlib

import geopandas
import pandas as pd
import shapely

from jointseg_jax.data.dataset import load
from jointseg_jax.errors import InputError
from jointseg_jax.geo.vectors import read_layers, write_vectors
from jointseg_jax.rasters.contract import COARSE_SPACING
from jointseg_jax.storage.folders import check_file

_COLUMNS = {"place", "region"}


def outlines(dataset: str | os.PathLike[str], split: str | None) -> geopandas.GeoDataFrame:
    """The polygons in longitude and latitude; `split` None for all sites.

    Raises:
        InputError: the dataset cannot be read, or has no ground in the split.
    """
    data = load(dataset)
    sites = list(data.sites.values()) if split is None else data.sites_of(split)
    parts = []
    for crs in sorted({site.crs for site in sites}):
        own = [site for site in sites if site.crs == crs]
        shapes = [
            shapely.box(s.left, s.top - COARSE_SPACING * s.height, s.left + COARSE_SPACING * s.width, s.top)
            for s in own
        ]
        columns = {"place": [s.name for s in own], "region": [s.region for s in own]}
        table = geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)
        parts.append(table.loc[~table.geometry.to_wkb().duplicated()].to_crs(4326))
    return geopandas.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=4326)


def write_outlines(path: str | os.PathLike[str], found: geopandas.GeoDataFrame) -> None:
    """Writes the polygons; replaces an earlier file of them.

    Raises:
        InputError: the suffix names no format, or the file is another one.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in (".gpkg", ".geojson"):
        raise InputError(f"--output={path} must end with .gpkg or .geojson")
    check_file(path, "file of outlines", _is_ours)
    write_vectors(path, found)


def _is_ours(path: pathlib.Path) -> bool:
    try:
        layers = read_layers(path)
    except InputError:
        return False
    return len(layers) == 1 and set(layers[0].table.columns) >= _COLUMNS
