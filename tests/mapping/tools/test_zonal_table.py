"""The table of shares as a file: its suffix is its format, and its text is no formula."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from jointseg_jax.commands.zonal import main
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.tools.zonal_table import as_csv, as_written, check_output, write_table

pytestmark = pytest.mark.quick

CRS = "EPSG:32650"


@pytest.fixture
def polygons():
    shapes = [shapely.box(500000, 3399000, 501000, 3400000), shapely.Polygon()]
    return geopandas.GeoDataFrame({"name": ["=1+2", "武汉"]}, geometry=shapes, crs=CRS)


@pytest.fixture
def table():
    figures = {"area_km2": [1.0, 0.0], "built_proxy_km2": [0.12345678, 0.0], "share": [0.123456789, np.nan]}
    boxes = {k: [117.0, np.nan] for k in ("west", "south", "east", "north")}
    return pd.DataFrame({"name": ["=1+2", "武汉"], **figures, "pixels": [10, 0], **boxes})


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet", ".GPKG"])
def test_polygons_are_in_the_file(tmp_path, table, polygons, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(path, table, polygons)
    found = geopandas.read_parquet(path) if suffix == ".parquet" else geopandas.read_file(path)
    assert list(found["name"]) == ["=1+2", "武汉"]  # a formula only in a spreadsheet
    assert list(found["pixels"]) == [10, 0]
    assert found["built_proxy_km2"][0] == pytest.approx(0.123457)
    assert found.crs.to_epsg() == (4326 if suffix == ".geojson" else 32650)
    back = found.to_crs(CRS).geometry[0]
    assert back.symmetric_difference(polygons.geometry[0]).area < 100
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_csv(tmp_path, table, polygons):
    write_table(tmp_path / "t.csv", table, polygons)
    lines = (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "name,area_km2,built_proxy_km2,share,pixels,west,south,east,north"
    assert lines[1] == "'=1+2,1.0,0.123457,0.12346,10,117.0,117.0,117.0,117.0"
    assert lines[2] == "武汉,0.0,0.0,,0,,,,"


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+49 1", "-a", "@SUM(A1)", "\tx"])
def test_text_is_no_formula(text):
    written = as_csv(pd.DataFrame({text: [text]})).splitlines()
    for line in written:
        cell = line.strip('"')
        assert cell.startswith("'")
        assert as_written(cell) == text


@pytest.mark.parametrize("value", ["-5", "+1.5e3", "-.5", "'quoted'", "a=b", -5, 1.25])
def test_numbers_and_plain_text_stay(value):
    assert as_csv(pd.DataFrame({"a": [value]})) == f"a\n{value}\n"
    assert as_written(str(value)) == str(value)


def test_a_name_over_two_lines_is_one_cell_of_one_line():
    assert as_csv(pd.DataFrame({"a": ["x\r\ny"]})) == "a\nx y\n"


@pytest.mark.parametrize("name", ["t.xlsx", "t.shp", "t", "t.json"])
def test_another_suffix_is_refused_before_any_work(tmp_path, capsys, name):
    assert main(["--product=gone", "--polygons=gone", f"--output={tmp_path / name}"]) == 2
    error = capsys.readouterr().err
    assert "must end with one of .csv, .gpkg, .geojson, .parquet" in error
    assert not list(tmp_path.iterdir())


def test_columns_that_a_format_cannot_hold(tmp_path, table, polygons):
    table["NAME"] = "twice for a GeoPackage, which does not tell capitals"
    with pytest.raises(InputError, match=r"t\.gpkg cannot be written with the columns"):
        write_table(tmp_path / "t.gpkg", table, polygons)
    assert not list(tmp_path.iterdir())
    write_table(tmp_path / "t.csv", table, polygons)


@pytest.mark.parametrize("suffix", [".csv", ".gpkg", ".geojson", ".parquet"])
def test_a_table_replaces_only_a_table(tmp_path, table, polygons, suffix):
    """The polygons that are read, and files that others made, are no place for it."""
    table = table.assign(mapped_km2=1.0, coverage=1.0)
    given, mine, ours = (tmp_path / f"{name}{suffix}" for name in ("given", "mine", "ours"))
    given.write_text("")
    write_table(mine, polygons.drop(columns="geometry"), polygons)
    write_table(ours, table, polygons)
    check_output(ours, [given])
    check_output(tmp_path / f"new{suffix}", [given])
    for path, message in (
        (given, "is an input"),
        (mine, "exists and is not a table of this program: choose another name"),
        (tmp_path, "is a folder, but the table is written to a file"),
    ):
        with pytest.raises(InputError, match=message):
            check_output(path, [given])
    ours.write_bytes(ours.read_bytes()[:20])
    with pytest.raises(InputError, match="is not a table"):
        check_output(ours, [given])
