"""Writes one raster per UTM zone and layer, and one table of all tiles in all zones.

PRODUCT/mosaics/LAYER_EPSG.vrt   the tiles as one raster, for QGIS
PRODUCT/mosaics/LAYER_EPSG.qml   its style, which QGIS applies by itself
PRODUCT/index.parquet            GeoParquet, longitude and latitude: one row per tile
PRODUCT/index.geojson            the same as GeoJSON, for programs without Parquet
"""

import collections
import pathlib
import urllib.parse
from collections.abc import Sequence
from typing import Any

import geopandas
import pystac

from jointseg_jax.geo.footprints import footprint
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.qgis_style import SUFFIX, write_styles
from jointseg_jax.mapping.product.tile_record import LAYERS, TileRow
from jointseg_jax.rasters.header import read_header
from jointseg_jax.rasters.virtual.mosaic import Source, write_vrt
from jointseg_jax.storage.files import atomic_path

MOSAICS, INDEX = "mosaics", "index"


def mosaic_path(product: pathlib.Path, layer: str, epsg: int) -> pathlib.Path:
    """The path of a layer's mosaic in a zone."""
    return product / MOSAICS / f"{layer}_{epsg}.vrt"


def write_mosaics(product: pathlib.Path, tiles: Sequence[TileRow], label: Label) -> dict[str, pystac.Asset]:
    """Writes a VRT per zone and layer; returns them as assets of the collection.

    The layer `scene` numbers the scenes of its own tile, so a mosaic of it would be meaningless and is not written.

    Raises:
        InputError: files do not fit together.
    """
    assets = {}
    for (layer, epsg), members in _groups(tiles).items():
        path = mosaic_path(product, layer, epsg)
        files = [product / t.files[layer].path for t in members]
        write_vrt(path, [Source(f, read_header(f)) for f in files])
        write_styles({layer: path}, label)
        assets[path.stem] = pystac.Asset(
            f"./{MOSAICS}/{path.name}",
            title=f"{label.of_layer(layer)}: all tiles in EPSG:{epsg}",
            media_type="application/xml",
            roles=["data", "virtual"],
            extra_fields={"proj:code": f"EPSG:{epsg}"},
        )
    return assets


def mosaic_names(tiles: Sequence[TileRow]) -> set[str]:
    """Names of all files that `write_mosaics` and `write_index` write, relative to the product."""
    mosaics = {mosaic_path(pathlib.Path(), layer, epsg).as_posix() for layer, epsg in _groups(tiles)}
    styles = {mosaic_path(pathlib.Path(), layer, epsg).with_suffix(SUFFIX).as_posix() for layer, epsg in _groups(tiles)}
    return mosaics | styles | {f"{INDEX}.parquet", f"{INDEX}.geojson"}


def _groups(tiles: Sequence[TileRow]) -> dict[tuple[str, int], list[TileRow]]:
    """Groups tiles by layer and zone."""
    groups: dict[tuple[str, int], list[TileRow]] = collections.defaultdict(list)
    for tile in tiles:
        for layer in tile.files:
            if layer != "scene":
                groups[layer, tile.epsg].append(tile)
    return dict(sorted(groups.items()))


def write_index(product: pathlib.Path, tiles: Sequence[TileRow]) -> dict[str, pystac.Asset]:
    """Writes the table of all tiles, as GeoParquet and GeoJSON; returns them as assets of the collection."""
    table = index_table(tiles)
    with atomic_path(product / f"{INDEX}.parquet") as temporary:
        table.to_parquet(temporary, index=False, compression="zstd", write_covering_bbox=True)
    with atomic_path(product / f"{INDEX}.geojson") as temporary:
        temporary.write_text(table.to_json(drop_id=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return {
        "index": pystac.Asset(
            f"./{INDEX}.parquet", "all tiles", media_type="application/vnd.apache.parquet", roles=["metadata"]
        ),
        "index-geojson": pystac.Asset(
            f"./{INDEX}.geojson", "all tiles", media_type="application/geo+json", roles=["metadata"]
        ),
    }


def index_table(tiles: Sequence[TileRow]) -> geopandas.GeoDataFrame:
    """Builds one row per tile: name, zone, date, areas, share, paths of its files, footprint in degrees."""
    rows: list[dict[str, Any]] = []
    for tile in tiles:
        first, last = tile.interval or (None, None)
        rows.append(
            {
                "tile": tile.tile,
                "epsg": tile.epsg,
                "from": first.isoformat() if first else None,
                "to": last.isoformat() if last else None,
                "owned_m2": tile.owned_m2,
                "valid_m2": tile.valid_m2,
                "impervious_m2": tile.impervious_m2,
                "share": tile.share,
                **{layer: tile.files[layer].path if layer in tile.files else None for layer in LAYERS},
                "item": f"items/{urllib.parse.quote(tile.tile)}.json",
            }
        )
    shapes = [footprint(tile.epsg, tile.bounds) for tile in tiles]
    return geopandas.GeoDataFrame(rows, geometry=shapes, crs=4326)
