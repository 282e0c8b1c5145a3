"""STAC as catalogues give it: what is absent, null or unknown is so; what is of a wrong type is one sentence."""

import json
import os

import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.sources.dates import iso_moment
from jointseg_jax.sources.raster_tags import percentage
from jointseg_jax.sources.stac_items import read_items

pytestmark = pytest.mark.quick

ITEM = {
    "type": "Feature",
    "id": "a",
    "properties": {"datetime": "2021-06-01T03:15:41Z", "eo:cloud_cover": 7.5},
    "links": [],
    "assets": {"B02": {"href": "./B02.tif", "roles": ["data"], "eo:bands": [{"name": "B02", "common_name": "blue"}]}},
}


def item(**changes):
    return {**ITEM, **changes}


def with_asset(**changes):
    return item(assets={"B02": {**ITEM["assets"]["B02"], **changes}})


def read(path, document, **options):
    path.write_text(document if isinstance(document, str) else json.dumps(document), **options)
    return read_items(path)


def test_an_item(tmp_path):
    (found,) = read(tmp_path / "i.json", ITEM)
    assert (found.id, found.date, found.cloud) == ("a", "2021-06-01T03:15:41Z", 7.5)
    assert found.assets["B02"].bands == (("B02", "blue"),)
    assert found.properties["eo:cloud_cover"] == "7.5"


def test_flags_are_kept(tmp_path):
    """Such a flag decides the offset."""
    (found,) = read(tmp_path / "i.json", item(properties={"earthsearch:boa_offset_applied": True}))
    assert found.properties == {"earthsearch:boa_offset_applied": "True"}


def test_a_byte_order_mark(tmp_path):
    (found,) = read(tmp_path / "i.json", ITEM, encoding="utf-8-sig")
    assert found.id == "a"


@pytest.mark.parametrize(
    "document",
    [
        item(links=None),
        item(properties=None),
        item(properties={"datetime": None, "start_datetime": None, "eo:cloud_cover": None, "proj:shape": [1, 2]}),
        with_asset(roles=None),
        with_asset(bands=None, href=None),
        with_asset(roles="data"),
        {"type": "FeatureCollection", "features": [ITEM], "links": None},
    ],
)
def test_null_is_absent(tmp_path, document):
    (found,) = read(tmp_path / "i.json", document)
    assert found.id == "a"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 101, "unknown", True, None, [5], 10**400])
def test_cloud_that_is_no_percentage_is_not_known(tmp_path, value):
    (found,) = read(tmp_path / "i.json", item(properties={"eo:cloud_cover": value}))
    assert found.cloud is None
    assert "nan" not in found.properties.values()


def test_percentages():
    assert [percentage(v) for v in (0, "7.5", 100.0)] == [0, 7.5, 100]


@pytest.mark.parametrize(
    ("properties", "date"),
    [
        ({"datetime": None, "start_datetime": "2021-06-01", "end_datetime": "2021-06-30"}, "2021-06-01/2021-06-30"),
        ({"start_datetime": "2021-06-01T00:00:00Z"}, "2021-06-01T00:00:00Z"),
        ({}, ""),
    ],
)
def test_dates(tmp_path, properties, date):
    (found,) = read(tmp_path / "i.json", item(properties=properties))
    assert iso_moment(found.date) == date


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "is not a STAC"),
        ("7", "is not a STAC"),
        ({"type": ["Feature"], "assets": {}}, "is not a STAC"),
        ({"type": "FeatureCollection", "features": None}, "contains no STAC item"),
        ({"type": "FeatureCollection", "features": {"a": 1}}, r"features: expected array \| null, got object"),
        ({"type": "FeatureCollection", "features": [None]}, r"features\[0\]: expected object, got null"),
        ({"type": "FeatureCollection", "features": [ITEM, 7]}, r"features\[1\]: expected object, got int"),
        ({"type": "FeatureCollection", "features": [{"type": "Feature"}]}, "is not a STAC"),
        ({"type": "Catalog", "links": None}, "contains no STAC item"),
        ({"type": "Catalog", "links": "item"}, r"links: expected array \| null, got str"),
        ({"type": "Catalog", "links": [{"rel": 1}]}, r"links\[0\].rel: expected str"),
        ({"type": "Catalog", "links": [{"rel": "item", "href": 5}]}, r"links\[0\].href: expected str"),
        ({"type": "Catalog", "links": [{"rel": "item"}]}, "link 0 has no href"),
        ({"type": "Catalog", "links": [{"rel": "item", "href": "http://["}]}, "is not valid"),
        (
            {"type": "Catalog", "links": [{"rel": "item", "href": "http://example.org/i.json"}]},
            "is not on this machine",
        ),
        (
            {"type": "Catalog", "links": [{"rel": "item", "href": "ftp://example.org/i.json"}]},
            "kind 'ftp' is not supported",
        ),
        ({"type": "FeatureCollection", "features": [ITEM], "links": [{"rel": "next"}]}, "one page of an API's answer"),
        ({"type": "Catalog", "links": [{"rel": "item", "href": "gone.json"}]}, "gone.json cannot be read"),
        ({"type": "Catalog", "links": [{"rel": "child", "href": "./i.json"}]}, "links to itself"),
        ({"type": "Catalog", "links": [{"rel": "item", "href": "."}]}, "cannot be read as JSON"),
        (item(id=None), "without an id"),
        (item(id=[1]), "without an id"),
        (item(id=""), "without an id"),
        (item(properties=[]), "item 'a' is damaged .properties: expected object"),
        (
            item(properties={"datetime": 20210601}),
            r"properties.datetime: expected str \| null, got int",
        ),
        (item(assets=["B02"]), "item 'a' is damaged .assets: expected object"),
        (item(assets={"B02": "B02.tif"}), "item 'a', asset 'B02', is damaged .expected object, got str"),
        (with_asset(href=["B02.tif"]), "asset 'B02', is damaged .href: expected str"),
        (with_asset(roles=[1]), r"asset 'B02', is damaged .roles\[0\]: expected str, got int"),
        (with_asset(roles={"data": 1}), "asset 'B02', is damaged .roles: expected"),
        (with_asset(bands=[7]), r"asset 'B02', is damaged .bands\[0\]: expected object, got int"),
        (with_asset(bands=[{"name": 2}]), r"asset 'B02', is damaged .bands\[0\].name: expected str"),
    ],
)
def test_what_is_of_a_wrong_type_is_one_sentence(tmp_path, document, message, monkeypatch):
    monkeypatch.setenv("JOINTSEG_REMOTE", "0")
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "i.json", document)
    assert str(tmp_path) in str(caught.value) or "example.org" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_catalogues_that_link_to_each_other_many_times_are_read_once(tmp_path):
    """Eight levels of ten links each would be a hundred million files."""
    read(tmp_path / "item.json", ITEM)
    for level in range(7):
        target = f"./level{level + 1}.json" if level < 6 else "./item.json"
        links = [{"rel": "child", "href": target}] * 10
        (tmp_path / f"level{level}.json").write_text(json.dumps({"type": "Catalog", "links": links}))
    assert len(read_items(tmp_path / "level0.json")) == 1


def test_a_pipe_is_no_catalogue(tmp_path):
    os.mkfifo(tmp_path / "i.json")
    with pytest.raises(InputError, match="it is a pipe"):
        read_items(tmp_path / "i.json")
