"""Sites whose files are chosen from an archive of real .SAFE products, images and labels."""

import csv
import pathlib
import shutil

import geopandas
import numpy as np
import pytest
import shapely
import toy
from safe_products import safe_of_site

from jointseg_jax.data.prepare.archive.sites import read_sites
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.sources.dates import days_apart

LEFT, TOP = toy.LEFT, toy.TOP  # of site a, 360 x 420 m


def classes(share, code=9):
    """A classification with cloud on some rows."""
    values = np.full((18, 21), 4, np.uint8)
    values[: round(18 * share)] = code
    return values


PRODUCTS = {  # date of sensing -> share of cloud; the image is of 2021-06-01
    "20210520T031500": 0.5,
    "20210603T031500": 0.2,
    "20210611T031500": 0.2,
    "20210801T031500": 0.0,  # too far away in time
    "20210605T031500": 1.0,
}


def write_sites(path, **fields):
    ground = shapely.box(LEFT + 47, TOP - 337, LEFT + 393, TOP - 23)  # snapped inwards by the preparation
    table = {"site": ["here"], "region": ["north"], "date": ["2021-06-01"], "split": ["train"], **fields}
    geopandas.GeoDataFrame(table, geometry=[ground], crs=toy.CRS).to_crs(4326).to_file(path)


@pytest.fixture
def archive(one, tmp_path):
    """An archive of products over one toy site, and a config that reads it."""
    site, config = one
    root = tmp_path / "archive"
    (root / "s2").mkdir(parents=True)
    for name in ("image", "label"):
        (root / name).mkdir()
        shutil.copy(site / f"{name}.tif", root / name / f"{name}_20210601.tif")
    for date, share in PRODUCTS.items():
        safe_of_site(site, root / "s2", date=date, cloud=classes(share))
    write_sites(root / "sites.geojson")
    source = config.source
    source.kind, source.root, source.sites, source.cloud, source.only = "archive", str(root), "sites.geojson", (), ()
    source.image, source.label, source.days = "image/*.tif", "label/*.tif", 20
    config.inputs = ("s2", "s2_20m")
    source.layers.s2 = source.layers.s2_20m = ("s2/*.SAFE",)
    config.split.table.train = ()
    config.patch, config.stride = 6, 6
    return root, config


def table_of(config):
    return list(csv.DictReader((pathlib.Path(config.path) / "sources.csv").read_text(encoding="utf-8").splitlines()))


def rows_of(config, layer="s2"):
    return {r["file"].split("_")[2][:8]: r for r in table_of(config) if r["layer"] == layer}


def test_the_least_cloudy_product_near_the_images_date_serves(archive):
    """Of two equally clear ones the nearer; every other one has its reason in the table."""
    _, config = archive
    data = prepare(config, say=toy.quiet)
    (site,) = data.sites.values()
    assert (site.name, site.region, site.date) == ("here", "north", "2021-06-01")
    assert (site.left, site.top, site.height, site.width) == (LEFT + 60, TOP - 40, 28, 32)
    rows = rows_of(config)
    assert {day: (r["chosen"], r["reason"]) for day, r in rows.items()} == {
        "20210520": ("", "others are better"),
        "20210603": ("1", ""),
        "20210611": ("", "others are better"),
        "20210801": ("", "more than 20 days from the image"),
        "20210605": ("", "no clear ground"),
    }
    assert (rows["20210603"]["days"], rows["20210520"]["days"]) == ("2", "-12")
    assert float(rows["20210520"]["cloud_percent"]) > float(rows["20210611"]["cloud_percent"]) > 0
    assert rows_of(config, "s2_20m")["20210603"]["chosen"] == "1"
    assert site.days == {"image": (0,), "label": (0,), "s2": (2,), "s2_20m": (2,)}
    lines = []
    prepare(config, say=lines.append)
    assert "already there" in lines[0]


def test_several_dates_are_the_best_ones_each_with_its_clouds(archive):
    _, config = archive
    config.source.dates = 3
    data = prepare(config, say=toy.quiet)
    assert [rows_of(config)[day]["chosen"] for day in ("20210603", "20210611", "20210520")] == ["1", "2", "3"]
    valid = data.scene("here").read(Window(0, 0, 28, 32), Handles())["s2"]["valid"]
    # Cloud covers 4, 4 and 9 rows of 20 m from the product's top; the site begins 40 m below it.
    assert (~valid).all(2).sum(1).tolist() == [4, 4, 14]
    config.source.dates = 4
    with pytest.raises(InputError, match="has 3 of the 4 acquisitions of modality 's2' that it needs within 20 days"):
        prepare(config, say=toy.quiet)
    assert rows_of(config)["20210801"]["reason"] == "more than 20 days from the image"


def test_of_two_processings_the_later_one_serves(archive):
    root, config = archive
    (old,) = (root / "s2").glob("*_20210603T*.SAFE")
    shutil.move(old, root / "s2" / old.name.replace("_N0400_", "_N0300_"))
    safe_of_site(root.parent / "raw" / "a", root / "s2", date="20210603T031500", cloud=classes(0.4))
    prepare(config, say=toy.quiet)
    found = {r["file"]: r["reason"] for r in table_of(config) if "20210603" in r["file"] and r["layer"] == "s2"}
    reasons = {name.split("_N0")[1][:3]: reason for name, reason in found.items()}
    assert reasons == {"300": "another product is a later processing of it", "400": "others are better"}


def test_a_swath_that_ends_beside_the_site_does_not_serve(archive):
    """Its rectangle covers the site, its data do not: the next one serves."""
    root, config = archive
    (root / "s1").mkdir()
    for day in ("20210602", "20210607"):
        shutil.copy(root.parent / "raw" / "a" / "s1.tif", root / "s1" / f"s1_{day}.tif")
    toy.rewrite(root / "s1" / "s1_20210602.tif", values=lambda stack: np.full_like(stack, np.nan))
    config.inputs, config.source.layers.s1 = ("s2", "s1"), ("s1/*.tif",)
    (site,) = prepare(config, say=toy.quiet).sites.values()
    assert site.layers["s1"]
    found = {r["file"]: (r["chosen"], r["reason"]) for r in table_of(config) if r["layer"] == "s1"}
    assert found == {"s1/s1_20210602.tif": ("", "no data on the site"), "s1/s1_20210607.tif": ("1", "")}


def test_several_dates_of_radar_are_the_nearest_passes(archive):
    """Site and network know how many there can be; what a site lacks is masked."""
    root, config = archive
    (root / "s1").mkdir()
    for moment in ("20210525T050000", "20210603T050000", "20210603T050025", "20210530T050000"):
        shutil.copy(root.parent / "raw" / "a" / "s1.tif", root / "s1" / f"s1_{moment}.tif")
    config.inputs, config.source.layers.s1, config.modalities.s1.dates = ("s2", "s1"), ("s1/*.tif",), 2
    (site,) = prepare(config, say=toy.quiet).sites.values()
    assert site.layers["s1"] == ("sites/here/s1_0.tif", "sites/here/s1_1.tif")
    assert site.days["s1"] == (-2, 2)
    found = {r["file"][6:21]: (r["chosen"], r["reason"]) for r in table_of(config) if r["layer"] == "s1"}
    assert found == {
        "20210530T050000": ("1", ""),
        "20210603T050000": ("2", ""),
        "20210603T050025": ("", "shows nothing that the others of its pass do not"),
        "20210525T050000": ("", "others are better"),
    }
    config.modalities.s1.dates = 4
    data = prepare(config, say=toy.quiet)
    assert "s1: 3 of 4 dates, the others masked" in data.sites["here"].notes
    assert data.contract.dates == 4
    read = data.scene("here").read(Window(0, 0, 28, 32), Handles())
    assert read["s1"]["valid"].any((1, 2)).tolist() == [True, True, True, False]
    assert read["s2"]["valid"].any((1, 2)).tolist() == [True, False, False, False]
    config.modalities.s2.dates = 2
    with pytest.raises(InputError, match=r"s2\.dates=2 differs from dataset\.source\.dates=1"):
        prepare(config, say=toy.quiet)


def test_without_a_date_the_images_name_counts(archive):
    root, config = archive
    write_sites(root / "sites.geojson", date=[""])
    assert prepare(config, say=toy.quiet).sites["here"].date == "2021-06-01"
    (root / "image" / "image_20210601.tif").rename(root / "image" / "undated.tif")
    with pytest.raises(InputError, match="neither from its field date nor from"):
        prepare(config, say=toy.quiet)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"date": ["June"]}, "not an ISO date"),
        ({"site": ["a/b"]}, "it contains a slash"),
        ({"split": ["tests"]}, "into the split 'tests'"),
    ],
)
def test_sites_that_cannot_be_read_are_named(tmp_path, fields, message):
    write_sites(tmp_path / "sites.geojson", **fields)
    with pytest.raises(InputError, match=message):
        read_sites(tmp_path / "sites.geojson", 1000)


def test_centres_become_squares_of_their_side(tmp_path):
    centres = geopandas.GeoDataFrame(
        {"side": [500, None]}, geometry=geopandas.points_from_xy([600_000, 700_000], [3_400_000] * 2), crs=toy.CRS
    )
    centres.to_crs(4326).to_file(tmp_path / "sites.gpkg")
    sites = read_sites(tmp_path / "sites.gpkg", 2000)
    assert [s.name for s in sites] == ["site-0001", "site-0002"]
    grounds = geopandas.GeoSeries([s.ground for s in sites], crs=4326).to_crs(toy.CRS)
    np.testing.assert_allclose(grounds[0].bounds, (599_750, 3_399_750, 600_250, 3_400_250), atol=0.01)
    np.testing.assert_allclose(grounds[1].bounds, (699_000, 3_399_000, 701_000, 3_401_000), atol=0.01)


@pytest.mark.parametrize(
    ("date", "other", "days"),
    [
        ("2021-06-03T03:15:00Z", "2021-06-01", 2),
        ("2021-05-20", "2021-06-01T23:00:00Z", -12),
        ("2021-06-03", "2021", 0),
        ("2020-12-30", "2021", -2),
        ("", "2021", None),
    ],
)
def test_days_between_dates_of_any_precision(date, other, days):
    assert days_apart(date, other) == days
