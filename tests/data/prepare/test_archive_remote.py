"""Sites whose products are found by a STAC API and read by http, and layers of sites by their address."""

import csv
import pathlib
import shutil

import geopandas
import numpy as np
import pytest
import shapely
import stac_files
import toy
from web_server import serving

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote, stamps
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles


@pytest.fixture
def server(one, tmp_path, monkeypatch):
    """Serves the COGs of a toy site, and an API with items of it: two dates, and one of another year."""
    monkeypatch.setenv(remote.REMOTE, "1")
    monkeypatch.setattr(stamps, "_REMEMBERED", 1e-9)
    site, _ = one
    box = stac_files.write_cogs(site, tmp_path / "web" / "a")
    with serving(tmp_path / "web") as server:
        base = f"{server.address}/a"
        server.items["s2"] = [
            stac_files.item("S2B_near", base, box, date="2021-06-03T03:15:00Z"),
            stac_files.item("S2A_far", base, box, date="2021-06-15T03:15:00Z"),
            stac_files.item("S2A_old", base, box, date="2020-06-01T03:15:00Z"),
        ]
        yield server


@pytest.fixture
def archive(one, server, tmp_path):
    """Reads images and labels of a folder, and Sentinel-2 through the API."""
    site, config = one
    root = tmp_path / "archive"
    root.mkdir()
    for name in ("image", "label"):
        shutil.copy(site / f"{name}.tif", root / f"{name}_20210601.tif")
    ground = shapely.box(toy.LEFT + 47, toy.TOP - 337, toy.LEFT + 393, toy.TOP - 23)
    table = {"site": ["here"], "region": ["north"], "date": ["2021-06-01"], "split": ["train"]}
    geopandas.GeoDataFrame(table, geometry=[ground], crs=toy.CRS).to_crs(4326).to_file(root / "sites.geojson")
    source = config.source
    source.kind, source.root, source.sites, source.cloud, source.only = "archive", str(root), "sites.geojson", (), ()
    source.image, source.label, source.days = "image*.tif", "label*.tif", 20
    config.inputs = ("s2", "s2_20m")
    source.layers.s2 = source.layers.s2_20m = (f"{server.address}/api/collections/s2",)
    config.split.table.train = ()
    config.patch, config.stride = 6, 6
    return config


def rows_of(config, layer):
    text = (pathlib.Path(config.path) / "sources.csv").read_text(encoding="utf-8")
    return {r["file"]: (r["chosen"], r["reason"]) for r in csv.DictReader(text.splitlines()) if r["layer"] == layer}


def values_of(data, name="s2"):
    return data.scene("here").read(Window(0, 0, 28, 32), Handles())[name]


def test_a_site_is_served_by_the_items_of_an_api(one, server, archive):
    config = archive
    data = prepare(config, say=toy.quiet)
    assert rows_of(config, "s2") == {"S2B_near": ("1", ""), "S2A_far": ("", "others are better")}
    assert rows_of(config, "s2_20m") == {"S2B_near": ("1", "as the first modality")}
    got = values_of(data)
    # The same site from the folder of its rasters, with the same mask of cloud.
    site, _ = one
    config.path = f"{config.path}-local"
    shutil.copytree(site, pathlib.Path(config.source.root) / "a")
    config.source.layers.s2 = config.source.layers.s2_20m = ("a/item.json",)
    box = tuple(server.items["s2"][0]["bbox"])
    stac_files.write_cogs(site, pathlib.Path(config.source.root) / "a" / "cogs")
    record = stac_files.item("local", "cogs", box, date="2021-06-03T03:15:00Z")
    stac_files.write_json(pathlib.Path(config.source.root) / "a" / "item.json", record)
    expected = values_of(prepare(config, say=toy.quiet))
    np.testing.assert_array_equal(got["values"], expected["values"])
    np.testing.assert_array_equal(got["valid"], expected["valid"])
    assert got["valid"].any()


def test_a_site_is_made_again_only_if_its_files_or_its_item_change(server, archive):
    def line():
        lines = []
        prepare(archive, say=lines.append)
        return next(line for line in lines if "here:" in line)

    assert "prepared" in line()
    assert "already there" in line()
    server.items["s2"][0]["properties"]["updated"] = "2024-01-01T00:00:00Z"
    assert "prepared" in line()
    band = server.folder / "a" / "B02.tif"
    band.write_bytes(band.read_bytes() + b"0")  # another ETag
    assert "prepared" in line()


def test_without_an_item_near_the_date_the_site_is_refused(server, archive):
    config = archive
    config.source.days = 1
    with pytest.raises(InputError, match="has 0 of the 1 acquisitions of modality 's2' that it needs within 1 days"):
        prepare(config, say=toy.quiet)


def test_a_layer_of_a_site_may_have_an_address(raw, one, server):
    site, config = one
    shutil.copy(raw / "a" / "s1.tif", server.folder / "s1.tif")
    config.inputs = ("s2", "s1")
    config.source.layers.s1 = (f"{server.address}/s1.tif?signature=abc",)
    (site,) = prepare(config, say=toy.quiet).sites.values()
    assert site.layers["s1"]
    assert "signature" not in (pathlib.Path(config.path) / "dataset.json").read_text()
    config.source.layers.s1 = (f"{server.address}/none.tif",)
    with pytest.raises(InputError, match=r"none.tif does not exist .HTTP 404."):
        prepare(config, say=toy.quiet)
