"""What numbers of products mean, and how products are named on the command line."""

import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.products.catalogue import CATALOGUE
from jointseg_jax.evaluation.products.given import parse, read_list

nan = np.nan


@pytest.mark.parametrize(
    ("name", "year", "values", "expected"),
    [
        ("worldcover", 2021, [50, 10, 100, 0, 51], [1, 0, 0, nan, nan]),
        ("dynamicworld", 2021, [6, 0, 8, 9, 255], [1, 0, 0, nan, nan]),
        ("esri", 2021, [7, 1, 11, 10, 0, 3], [1, 0, 0, nan, nan, nan]),
        ("ghsl", 2020, [0, 2500, 10000, 65535], [0, 0.25, 1, nan]),
        ("gisa", 2019, [0, 1, 2, 37, 38], [0, 1, 1, 1, nan]),
        ("gisa", 1978, [0, 1, 2, 3, 37], [0, 1, 1, 0, 0]),
        ("gisa", 1990, [7, 8, 9], [1, 1, 0]),  # 8 is 1990
        ("gaia", 2018, [0, 1, 34, 35], [0, 1, 1, nan]),
        ("gaia", 1990, [28, 29, 34], [0, 1, 1]),  # 29 is 1990
        ("openbuildings", 2020, [0, 0.25, 1, -1, nan, 2], [0, 0.25, 1, nan, nan, nan]),
    ],
)
def test_numbers_mean_what_the_product_says(name, year, values, expected):
    values = np.array([values])
    found = CATALOGUE[name].fraction(values, np.ones_like(values, bool), year, 10_000.0)
    np.testing.assert_array_equal(found, np.array([expected], np.float32))
    absent = CATALOGUE[name].fraction(values[:, :2] * 0 + 100, np.zeros((1, 2), bool), year, 10_000.0)
    assert np.isnan(absent).all()


def test_ground_never_built_is_known_where_a_file_states_it_as_nodata():
    values = np.array([[0, 5]])
    for name in ("gisa", "gaia"):
        found = CATALOGUE[name].fraction(values, values != 0, 2018, 900.0)
        np.testing.assert_array_equal(found, [[0, 1]])


def test_every_product_is_cited_and_described():
    for product in CATALOGUE.values():
        assert product.citation
        assert product.grid
        assert product.counts
        assert product.excludes
        stated = bool(product.built) + (product.first_year is not None) + (product.full is not None)
        assert stated == bool(product.source)  # codes without a source are not in the table
        assert not set(product.built) & set(product.other or ())


@pytest.mark.parametrize(
    ("product", "name", "year"),
    [
        ("ghsl", "GHS_BUILT_S_E2018_GLOBE_R2023A_54009_10_V1_0_R6_C26.tif", 2018),  # R2023A is the release
        ("ghsl", "GHS_BUILT_S_E2025_GLOBE_R2023A_4326_3ss_V1_0.tif", 2025),
        ("esri", "50R_20210101-20220101.tif", 2021),
        ("esri", "esri_2021.tif", 2021),
        ("worldcover", "ESA_WorldCover_10m_2021_v200_N30E117_Map.tif", 2021),
        ("dynamicworld", "dw_20200601.tif", 2020),
        ("dynamicworld", "dw_2019_2020.tif", None),
    ],
)
def test_the_year_in_the_publishers_own_file_names(tmp_path, product, name, year):
    (tmp_path / name).touch()
    assert parse(f"{product}:{tmp_path / name}", None).year == year


def test_the_year_is_that_of_the_file_the_flag_or_the_map(tmp_path):
    cover = tmp_path / "ESA_WorldCover_10m_2020_v100_N30E117_Map.tif"
    gaia = tmp_path / "GAIA_1985_2018_30_117.tif"
    other = tmp_path / "landcover.tif"
    for path in (cover, gaia, other):
        path.touch()
    assert parse(f"worldcover:{cover}", (2023, 2023)).year == 2020
    assert parse(f"worldcover:{cover},year=2021", None).year == 2021
    assert parse(f"worldcover:{other}", None).year is None
    assert parse(f"gaia:{gaia}", (2010, 2012)).year == 2012
    assert parse(f"gaia:{gaia}", (2023, 2023)).year == 2018  # its last
    assert parse(f"gaia:{gaia}", (2023, 2023)).apart((2023, 2023)) == 5
    assert parse(f"gaia:{gaia}", None).year == 2018


def test_keys_follow_the_path_even_if_it_has_commas(tmp_path):
    path = tmp_path / "a,b=c.tif"
    path.touch()
    given = parse(f"mine:{path},built=1+2,unknown=0+255,year=2021,title=My, own,threshold=0.3,band=2", None)
    assert given.files == (path,)
    assert (given.product.built, given.product.unknown, given.year) == ((1, 2), (0, 255), 2021)
    assert (given.product.title, given.threshold, given.band) == ("My, own", 0.3, 2)
    found = given.product.fraction(np.array([[1, 2, 3, 0, 255]]), np.ones((1, 5), bool), 2021, 1.0)
    np.testing.assert_array_equal(found, [[1, 1, 0, nan, nan]])
    percent = parse(f"mine:{path},full=100", None).product
    np.testing.assert_array_equal(
        percent.fraction(np.array([[50, 101]]), np.ones((1, 2), bool), None, 1.0), [[0.5, nan]]
    )
    assert parse(f"sinolc:{path},built=3+4", None).product.built == (3, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("worldcover", "must be NAME:FILE"),
        ("worldcover:", "names no file"),
        ("worldcover:none.tif", "does not exist"),
        ("mine:{0}", "mine is not in the table"),
        ("sinolc:{0}", "built=A"),
        ("mine:{0},built=a", "whole numbers joined by"),
        ("mine:{0},full=x", "full=x must be a number"),
        ("mine:{0},built=1,threshold=2", "threshold=2 must be"),
        ("mine:{0},built=1,year=2020.5", "year=2020.5 must be a whole number"),
        ("mine:{0},built=1,band=0", "band=0 must be"),
        ("worldcover:{0},year=2015", "has 2020 to 2021"),
        ("worldcover:{1}", "no raster"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, text, words):
    (tmp_path / "a.tif").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=words):
        parse(text.format(tmp_path / "a.tif", tmp_path / "empty"), None)


def test_a_table_of_products(tmp_path):
    (tmp_path / "a.tif").touch()
    (tmp_path / "list.csv").write_text("name,path,built,year\nworldcover,a.tif,,2021\nmine,a.tif,1+2,2020\n")
    first, second = read_list(tmp_path / "list.csv", None)
    assert (first.year, first.product.built) == (2021, (50,))
    assert (second.year, second.product.built) == (2020, (1, 2))
    (tmp_path / "list.csv").write_text("name,path,codes\nmine,a.tif,1\n")
    with pytest.raises(InputError, match="codes"):
        read_list(tmp_path / "list.csv", None)
