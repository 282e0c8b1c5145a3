"""Rows of the ledger: read back as written, and refused if no tile could have written them."""

import copy
import dataclasses
import datetime
import json

import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.tile_record import parse_row, parse_rows


def raw_row(row):
    """Inverse of `parse_row`, JSON-ready."""
    fields = dataclasses.asdict(row)
    return {
        **fields,
        "bounds": list(row.bounds),
        "datetime": row.datetime.isoformat() if row.datetime else None,
        "scenes": list(fields["scenes"]),
        "agreement": list(row.agreement),
    }


def test_rows_come_back(made_product):
    for tile in parse_rows(made_product[1]):
        assert parse_row(tile.tile, json.loads(json.dumps(raw_row(tile)))) == tile


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("bounds"), "it lacks bounds"),
        (lambda r: r.update(bounds=[0, 0, float("nan"), 1]), "enclose no area"),
        (lambda r: r.update(bounds=[10, 0, 0, 10]), "enclose no area"),
        (lambda r: r.update(bounds=[0, 0, 15, 10]), "whole number"),
        (lambda r: r.update(tile="../x"), "has the tile name"),
        (lambda r: r.update(bounds=[0, 0, 10]), "bounds: expected array of length 4, got 3"),
        (lambda r: r.update(owned_m2=None), "owned_m2: expected float, got null"),
        (lambda r: r.update(owned_m2=float("inf")), "areas"),
        (lambda r: r["scenes"][0].pop("id"), "scene without an id"),
        (lambda r: r.update(epsg="zone 50"), "epsg: expected int, got str"),
        (lambda r: r.update(valid_m2=float("nan")), "areas"),
        (lambda r: r.update(impervious_m2=1e12), "areas"),
        (lambda r: r.update(impervious_m2=-1.0), "areas"),
        (lambda r: r.update(datetime="June"), "not an ISO date"),
        (lambda r: r["files"].pop("impervious"), "no impervious map"),
        (lambda r: r["files"]["image"].update(path="/etc/passwd"), "invalid path or checksum"),
        (lambda r: r["files"]["image"].update(path="a/../../b.tif"), "invalid path or checksum"),
        (lambda r: r["files"]["image"].update(sha256="12"), "invalid path or checksum"),
        (lambda r: r.update(files=None), "files: expected object, got null"),
    ],
)
def test_a_bad_row_is_one_sentence(made_product, change, message):
    row = copy.deepcopy(made_product[1]["50N_0000_0340"])
    change(row)
    with pytest.raises(InputError, match=message) as caught:
        parse_row("50N_0000_0340", row)
    assert "\n" not in str(caught.value)
    assert "50N_0000_0340" in str(caught.value)


@pytest.mark.parametrize("interval", ["2021", ["2021-06-01"], [None, None], ["2021-06-02", "2021-06-01"], [1, 2]])
def test_a_scene_without_a_good_interval_is_named(made_product, interval):
    row = copy.deepcopy(made_product[1]["50N_0000_0340"])
    row["datetime"], row["scenes"][0]["datetime"], row["scenes"][0]["interval"] = None, None, interval
    with pytest.raises(InputError, match=r"50N_0000_0340.*(not two ISO dates|not an ISO date)"):
        _ = parse_row("50N_0000_0340", row).interval


def test_time_zones(made_product):
    row = copy.deepcopy(made_product[1]["50N_0000_0340"])
    row["datetime"] = "2021-06-01T11:05:41+08:00"
    assert parse_row("50N_0000_0340", row).datetime == datetime.datetime(2021, 6, 1, 3, 5, 41, tzinfo=datetime.UTC)
    row["datetime"] = "2021-06-01"
    assert parse_row("50N_0000_0340", row).datetime == datetime.datetime(2021, 6, 1, tzinfo=datetime.UTC)
