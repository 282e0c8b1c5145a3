"""Shares by polygon: every pixel by its centre, once, with its geodesic area; whatever the polygons' CRS and shape."""

import geopandas
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely
from geodesic import rectangle_area

from jointseg_jax.commands.zonal import main
from jointseg_jax.errors import InputError
from jointseg_jax.geo.ellipsoid import PixelAreas
from jointseg_jax.mapping.product.tile_record import parse_rows
from jointseg_jax.mapping.records import model_card as cards
from jointseg_jax.mapping.records.read_product import read_product
from jointseg_jax.mapping.records.stac_records import write_records
from jointseg_jax.mapping.tools.zonal import read_polygons, zonal
from jointseg_jax.rasters.lattice import Window, make_lattice


def frame(shapes, crs="EPSG:32650", **columns):
    return geopandas.GeoDataFrame(columns or {"name": [str(i) for i in range(len(shapes))]}, geometry=shapes, crs=crs)


def brute(folder, rows, shape, epsg=32650):
    """Pixels mapped and impervious whose centre lies in a shape, one point at a time."""
    mapped = impervious = 0
    for row in rows.values():
        if row["epsg"] != epsg:
            continue
        with rasterio.open(folder / row["files"]["impervious"]["path"]) as raster:
            classes, t = raster.read(1), raster.transform
        r, c = np.mgrid[: classes.shape[0], : classes.shape[1]]
        inside = shapely.contains_xy(shape, t.c + c + 0.5, t.f - r - 0.5)
        mapped += int((inside & (classes != 255)).sum())
        impervious += int((inside & (classes == 1)).sum())
    return mapped, impervious


def test_pixels_by_their_centre(made_product):
    """A slanted triangle, a ring with a hole, and one across two tiles and the gap between them."""
    folder, rows = made_product
    shapes = [
        shapely.Polygon([(500050.3, 3400001.7), (500390.9, 3399900.2), (500111.1, 3399700.4)]),
        shapely.Point(500250.2, 3399850.1).buffer(120).difference(shapely.Point(500250.2, 3399850.1).buffer(60)),
        shapely.box(500300.25, 3399700.25, 500900.75, 3399950.75),
    ]
    table = zonal(folder, parse_rows(rows), frame(shapes))
    for shape, row in zip(shapes, table.itertuples(), strict=True):
        mapped, impervious = brute(folder, rows, shape)
        assert mapped > 1000
        assert row.pixels == mapped
        assert row.share == pytest.approx(impervious / mapped, rel=1e-6)
        assert row.mapped_km2 * 1e6 == pytest.approx(mapped, rel=2e-3)  # the scale of UTM


def test_a_side_through_the_corner_of_what_is_cut(made_product):
    """Of the box that polygons are cut to, two metres around a tile: the polygon counts, not the rest of the box."""
    folder, rows = made_product
    bounds = np.array(rows["50N_0000_0340"]["bounds"])
    (left, bottom), (right, top) = bounds[:2] - 2, bounds[2:] + 2
    quarters = np.array([(10, 9), (3, 1), (8, -4), (0, -1)])  # from (3, 1) to (8, -4) by the corner (4, 0)
    shape = shapely.Polygon((left, bottom) + quarters * (right - left, top - bottom) / 4)
    table = zonal(folder, parse_rows(rows), frame([shape]))
    assert table["pixels"][0] == brute(folder, rows, shape)[0]


def test_geodesic_areas():
    """Of pixels against the geodesic area of the rectangle they fill: at the centre and at the edge of a zone."""
    for left, top in ((500000, 3400000), (170000, 3400000), (800000, 6000000), (300000, 100000)):
        lattice = make_lattice("EPSG:32650", left, top, 1, 512, 10240)
        ours = PixelAreas(lattice).columns(Window(0, 0, 512, 10240)).sum() * 512
        assert ours == pytest.approx(rectangle_area(32650, (left, top - 512, left + 10240, top)), rel=1e-8)


def test_a_partition_counts_every_pixel_once(made_product):
    """Polygons that share slanted sides, in degrees: what they hold adds up to what is mapped."""
    folder, rows = made_product
    tiles = parse_rows(rows)
    rng = np.random.default_rng(3)
    ground = geopandas.GeoSeries([shapely.box(499000, 3398000, 504000, 3401000)], crs=32650).to_crs(4326)[0]
    points = shapely.MultiPoint(rng.uniform(ground.bounds[:2], ground.bounds[2:], (60, 2)))
    cells = list(shapely.voronoi_polygons(points, extend_to=ground.buffer(1)).geoms)
    table = zonal(folder, [t for t in tiles if t.epsg == 32650], frame(cells, 4326))
    total = 0
    for tile in tiles:
        if tile.epsg == 32650:
            with rasterio.open(folder / tile.files["impervious"].path) as raster:
                total += int((raster.read(1) != 255).sum())
    assert table["pixels"].sum() == total
    assert (table["pixels"] > 0).sum() > 5
    expected = sum(t.valid_m2 for t in tiles if t.epsg == 32650) / 1e6
    assert table["mapped_km2"].sum() == pytest.approx(expected, rel=1e-5)


def test_zones_add_up_in_one_polygon(made_product):
    """One polygon over both zones, as large as a country, and one over neither."""
    folder, rows = made_product
    shapes = [shapely.box(100, 20, 140, 40), shapely.box(0, 0, 1, 1)]
    table = zonal(folder, parse_rows(rows), frame(shapes, 4326))
    assert table["mapped_km2"][0] * 1e6 == pytest.approx(sum(r["valid_m2"] for r in rows.values()), rel=1e-5)
    assert table["impervious_km2"][0] * 1e6 == pytest.approx(sum(r["impervious_m2"] for r in rows.values()), rel=1e-3)
    assert table["pixels"][1] == 0
    assert np.isnan(table["share"][1])
    assert table["coverage"][1] == 0


def test_the_same_in_any_crs(made_product):
    folder, rows = made_product
    shapes = [shapely.box(500100, 3399700, 500800, 3399900), shapely.Point(500200, 3399900).buffer(90)]
    plain = zonal(folder, parse_rows(rows), frame(shapes))
    for crs in (4326, 3857, 32651):
        table = zonal(folder, parse_rows(rows), frame(shapes).to_crs(crs))
        assert (table["pixels"] - plain["pixels"]).abs().max() <= 3, crs  # centres within micrometres of a side
        np.testing.assert_allclose(table["share"], plain["share"], atol=1e-4)
        np.testing.assert_allclose(table["area_km2"], plain["area_km2"], rtol=1e-5)


def test_overlapping_polygons_each_get_their_share(made_product):
    folder, rows = made_product
    shape = shapely.box(500050, 3399700, 500350, 3399950)
    table = zonal(folder, parse_rows(rows), frame([shape, shape, shape.buffer(20)]))
    assert table["pixels"][0] == table["pixels"][1] < table["pixels"][2]


def test_tiles_are_read_once(made_product, monkeypatch):
    folder, rows = made_product
    from jointseg_jax.mapping.tools import zonal as module

    read = []
    real = module.read_window
    monkeypatch.setattr(module, "read_window", lambda d, w, *a: read.append((d.name, w)) or real(d, w, *a))
    shapes = [shapely.box(500000 + 10 * i, 3399700, 500100 + 10 * i, 3399950) for i in range(20)]
    zonal(folder, parse_rows(rows), frame(shapes))
    assert len(read) == len(set(read)) == 1


@pytest.mark.parametrize("height", [1, 50, 97])
def test_strips_do_not_show(made_product, monkeypatch, height):
    """Whatever rows are read at once, every pixel is counted once: none lost or doubled where strips meet."""
    folder, rows = made_product
    shapes = [shapely.Point(500250.2, 3399850.1).buffer(140), shapely.box(500000.5, 3399660.5, 500420.5, 3400020.5)]
    whole = zonal(folder, parse_rows(rows), frame(shapes))
    monkeypatch.setattr("jointseg_jax.mapping.tools.zonal._ROWS", height)
    cut = zonal(folder, parse_rows(rows), frame(shapes))
    np.testing.assert_array_equal(cut["pixels"], whole["pixels"])
    np.testing.assert_allclose(cut["impervious_km2"], whole["impervious_km2"], rtol=1e-9)


def test_broken_polygons_are_repaired_or_refused(tmp_path, made_product):
    folder, rows = made_product
    bow = shapely.Polygon([(500100, 3399700), (500200, 3399800), (500200, 3399700), (500100, 3399800)])
    frame([bow, None], name=["bow", "none"]).to_file(tmp_path / "bow.gpkg")
    found = read_polygons(tmp_path / "bow.gpkg", None)
    assert found.geometry.is_valid.all()
    table = zonal(folder, parse_rows(rows), found)
    assert table["pixels"][0] == pytest.approx(5000, abs=110)
    assert table["pixels"][1] == 0
    assert list(table["name"]) == ["bow", "none"]


def without_crs(path):
    with pytest.warns(UserWarning, match="crs"):
        frame([shapely.box(0, 0, 1, 1)], None).to_file(path)


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda p: p.write_text("no vector"), None, "cannot be read as a vector file"),
        (lambda p: None, None, "does not exist: give a vector file"),
        (lambda p: frame([shapely.Point(0, 0)]).to_file(p), None, "no polygons, only Point"),
        (lambda p: frame([shapely.LineString([(0, 0), (1, 1)])]).to_file(p), None, "no polygons, only LineString"),
        (without_crs, None, "no CRS"),
        (
            lambda p: frame([shapely.box(0, 0, 1000, 1000)]).to_file(p),
            "NAME",
            r"no column 'NAME': choose one with --name \(columns: name\)",
        ),
        (
            lambda p: frame([shapely.box(0, 0, 1000, 1000)], share=[1]).to_file(p),
            None,
            "columns that the table adds itself",
        ),
        (lambda p: frame([shapely.box(0, 0, 500000, 1)], 4326).to_file(p), None, "assign the CRS of its coordinates"),
        (lambda p: frame([shapely.Polygon()]).to_file(p), None, "only empty"),
    ],
)
def test_what_is_no_set_of_polygons(tmp_path, make, name, message):
    make(tmp_path / "p.gpkg")
    with pytest.raises(InputError, match=message) as caught:
        read_polygons(tmp_path / "p.gpkg", name)
    assert "\n" not in str(caught.value)


def test_a_truncated_tile_is_named(product):
    folder, rows = product
    path = folder / rows["50N_0000_0340"]["files"]["impervious"]["path"]
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"impervious\.tif"):
        zonal(folder, parse_rows(rows), frame([shapely.box(500000, 3399000, 501000, 3401000)]))


def test_a_full_disk(product, trained, tmp_path, capsys):
    """One line, status 74, and no half table."""
    from harness import fill, small_disk

    folder, rows = product
    write_records(folder, rows, cards.model_item(trained, {"c": cards.checkpoint_asset(trained, "x")}), say=print)
    shapes = [shapely.box(500050, 3399700, 500350, 3399950)] * 200
    frame(shapes).to_file(tmp_path / "p.gpkg")
    capsys.readouterr()
    with small_disk(tmp_path / "full", 1) as full:
        fill(full)
        for name in ("t.csv", "t.gpkg", "t.geojson", "t.parquet"):
            assert main([f"--product={folder}", f"--polygons={tmp_path}/p.gpkg", f"--output={full}/{name}"]) == 74
            assert [p.name for p in full.iterdir() if not p.name.startswith("filler")] == []
            error = capsys.readouterr().err
            assert error.count("\n") == 1
            assert name in error


def test_the_command(product, trained, tmp_path, capsys):
    folder, rows = product
    card = cards.model_item(trained, {"checkpoint": cards.checkpoint_asset(trained, "x")})
    assert main([f"--product={folder}", f"--polygons={tmp_path}/p.gpkg", f"--output={tmp_path}/t.csv"]) == 2
    assert "collection.json is missing" in capsys.readouterr().err
    write_records(folder, rows, card, say=lambda _: None)
    assert list(read_product(folder).tiles) == parse_rows(rows)
    shapes = [shapely.box(500050, 3399700, 500350, 3399950), shapely.box(0, 0, 1, 1)]
    frame(shapes, prefecture=["武汉, 市", "far"], code=[1, 2]).to_file(tmp_path / "p.gpkg")
    main([f"--product={folder}", f"--polygons={tmp_path}/p.gpkg", "--name=prefecture", f"--output={tmp_path}/t.csv"])
    assert "1 contain no mapped pixel" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "t.csv")
    assert list(table["prefecture"]) == ["武汉, 市", "far"]
    assert 0 < table["share"][0] < 1
    assert np.isnan(table["share"][1])
    lon, lat = pyproj.Transformer.from_crs(32650, 4326, always_xy=True).transform(500200, 3399800)
    assert table["west"][0] < lon < table["east"][0]
    assert table["south"][0] < lat < table["north"][0]
