"""Every square metre of an area of interest has one tile; scenes are preferred by a stated rule."""

import dataclasses
import itertools
import json

import geopandas
import numpy as np
import pyproj
import pytest
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.geo import utm_zones
from jointseg_jax.geo.area_of_interest import read_area
from jointseg_jax.geo.ellipsoid import area
from jointseg_jax.geo.utm_zones import Zone
from jointseg_jax.mapping.area.partition import coverage, outline, partition, with_scenes
from jointseg_jax.mapping.scenes.catalogue import CatalogueScene
from jointseg_jax.rasters.contract import Contract, Modality
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.scene import Scene

CONTRACT = Contract((Modality("s2", ("B02", "B03", "B04"), 10.0, "uint16", "reflectance"),), ("B04", "B03", "B02"))
# A belt over three zones, with a hole, a concave side, a far island, and an edge along a zone's meridian.
BELT = shapely.union_all(
    [
        shapely.Polygon(
            [(113.3, 30.1), (116.0, 31.0), (120.0, 30.4), (120.6, 30.9), (117.0, 31.4), (113.1, 30.8)],
            [[(115.0, 30.75), (115.4, 30.85), (115.2, 31.0)]],
        ),
        shapely.box(119.5, 31.5, 120.0, 31.7),
        shapely.box(110.0, -0.12, 110.1, 0.12),
    ]
)


@pytest.fixture(scope="module")
def belt():
    return list(partition(BELT))


def entry(name, left, top, size=200, epsg=32650, valid=None, date="", cloud=None):
    """A scene of so many input pixels on a side that is never read."""
    lattice = make_lattice(f"EPSG:{epsg}", left, top, 10, size, size)
    valid = np.ones((20, 20), bool) if valid is None else valid
    return CatalogueScene(name, Scene(name, lattice, {}, CONTRACT), {}, valid, date, cloud, ())


def test_areas_of_tiles_sum_to_the_area_of_interest(belt):
    """Against pyproj's own figure, with edges as dense as they need to be: GeoJSON's are straight in degrees."""
    geod = pyproj.Geod(ellps="WGS84")
    expected = abs(geod.geometry_area_perimeter(shapely.orient_polygons(shapely.segmentize(BELT, 0.001)))[0])
    assert sum(t.owned_m2 for t in belt) == pytest.approx(expected, rel=1e-8)
    assert expected > 3.9e10
    assert {t.zone.name for t in belt} == {"49N", "50N", "51N", "49S"}


def test_tiles_of_a_zone_do_not_overlap_and_lie_in_their_square_and_strip(belt):
    assert len({t.name for t in belt}) == len(belt)
    for tile in belt:
        square = shapely.box(tile.col * 10240, tile.row * 10240, (tile.col + 1) * 10240, (tile.row + 1) * 10240)
        assert square.buffer(1e-6).covers(tile.owned)
        mapped = shapely.box(tile.left, tile.bottom, tile.right, tile.top)
        assert square.covers(mapped)
        assert mapped.buffer(1e-5).covers(tile.owned)
        assert all(v % 20 == 0 for v in (tile.left, tile.bottom, tile.right, tile.top))
        assert tile.zone.strip.buffer(1e-6).covers(utm_zones.to_degrees(tile.owned, tile.zone))
    for zone in {t.zone for t in belt}:
        owned = [t.owned for t in belt if t.zone == zone]
        assert shapely.union_all(owned).area == pytest.approx(sum(o.area for o in owned), rel=1e-9)


def test_points_have_exactly_one_tile(belt):
    """Drawn at random, also close to zone borders and to the edges of squares."""
    rng = np.random.default_rng(0)
    lon = np.concatenate([rng.uniform(113, 121, 400), 114 + rng.normal(0, 1e-4, 50), 120 + rng.normal(0, 1e-4, 50)])
    points = shapely.points(lon, rng.uniform(30, 31.8, 500))
    owners = np.zeros(len(points), int)
    for tile in belt:
        owned = utm_zones.to_degrees(tile.owned, tile.zone)
        shapely.prepare(owned)
        owners += shapely.contains(owned, points)
    inside = shapely.contains(BELT, points)
    assert inside.sum() > 100
    np.testing.assert_array_equal(owners, inside)


def test_names_come_from_the_zones_origin():
    (tile,) = partition(utm_zones.to_degrees(shapely.box(512100, 3481700, 512200, 3481800), Zone(50, True)))
    assert tile.name == "50N_0050_0340"
    assert (tile.left, tile.bottom, tile.right, tile.top) == (512100, 3481700, 512200, 3481800)


def test_what_is_whole_owns_every_pixel():
    """Squares inside the ground are whole, those that its edge crosses are not; both are drawn as they are."""
    local = shapely.box(499870, 3399870, 502130, 3401130)
    ground = utm_zones.to_degrees(local, Zone(50, True))
    tiles = list(partition(ground, 400))
    squares = {(t.col, t.row) for t in tiles if t.whole}
    assert squares == {(c, r) for c in range(1250, 1255) for r in range(8500, 8502)}
    assert sum(t.owned_m2 for t in tiles) == pytest.approx(area(ground), rel=1e-9)
    for tile in tiles:
        drawn = utm_zones.to_zone(outline(tile), tile.zone)
        assert drawn.symmetric_difference(tile.owned).area < 1e-4 * tile.owned.area


def test_beyond_utm_is_refused():
    with pytest.raises(InputError, match="UTM covers"):
        list(partition(shapely.box(10, 83, 11, 85)))
    with pytest.raises(InputError, match="longitude, latitude"):
        list(partition(shapely.box(500000, 3400000, 502000, 3401000)))


@pytest.fixture(scope="module")
def tile():
    (found,) = partition(utm_zones.to_degrees(shapely.box(500110, 3400110, 500990, 3400990), Zone(50, True)), 20000)
    return found


def order(tile, *scenes):
    (planned,) = with_scenes([tile], scenes, 100.0)
    return [c.scene for c in planned.candidates]


def test_best_scene_rule(tile):
    """Share, then cloud, then date, then identifier: whatever order they come in."""
    half = np.zeros((20, 20), bool)
    half[:, :10] = True
    scenes = [
        entry("half", 499550, 3402000, valid=half, cloud=0.0, date="2024-01-01"),
        entry("cloudy", 499000, 3402000, cloud=30.0, date="2024-01-01"),
        entry("unknown-cloud", 499000, 3402000, date="2024-01-01"),
        entry("old", 499000, 3402000, cloud=2.0, date="2021-01-01"),
        entry("undated", 499000, 3402000, cloud=2.0),
        entry("new-b", 499000, 3402000, cloud=2.0, date="2021-06-01T00:00:00Z"),
        entry("new-a", 499000, 3402000, cloud=2.0, date="2021-06-01T00:00:00Z"),
    ]
    wanted = ["new-a", "new-b", "old", "undated", "cloudy", "unknown-cloud", "half"]
    for shuffled in itertools.islice(itertools.permutations(scenes), 0, 5000, 499):
        assert order(tile, *shuffled) == wanted
    (planned,) = with_scenes([tile], scenes, 100.0)
    assert planned.candidates[-1].share == pytest.approx(0.5, abs=0.03)


def test_a_hair_more_ground_does_not_outweigh_cloud(tile):
    nearly = np.ones((400, 400), bool)
    nearly[200, 200] = False
    clear = entry("clear", 499000, 3402000, valid=nearly, cloud=1.0)
    assert order(tile, entry("cloudy", 499000, 3402000, cloud=50.0), clear) == ["clear", "cloudy"]


def test_only_scenes_in_the_zones_own_crs_and_on_its_ground_serve(tile):
    abroad = entry("abroad", 499000, 3402000, epsg=32651)
    beside = entry("beside", 501030, 3401000)  # within the halo only
    away = entry("away", 510000, 3402000)
    here = entry("here", 499000, 3402000)
    assert order(tile, abroad, away) == []
    assert order(tile, beside) == []
    assert order(tile, abroad, beside, away, here) == ["here", "beside"]


def test_ground_without_a_scene_is_counted(tile):
    ground = utm_zones.to_degrees(shapely.box(500110, 3400110, 500890, 3400990), Zone(50, True))
    west = entry("west", 499500, 3402000, size=200)
    west = dataclasses.replace(west, scene=dataclasses.replace(west.scene, lattice=west.scene.lattice[:, :100]))
    # It reaches 500500: half of the ground.
    planned = with_scenes(list(partition(ground, 20000)), [west], 100.0)
    covered = coverage(ground, planned, [west])
    assert covered.without_scene_m2 == pytest.approx(covered.aoi_m2 / 2, rel=0.001)
    assert covered.owned_m2 == pytest.approx(covered.aoi_m2, rel=1e-9)
    nothing = coverage(ground, with_scenes(planned, [], 100.0), [])
    assert nothing.without_scene_m2 == pytest.approx(nothing.aoi_m2, rel=1e-9)


def test_shares_look_at_the_tiles_own_ground_only(tile):
    """A scene that has data just outside the area of interest gains nothing by it."""
    corner = shapely.Polygon([(500000, 3400000), (501000, 3400000), (500000, 3401000)])
    cut = dataclasses.replace(tile, owned=corner, whole=False)
    valid = np.fromfunction(lambda row, col: row > col, (100, 100))  # below the diagonal
    (planned,) = with_scenes([cut], [entry("lower-left", 500000, 3401000, size=100, valid=valid)], 0.0)
    assert planned.candidates[0].share > 0.97


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "cannot be read|no polygons|no layer with geometries"),
        ("not json", "cannot be read"),
        ({"type": "Point", "coordinates": [113, 30]}, "no polygons, only"),
        ({"type": "LineString", "coordinates": [[113, 30], [114, 30]]}, "no polygons, only"),
        ({"type": "Polygon", "coordinates": [[[113, 30], [114, 30], [113, 30], [113, 30]]]}, "only empty polygons"),
    ],
)
def test_files_that_are_no_area_are_one_sentence(tmp_path, content, message):
    path = tmp_path / "aoi.geojson"
    path.write_text(
        content if isinstance(content, str) else json.dumps({"type": "Feature", "properties": {}, "geometry": content})
    )
    with pytest.raises(InputError, match=message):
        read_area(path)
    with pytest.raises(InputError, match="does not exist"):
        read_area(tmp_path / "none.geojson")


def test_bow_ties_and_overlaps_count_once(tmp_path):
    bow = {"type": "Polygon", "coordinates": [[[113, 30], [114, 31], [114, 30], [113, 31], [113, 30]]]}
    path = tmp_path / "aoi.geojson"
    feature = {"type": "Feature", "properties": {}, "geometry": bow}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature, feature]}))
    assert read_area(path).area == pytest.approx(0.5)


def area_file(path, *shapes, epsg):
    geopandas.GeoDataFrame(geometry=list(shapes), crs=epsg).to_file(path)
    return path


@pytest.mark.parametrize("epsg", [32650, 3857, 2263])
def test_sides_that_are_straight_in_the_file_stay_there(tmp_path, epsg):
    """An area in metres (or feet) of a projection: between its corners, too, its sides lie where they were drawn."""
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(
        *((-73.5, 40.5) if epsg == 2263 else (113.5, 45))
    )
    side = 100_000 / pyproj.CRS(epsg).axis_info[0].unit_conversion_factor
    drawn = shapely.box(x, y, x + side, y + side)
    found = read_area(area_file(tmp_path / "aoi.gpkg", drawn, epsg=epsg))
    back = geopandas.GeoSeries([shapely.segmentize(found, 0.001)], crs=4326).to_crs(epsg)[0]
    assert shapely.hausdorff_distance(back, drawn, densify=0.01) < 0.1 * side / 100_000


@pytest.mark.parametrize("epsg", [32701, 3857])
def test_an_area_across_180_degrees_is_not_the_rest_of_the_world(tmp_path, epsg):
    """In Fiji, with a hole on either side and one across; in degrees it has a part on either side."""
    middle, width = {32701: (181_600, 100_000), 3857: (20_037_508.34, 120_000)}[epsg]
    south = {32701: 7_990_000, 3857: -2_050_000}[epsg]
    drawn = shapely.box(middle - width / 2, south, middle + width / 2, south + 80_000)
    holes = [shapely.Point(middle + dx, south + 40_000).buffer(9000) for dx in (-30_000, 0, 30_000)]
    found = read_area(area_file(tmp_path / "aoi.gpkg", drawn.difference(shapely.union_all(holes)), epsg=epsg))
    assert {zone.name for zone, _ in utm_zones.zones_of(found)} == {"01S", "60S"}
    parts = sorted(part.bounds for part in found.geoms)
    assert [(west, east) for west, _, east, _ in parts] == [(-180, parts[0][2]), (parts[1][0], 180)]
    assert parts[0][2] < -179 < 179 < parts[1][0]
    crs = pyproj.CRS(epsg)
    dense = shapely.segmentize(drawn.difference(shapely.union_all(holes)), 100)
    lon, lat = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(*shapely.get_coordinates(dense).T)
    outlines = np.split(
        np.column_stack([lon, lat]), np.cumsum([len(r.coords) for r in (dense.exterior, *dense.interiors)])[:-1]
    )
    geod = pyproj.Geod(ellps="WGS84")
    shell, *rest = (abs(geod.polygon_area_perimeter(*o.T)[0]) for o in outlines)
    assert area(found) == pytest.approx(shell - sum(rest), rel=1e-5)


def test_an_area_around_the_world_or_a_pole(tmp_path):
    """The one is what it is; the other cannot be drawn in degrees."""
    band = shapely.box(-20_037_508, -1e6, 20_037_508, 1e6)
    found = read_area(area_file(tmp_path / "band.gpkg", band, epsg=3857))
    assert found.bounds == pytest.approx((-180, -8.947, 180, 8.947), abs=1e-3)
    assert len(list(utm_zones.zones_of(found))) == 120
    with pytest.raises(InputError, match="contains a pole"):
        read_area(area_file(tmp_path / "pole.gpkg", shapely.box(-1e6, -1e6, 1e6, 1e6), epsg=3031))
