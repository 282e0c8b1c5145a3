"""The file of rules: what it means, and what it cannot mean."""

import pytest

from jointseg_jax.data.prepare.labels.rules import load_rules, parse_rules
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick


def number(rules, tags, layer="x", line=False):
    return next((n for n, rule in enumerate(rules.rules) if rule.fits(tags, layer, line)), None)


@pytest.mark.parametrize(
    ("where", "fits", "not_"),
    [
        ("{building: '*'}", {"building": "yes"}, {"building": "no"}),
        ("{building: no}", {"building": "no"}, {"building": "yes"}),  # YAML's own `no` is False
        ("{highway: [primary, secondary]}", {"highway": "secondary"}, {"highway": "primary_link"}),
        ("{highway: '*_link'}", {"highway": "primary_link"}, {"highway": "primary"}),
        ("{layer: '<0'}", {"layer": "-1.5"}, {"layer": "0"}),
        ("{layer: '<0'}", {"layer": "-1"}, {"layer": "below"}),
        ("{levels: '> 2'}", {"levels": "3"}, {"levels": "2"}),
        ("{surface: sett}", {"surface": "paved; sett"}, {"surface": "paved"}),
        ("{a: b, c: d}", {"a": "b", "c": "d"}, {"a": "b"}),
        ("[{a: b}, {c: d}]", {"c": "d"}, {"c": "b"}),
        ("{code: 5}", {"code": "5"}, {}),
    ],
)
def test_where(where, fits, not_):
    rules = parse_rules(f"rules:\n- name: r\n  label: impervious\n  where: {where}", "x.yaml")
    assert (number(rules, fits), number(rules, not_)) == (0, None)


def test_a_rule_without_a_width_leaves_lines_to_the_rules_below():
    rules = parse_rules(
        """
rules:
- {name: hidden, label: skip, where: {tunnel: "*"}}
- {name: areas, label: impervious, where: {highway: "*"}, unless: {layer: "<0"}}
- {name: lines, label: ignore, where: {highway: "*"}, width: 5}
- {name: fields, label: pervious, layers: fields}
""",
        "x.yaml",
    )
    road = {"highway": "primary"}
    assert [number(rules, road), number(rules, road, line=True)] == [1, 2]
    assert number(rules, {**road, "layer": "-1"}) == 2
    assert number(rules, {**road, "tunnel": "yes"}, line=True) == 0
    assert [number(rules, {}, "fields"), number(rules, {}, "x")] == [3, None]


def test_levels():
    text = "rules:\n" + "".join(f"- {{name: r, label: skip, level: {level}}}\n" for level in ("a", "b", "b", "a", "''"))
    assert parse_rules(text, "x").levels == (0, 1, 1, 2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [", r"x\.yaml, line 1, is not valid YAML"),
        ("rules: []", "has no rules"),
        ("", "write rules as docs"),
        ("- a", "write rules as docs"),
        ("rule: 5", "has a field 'rule': use ground, width_tags, rules"),
        ("rules: 5", "rules, is no list"),
        ("rules: [5]", "rule 1 is not a list of fields"),
        ("rules: [{label: skip}]", "rule 1 has no `name`"),
        (
            "rules: [{name: a, label: grey}]",
            r"rule 1 \(a\) has the label 'grey': use pervious, impervious, ignore, skip",
        ),
        ("rules: [{name: a}]", "has the label ''"),
        ("rules: [{name: a, label: skip, widht: 5}]", "has a field 'widht'"),
        ("rules: [{name: a, label: skip, width: wide}]", "width, is 'wide', not 0.1 to 200 metres"),
        ("rules: [{name: a, label: skip, width: nan}]", "width, is 'nan'"),
        ("rules: [{name: a, label: skip, width: 0}]", "width, is '0'"),
        ("rules: [{name: a, label: skip, width: [1]}]", "width, is"),
        ("rules: [{name: a, label: skip, where: highway}]", "where, must be tags"),
        ("rules: [{name: a, label: skip, where: {}}]", "where, must be tags"),
        ("rules: [{name: a, label: skip, where: {b: {c: d}}}]", "where, b, is not text"),
        ("rules: [{name: a, label: skip, where: {b: []}}]", "where, b, is empty"),
        ("rules: [{name: a, label: skip, label: ignore}]", "a key stands there twice"),
        ("ground: grey\nrules: [{name: a, label: skip}]", "ground, is 'grey'"),
        ("a: &a [*a]", "not valid YAML"),
        ("rules: " + "[" * 5000, "nested too deeply|not valid YAML"),
    ],
)
def test_what_cannot_be_understood_is_said(text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_rules(text, "x.yaml")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"dataset\.label\.rules='.*' cannot be read .*or 'osm'"):
        load_rules(str(tmp_path / "none.yaml"))
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_rules(str(tmp_path / "a.yaml"))
    (tmp_path / "b.yaml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(InputError, match="no file of rules has"):
        load_rules(str(tmp_path / "b.yaml"))


GEOFABRIK = load_rules("geofabrik")


@pytest.mark.parametrize(
    ("tags", "line", "expected"),
    [
        ({"code": "1500", "fclass": "building", "type": "house"}, False, 1),
        ({"code": "1500", "fclass": "building", "type": "greenhouse"}, False, 255),
        ({"code": "5113", "fclass": "primary", "tunnel": "F", "bridge": "T", "layer": "1"}, True, 1),
        ({"code": "5113", "fclass": "primary", "tunnel": "T", "layer": "-1"}, True, None),
        ({"code": "5113", "fclass": "primary", "tunnel": "F", "layer": "-1"}, True, 255),
        ({"code": "5131", "fclass": "motorway_link"}, True, 1),
        ({"code": "5141", "fclass": "service"}, True, 1),
        ({"code": "5251", "fclass": "service"}, False, 1),
        ({"code": "5142", "fclass": "track"}, True, 0),
        ({"code": "5143", "fclass": "track_grade1"}, True, 1),
        ({"code": "5146", "fclass": "track_grade4"}, True, 0),
        ({"code": "5199", "fclass": "unknown"}, True, 255),
        ({"code": "5260", "fclass": "parking"}, False, 1),
        ({"code": "5263", "fclass": "parking_underground"}, False, None),
        ({"code": "6101", "fclass": "rail"}, True, 255),
        ({"code": "6104", "fclass": "tram"}, True, "no rule"),
        ({"code": "7203", "fclass": "residential"}, False, "no rule"),
        ({"code": "5122", "fclass": "residential"}, True, 1),
        ({"code": "7204", "fclass": "industrial"}, False, 255),
        ({"code": "7218", "fclass": "grass"}, False, 0),
        ({"code": "8202", "fclass": "river"}, False, 0),
        ({"code": "8101", "fclass": "river", "width": "12"}, True, "no rule"),
        ({"code": "1108", "fclass": "admin_level8"}, False, "no rule"),
        ({"code": "5611", "fclass": "pier"}, False, 1),
    ],
)
def test_the_shipped_rules_for_geofabriks_shapefiles(tags, line, expected):
    found = number(GEOFABRIK, tags, "gis_osm_x_free_1", line)
    assert ("no rule" if found is None else GEOFABRIK.rules[found].value) == expected


OSM = load_rules("osm")


@pytest.mark.parametrize(
    ("tags", "line", "expected"),
    [
        ({"building": "yes"}, False, 1),
        ({"building": "no"}, False, "no rule"),
        ({"building": "construction"}, False, 255),
        ({"building": "yes", "location": "underground"}, False, None),
        ({"building": "yes", "layer": "-2"}, False, None),
        ({"highway": "residential"}, True, 1),
        ({"highway": "residential", "surface": "unpaved"}, True, 0),
        ({"highway": "residential", "tunnel": "yes"}, True, None),
        ({"highway": "residential", "tunnel": "no"}, True, 1),
        ({"highway": "residential", "layer": "-1"}, True, 255),
        ({"highway": "motorway", "bridge": "yes", "layer": "2"}, True, 1),
        ({"highway": "track"}, True, 0),
        ({"highway": "track", "tracktype": "grade1"}, True, 1),
        ({"highway": "path", "surface": "asphalt"}, True, 1),
        ({"highway": "proposed"}, True, None),
        ({"highway": "construction"}, True, 255),
        ({"highway": "pedestrian", "area": "yes"}, False, 1),
        ({"amenity": "parking"}, False, 1),
        ({"amenity": "parking", "parking": "underground"}, False, None),
        ({"amenity": "parking", "surface": "gravel"}, False, 0),
        ({"leisure": "pitch", "sport": "soccer"}, False, 255),
        ({"leisure": "pitch", "surface": "grass"}, False, 0),
        ({"leisure": "pitch", "surface": "artificial_turf"}, False, 1),
        ({"natural": "water", "layer": "-1"}, False, 0),
        ({"waterway": "river"}, True, "no rule"),
        ({"landuse": "industrial"}, False, 255),
        ({"landuse": "residential"}, False, "no rule"),
        ({"boundary": "administrative", "admin_level": "4"}, False, "no rule"),
        ({"railway": "rail"}, True, 255),
        ({"railway": "rail", "tunnel": "yes"}, True, None),
        ({"aeroway": "runway", "surface": "grass"}, True, 0),
        ({"man_made": "pier"}, False, 1),
    ],
)
def test_the_shipped_rules(tags, line, expected):
    found = number(OSM, tags, "lines", line)
    assert ("no rule" if found is None else OSM.rules[found].value) == expected
