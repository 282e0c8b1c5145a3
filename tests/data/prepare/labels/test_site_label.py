"""Labels burnt from vectors, against a rasterisation that shares no code with them, and on real extracts."""

import warnings

import geopandas as gpd
import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
import toy

from jointseg_jax.data.prepare.labels.rules import NONE_GIVEN, load_rules, parse_rules
from jointseg_jax.data.prepare.labels.site_label import label_from_vectors
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import make_lattice

pytestmark = pytest.mark.quick

WIDTH, HEIGHT, LEFT, TOP = 420, 360, toy.LEFT, toy.TOP
CENTRES = shapely.points(*np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5))  # right of, below the corner
HOUSE, ROAD = shapely.box(60, 300, 90, 320), shapely.LineString([(0, 120), (420, 120)])
RULES = """
rules:
- {name: hidden, label: skip, where: {tunnel: "*"}}
- {name: site, label: ignore, where: {landuse: construction}}
- {name: houses, label: impervious, where: {building: "*"}}
- {name: roads, label: impervious, where: {highway: "*"}, width: 7, lane_width: 3}
- {name: water, label: pervious, where: {natural: water}, level: cover}
- {name: squares, label: impervious, where: {place: square}, level: cover}
- {name: parks, label: pervious, where: {leisure: park}, level: cover}
- {name: yards, label: ignore, where: {landuse: industrial}}
"""
VALUE = {"construction": 255, "building": 1, "highway": 1, "water": 0, "square": 1, "park": 0, "industrial": 255}
RANK = {"construction": 5, "building": 4, "highway": 3, "water": 2, "square": 2, "park": 2, "industrial": 1}


def made_up():
    """Rotated boxes with a hole and bent lines, of all kinds: (kind, tags, geometry, full width)."""
    rng = np.random.default_rng(4)
    tags = {
        "construction": {"landuse": "construction"}, "building": {"building": "yes"}, "water": {"natural": "water"},
        "square": {"place": "square"}, "park": {"leisure": "park"}, "industrial": {"landuse": "industrial"},
    }  # fmt: skip
    for _ in range(60):
        kind = str(rng.choice(list(tags)))
        x, y, w, h = *rng.uniform((-50, -50), (420, 360)), *rng.uniform(8, 120, 2)
        shell = shapely.box(x, y, x + w, y + h)
        holed = shapely.Polygon(shell.exterior, [shapely.box(x + 2, y + 2, x + w / 2, y + h / 2).exterior])
        shape = shapely.affinity.rotate(holed if rng.random() < 0.4 else shell, rng.uniform(0, 90))
        hidden = {"tunnel": "yes"} if rng.random() < 0.1 else {}
        yield (None if hidden else kind), {**tags[kind], **hidden}, shape, 0.0
    for width, given in (
        (4, {"width": "4 m"}),
        (3.6576, {"width": "12'"}),
        (6, {"lanes": "2"}),
        (7, {"width": "?"}),
        (7, {}),
    ):
        line = shapely.LineString(rng.uniform((-20, -20), (440, 380), (4, 2)))
        yield "highway", {"highway": "primary", **given}, line, width


def expected(features):
    """The value of every pixel centre, from distances to the features; 9 where it lies within 5 cm of an edge."""
    value, rank = np.zeros((HEIGHT, WIDTH), int), np.full((HEIGHT, WIDTH), -np.inf)
    close = np.zeros((HEIGHT, WIDTH), bool)
    for kind, _, shape, width in features:
        if kind is None:
            continue
        left, top, right, bottom = np.clip(np.add(shape.bounds, (-9, -9, 9, 9)), 0, 10_000).astype(int)
        at = np.s_[top:bottom, left:right]
        outline = shape.boundary if width == 0 else shape
        close[at] |= np.abs(shapely.distance(outline, CENTRES[at]) - width / 2) < 0.05
        inside = shapely.distance(shape, CENTRES[at]) <= width / 2
        order = RANK[kind] - (shape.area / 1e6 if kind in ("water", "square", "park") else 0)  # the smaller on top
        on_top = inside & (order > rank[at])
        value[at][on_top], rank[at][on_top] = VALUE[kind], order
    value[close] = 9
    return value


def test_every_pixel_is_that_of_an_independent_rasterisation(put, fine):
    features = list(made_up())
    lines = [(shape, tags) for kind, tags, shape, width in features if width]
    areas = [(shape, tags) for kind, tags, shape, width in features if not width]
    path = put("x.gpkg", lines=lines, areas=areas)
    values = label_from_vectors([path], parse_rules(RULES, "x"), fine).values
    truth = expected(features)
    assert (truth != 9).mean() > 0.97
    assert {(values == v).mean() > 0.03 for v in (0, 1, 255)} == {True}
    np.testing.assert_array_equal(values[truth != 9], truth[truth != 9])


def test_packed_tags_in_degrees_make_the_same_label(put, fine):
    """As in GDAL's OpenStreetMap layers: one column for all tags, longitude and latitude."""
    features = list(made_up())
    packed = [(s, {"other_tags": ",".join(f'"{k}"=>"{v}"' for k, v in tags.items())}) for _, tags, s, _ in features]
    plain = [(s, tags) for _, tags, s, _ in features]
    rules = parse_rules(RULES, "x")
    one = label_from_vectors([put("x.gpkg", features=plain)], rules, fine)
    other = label_from_vectors([put("y.gpkg", crs=4326, features=packed)], rules, fine)
    assert (one.values != other.values).mean() < 1e-4  # a centre on an edge
    assert one.counts == other.counts


def test_pixel_centres_decide(put, fine):
    square = shapely.box(2.6, 2.4, 5.4, 5.6)  # centres 3.5, 4.5 in x; 2.5 .. 5.5 in y
    values = label_from_vectors([put(areas=[(square, {})])], NONE_GIVEN, fine).values
    assert values[2:6, 3:5].all()
    assert values.sum() == 2 * 4


def test_one_boundary_around_the_site_is_no_impervious_ground(put, fine):
    path = put(areas=[(shapely.box(-1000, -1000, 1000, 1000), {"name": "district"})])
    with pytest.raises(InputError, match=r"one area in .* covers the whole site"):
        label_from_vectors([path], NONE_GIVEN, fine)
    rules = parse_rules("rules: [{name: all, label: impervious}]", "x")
    assert label_from_vectors([path], rules, fine).values.all()


def test_ground_without_features_takes_the_rules_value(put, fine):
    rules = parse_rules("ground: ignore\nrules: [{name: all, label: pervious}]", "x")
    values = label_from_vectors([put(areas=[(HOUSE, {})])], rules, fine).values
    assert (values == 0).sum() == 600
    assert (values == 255).sum() == WIDTH * HEIGHT - 600


def test_vectors_make_the_label_of_a_site(one, tmp_path):
    """No label.tif is looked for where vectors are named; the record holds what was found; other rules burn again."""
    folder, config = one
    (folder / "label.tif").unlink()
    place = shapely.affinity.affine_transform
    frames = {"roads": ({"width": ["8", "8"]}, [ROAD, ROAD]), "houses": ({"width": [None]}, [HOUSE])}
    for layer, (columns, shapes) in frames.items():
        there = [place(shape, (1, 0, 0, -1, LEFT, TOP)) for shape in shapes]
        gpd.GeoDataFrame(columns, geometry=there, crs=toy.CRS).to_file(tmp_path / "all.gpkg", layer=layer)
    rules = tmp_path / "labels.yaml"
    rules.write_text("rules: [{name: everything, label: impervious, width: 6}]")
    config.source.vectors = (str(tmp_path / "all.gpkg"),)
    config.source.cloud = ()
    with pytest.raises(InputError, match=r"all\.gpkg has the layers .*dataset\.label\.rules"):
        prepare(config, say=toy.quiet)
    config.label.rules = str(rules)
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    with rasterio.open(data.root / data.sites["a"].label) as raster:
        label = raster.read(1)
    assert (label[116:124, 40:] == 1).all()
    assert (label[300:320, 60:90] == 1).all()
    assert (label == 1).sum() == 8 * 420 + 20 * 30
    assert data.sites["a"].label_counts == {"features": 3, "rule everything": 3, "width by width": 2}
    assert "; 3 features" in lines[0]
    assert "label: 3 features, 2 width by width" in data.sites["a"].notes
    prepare(config, say=lines.append)
    assert "already there" in lines[-2]
    rules.write_text("rules: [{name: houses, label: impervious}]")
    data = prepare(config, say=toy.quiet)
    with rasterio.open(data.root / data.sites["a"].label) as raster:
        assert (raster.read(1) == 1).sum() == 20 * 30


def share(paths, rules, crs, degrees, source=4326):
    left, bottom, right, top = pyproj.Transformer.from_crs(source, crs, always_xy=True).transform_bounds(*degrees)
    left, top = round(left / 20) * 20, round(top / 20) * 20
    lattice = make_lattice(crs, left, top, 1, round((top - bottom) / 20) * 20, round((right - left) / 20) * 20)
    made = label_from_vectors(paths, rules, lattice)
    return made, (made.values == 1).mean()


def test_a_quarter_of_prague(real_data):
    """Plots and tessellation cover nearly everything; buildings and streets are 9 %."""
    path = real_data / "osm" / "prague_bubenec.gpkg"
    bounds = (1602818, 6463505, 1604073, 6464884)
    with pytest.raises(InputError, match="has the layers tessellation, buildings, streets, plots"):
        share([path], NONE_GIVEN, "EPSG:32633", bounds, 3857)
    of = "label: impervious, layers:"
    text = f"rules:\n- {{name: b, {of} buildings}}\n- {{name: s, {of} streets, width: 6}}"
    made, impervious = share([path], parse_rules(text, "x"), "EPSG:32633", bounds, 3857)
    assert impervious == pytest.approx(0.09, abs=0.005)
    assert made.counts["rule b"] == 144
    assert made.counts["rule s"] == 35


ROADS = {
    "primary": 5113, "secondary": 5114, "tertiary": 5115, "unclassified": 5121, "residential": 5122,
    "living_street": 5123, "pedestrian": 5124, "primary_link": 5133, "service": 5141, "track": 5142,
    "cycleway": 5152, "footway": 5153, "path": 5154, "steps": 5155,
}  # fmt: skip
LANDUSE = {"forest": 7201, "residential": 7203, "industrial": 7204, "commercial": 7209, "retail": 7212, "grass": 7218}


def as_geofabrik(source, folder):
    """Writes an extract in the layout of Geofabrik's shapefiles; returns the files."""
    with warnings.catch_warnings(action="ignore"):  # rings cut at the extract's edge
        lines, areas = (
            pyogrio.read_dataframe(source, layer=name, on_invalid="ignore") for name in ("lines", "multipolygons")
        )
    more = lines["other_tags"].fillna("")
    layer = more.str.extract(r'"layer"=>"(-?\d+)"')[0].fillna("0").astype(int)
    flags = {name: np.where(more.str.contains(f'"{name}"=>"(?!no)'), "T", "F") for name in ("bridge", "tunnel")}
    found = {
        "roads": lines.assign(fclass=lines["highway"], code=lines["highway"].map(ROADS), layer=layer, **flags),
        "railways": lines.assign(fclass="rail", code=6101, layer=layer, **flags)[
            more.str.contains('"railway"=>"rail"')
        ],
        "buildings_a": areas[areas["building"].notna()].assign(fclass="building", code=1500, type=areas["building"]),
        "landuse_a": areas.assign(fclass=areas["landuse"], code=areas["landuse"].map(LANDUSE)),
        "water_a": areas[areas["natural"] == "water"].assign(fclass="water", code=8200),
        "traffic_a": areas[areas["amenity"] == "parking"].assign(fclass="parking", code=5260),
    }
    kept = ("osm_id", "code", "fclass", "type", "layer", "bridge", "tunnel", "geometry")
    paths = []
    for name, table in found.items():
        table = table[table["code"].notna()].astype({"code": int})
        own = [c for c in kept if c in table.columns and not (c == "type" and name != "buildings_a")]
        paths.append(folder / f"gis_osm_{name}_free_1.shp")
        table[own].to_file(paths[-1])
    return paths


@pytest.mark.slow
def test_geofabriks_shapefiles_make_about_the_label_of_their_extract(real_data, tmp_path):
    """They lack surfaces, widths and squares drawn as areas."""
    extract, degrees = real_data / "osm" / "Helsinki.osm.pbf", (24.936, 60.1645, 24.9525, 60.1785)
    paths = as_geofabrik(extract, tmp_path)
    with pytest.raises(InputError, match=r"gis_osm_roads_free_1\.shp has the tags fclass.*'geofabrik'"):
        share(paths[:1], NONE_GIVEN, "EPSG:32635", degrees)
    made, _ = share(paths, load_rules("geofabrik"), "EPSG:32635", degrees)
    true, _ = share([extract], load_rules("osm"), "EPSG:32635", degrees)
    assert made.counts["rule buildings"] > 450
    known = (made.values != 255) & (true.values != 255)
    assert (made.values == 1).mean() == pytest.approx(0.495, abs=0.01)
    assert (true.values == 1).mean() == pytest.approx(0.549, abs=0.01)
    assert (made.values == true.values)[known].mean() > 0.85


def test_the_centre_of_helsinki_from_a_pbf(real_data):
    """Metro lines and foot tunnels lie under it; the railway yard is ignored; beyond the extract nothing is known."""
    path = real_data / "osm" / "Helsinki.osm.pbf"
    made, impervious = share([path], load_rules("osm"), "EPSG:32635", (24.93, 60.164, 24.9535, 60.179))
    assert 0.35 < impervious < 0.45
    assert made.counts["rule underground"] > 300
    assert made.counts["rule buildings"] == 500
    assert made.counts["dropped: no geometry"] == 11
    assert (made.values[:, :200] == 255).all()
