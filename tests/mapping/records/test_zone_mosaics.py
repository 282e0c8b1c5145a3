"""Mosaics per zone and the index over all of them."""

import json

import geopandas
import numpy as np
import pytest
import rasterio

from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.tile_record import parse_rows
from jointseg_jax.mapping.records.zone_mosaics import mosaic_names, write_index, write_mosaics


def test_one_mosaic_per_zone_and_layer(product):
    folder, rows = product
    assets = write_mosaics(folder, parse_rows(rows), Label.of_record({}))
    assert set(assets) == {f"{la}_{z}" for la in ("impervious", "probability", "image") for z in (32650, 32651)}
    assert mosaic_names(parse_rows(rows)) == {
        *(f"mosaics/{name}.{suffix}" for name in assets for suffix in ("vrt", "qml")), "index.parquet", "index.geojson",
    }  # fmt: skip
    for name in ("50N_0000_0340", "50N_0003_0340"):
        with rasterio.open(folder / rows[name]["files"]["impervious"]["path"]) as raster:
            own, bounds = raster.read(1), raster.bounds
        with rasterio.open(folder / "mosaics" / "impervious_32650.vrt") as raster:
            np.testing.assert_array_equal(raster.read(1, window=raster.window(*bounds)), own)
            assert raster.shape == (360, 3 * 600 + 420)


def test_the_index_knows_every_tile(product):
    folder, rows = product
    write_index(folder, parse_rows(rows))
    table = geopandas.read_parquet(folder / "index.parquet")
    assert list(table["tile"]) == sorted(rows)
    assert table.crs.to_epsg() == 4326
    assert table["impervious_m2"].sum() == pytest.approx(sum(r["impervious_m2"] for r in rows.values()))
    for row in table.itertuples():
        assert (folder / row.impervious).is_file()
        assert row.geometry.is_valid
    near = geopandas.read_parquet(folder / "index.parquet", bbox=(122.9, 30, 124, 31))
    assert list(near["tile"]) == ["51N_0002_0340"]
    text = json.loads((folder / "index.geojson").read_text())
    assert [f["properties"]["tile"] for f in text["features"]] == sorted(rows)
    assert np.allclose(table.total_bounds, geopandas.read_file(folder / "index.geojson").total_bounds)
