"""A site on the border of product tiles is served by those of one pass, each decoded by its own offset."""

import csv
import pathlib
import shutil

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.warp
import shapely
import toy
from affine import Affine
from safe_products import safe_of_site, write_safe

from jointseg_jax.data.prepare.archive.candidate import Candidate, Judged
from jointseg_jax.data.prepare.archive.mosaics import mosaics
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.reader import Handles

LEFT, TOP = toy.LEFT, toy.TOP  # of site a, 36 x 42 pixels of 10 m
WEST, EAST = (0, 22), (18, 42)  # columns of the two tiles


def numbers_of(site):
    found = {}
    for name in ("s2", "s2_20m", "scl"):
        with rasterio.open(site / f"{name}.tif") as raster:
            found |= dict(zip(raster.descriptions, raster.read(), strict=True))
    return found


def write_tile(site, folder, columns, *, tile, date, plus=1000, crs=None):
    """A product of some columns of a site; without the +1000 if `plus` is 0; warped to `crs` if it is given."""
    first, last = columns
    numbers, place = {}, (LEFT + 10 * first, TOP)
    for band, values in numbers_of(site).items():
        step = 1 if band in ("B02", "B03", "B04", "B08") else 2
        part = values[:, first // step : last // step]
        if band != "SCL":
            part = np.where(part > 0, part.astype(int) - 1000 + plus, 0).astype(np.uint16)
        if crs is not None:
            part, place = warped(part, place if band == "B02" else (LEFT + 10 * first, TOP), 10 * step, crs)
        numbers[band] = part
    known = {"baseline": "04.00", "offset": -1000} if plus else {"baseline": "03.00", "offset": None}
    return write_safe(
        folder, date=date, tile=tile, numbers=numbers, left=place[0], top=place[1], crs=crs or toy.CRS, **known
    )[0]


def warped(values, place, spacing, crs):
    """Numbers on the lattice of another zone, of multiples of 60 m; the nearest ones."""
    height, width = values.shape
    right, bottom = place[0] + spacing * width, place[1] - spacing * height
    west, south, east, north = rasterio.warp.transform_bounds(toy.CRS, crs, place[0], bottom, right, place[1])
    corner = 60 * np.floor(west / 60), 60 * np.ceil(north / 60)
    shape = (
        int(60 * np.ceil((corner[1] - south) / 60) / spacing),
        int(60 * np.ceil((east - corner[0]) / 60) / spacing),
    )
    target = np.zeros(shape, values.dtype)
    rasterio.warp.reproject(
        values, target, src_crs=toy.CRS, src_transform=Affine(spacing, 0, place[0], 0, -spacing, place[1]), dst_crs=crs,
        dst_transform=Affine(spacing, 0, corner[0], 0, -spacing, corner[1]), dst_nodata=0,
    )  # fmt: skip
    return target, corner


@pytest.fixture
def archive(one, tmp_path):
    """An empty archive of products, with the image and the label of a site, and the config that reads it."""
    site, config = one
    root = tmp_path / "archive"
    (root / "s2").mkdir(parents=True)
    for name in ("image", "label"):
        shutil.copy(site / f"{name}.tif", root / f"{name}_20210601.tif")
    ground = shapely.box(LEFT, TOP - 360, LEFT + 420, TOP)
    table = {"site": ["here"], "region": ["north"], "date": ["2021-06-01"], "split": ["train"]}
    geopandas.GeoDataFrame(table, geometry=[ground], crs=toy.CRS).to_crs(4326).to_file(root / "sites.geojson")
    source = config.source
    source.kind, source.root, source.sites, source.cloud, source.only = "archive", str(root), "sites.geojson", (), ()
    source.image, source.label, source.days = "image*.tif", "label*.tif", 20
    config.inputs = ("s2", "s2_20m")
    source.layers.s2 = source.layers.s2_20m = ("s2/*.SAFE",)
    config.split.table.train = ()
    config.patch, config.stride = 6, 6
    return site, root / "s2", config


def prepared(config, path):
    config.path = str(path)
    data = prepare(config, say=toy.quiet)
    site = data.sites["here"]
    return data.scene("here").read(Window(0, 0, site.height, site.width), Handles()), site


def chosen(config, layer):
    text = (pathlib.Path(config.path) / "sources.csv").read_text(encoding="utf-8")
    rows = [r for r in csv.DictReader(text.splitlines()) if r["layer"] == layer]
    return {r["file"].split("_")[5]: (r["chosen"], r["part"], r["reason"]) for r in rows}


def test_two_tiles_of_one_pass_give_what_one_tile_would(archive, tmp_path):
    """One with +1000, one without, from 14 seconds later; a third tile beside them shows nothing more."""
    site, folder, config = archive
    write_tile(site, folder, WEST, tile="T50RQU", date="20210603T031500")
    write_tile(site, folder, EAST, tile="T50RRU", date="20210603T031514", plus=0)
    write_tile(site, folder, (20, 30), tile="T50RRT", date="20210603T031514", plus=0)
    found, place = prepared(config, tmp_path / "tiles")
    assert chosen(config, "s2") == {
        "T50RRU": ("1", "1", ""),
        "T50RQU": ("1", "2", "fills gaps"),
        "T50RRT": ("", "", "shows nothing that the others of its pass do not"),
    }
    assert {name: row[:2] for name, row in chosen(config, "s2_20m").items()} == {
        "T50RRU": ("1", "1"),
        "T50RQU": ("1", "2"),
    }
    assert any("filled from" in note for note in place.notes)
    for product in folder.iterdir():
        shutil.rmtree(product)
    safe_of_site(site, folder, date="20210603T031500")
    whole, other = prepared(config, tmp_path / "whole")
    assert (place.left, place.top, place.height, place.width) == (other.left, other.top, other.height, other.width)
    np.testing.assert_array_equal(found["s2"]["valid"], whole["s2"]["valid"])
    np.testing.assert_array_equal(found["s2"]["values"], whole["s2"]["values"])
    assert found["s2"]["valid"].mean() > 0.9
    valid = found["s2_20m"]["valid"] & whole["s2_20m"]["valid"]
    assert valid.mean() > 0.9


def test_tiles_of_two_zones_are_joined_on_the_lattice_of_the_first(archive, tmp_path):
    site, folder, config = archive
    config.warp = True
    write_tile(site, folder, (0, 30), tile="T50RQU", date="20210603T031500")
    write_tile(site, folder, (24, 42), tile="T51RTP", date="20210603T031500", crs="EPSG:32651")
    found, _ = prepared(config, tmp_path / "zones")
    assert chosen(config, "s2") == {"T50RQU": ("1", "1", ""), "T51RTP": ("1", "2", "fills gaps")}
    for product in folder.iterdir():
        shutil.rmtree(product)
    safe_of_site(site, folder, date="20210603T031500")
    whole, _ = prepared(config, tmp_path / "whole")
    both = found["s2"]["valid"][0] & whole["s2"]["valid"][0]
    assert both[:, 30:].mean() > 0.8
    a, b = (one["s2"]["values"][0] for one in (found, whole))
    np.testing.assert_array_equal(a[:, :30][both[:, :30]], b[:, :30][both[:, :30]])
    right = both[:, 30:]
    assert np.corrcoef(a[:, 30:][right].ravel(), b[:, 30:][right].ravel())[0, 1] > 0.8


def test_a_tile_that_is_alone_must_show_half_of_the_site(archive, tmp_path):
    site, folder, config = archive
    write_tile(site, folder, (0, 20), tile="T50RQU", date="20210603T031500")
    write_tile(site, folder, (14, 42), tile="T50RRU", date="20210608T031500")  # another day: no mosaic
    prepared(config, tmp_path / "dataset")
    assert chosen(config, "s2") == {
        "T50RQU": ("", "", "data on less than 50 % of the site"),
        "T50RRU": ("1", "1", ""),
    }


@pytest.mark.parametrize(
    ("dates", "count"),
    [
        (("2021-06-03T03:15:00Z", "2021-06-03T03:15:20Z"), 1),
        (("2021-06-02T23:59:55Z", "2021-06-03T00:00:05Z"), 1),
        (("2021-06-03T03:15:00Z", "2021-06-03T04:55:00Z"), 2),  # the next orbit
        (("2021-06-03", "2021-06-03"), 1),
        (("2021-06-03", "2021-06-04"), 2),
        (("", ""), 1),  # terrain
    ],
)
def test_files_of_one_pass_belong_together(dates, count):
    lattice = make_lattice(toy.CRS, LEFT, TOP, 10, 36, 42)
    judged = []
    for number, date in enumerate(dates):
        known = np.zeros((4, 4), bool)
        known[:, 2 * number : 2 * number + 2] = True
        judged.append(Judged(Candidate(f"{number}", pathlib.Path(), lattice, date, None, None), 0, known, seen=50.0))
    found, refused = mosaics(judged)
    assert [len(one.parts) for one in found] == [2 // count] * count
    assert found[0].seen == 100 / count
    assert not refused
