"""Times in records: as precise as known, and never invented."""

import datetime
import json

from stac_schemas import check_stac

from jointseg_jax.mapping.product.tile_record import parse_rows
from jointseg_jax.mapping.records.stac_records import write_records
from jointseg_jax.mapping.records.zone_mosaics import index_table


def test_dates_that_are_not_known_are_said_not_invented(product, card):
    folder, rows = product
    one, two = rows["50N_0000_0340"], rows["50N_0001_0340"]
    one["datetime"] = two["datetime"] = None
    one["scenes"] = [
        {"id": "x", "datetime": "2021-05-01", "share": 0.6},
        {"id": "y", "datetime": "2021-07-01T00:00:00Z", "share": 0.4},
    ]
    two["scenes"] = [{"id": "z", "datetime": None, "share": 1.0}]
    collection = write_records(folder, rows, card, say=lambda _: None)
    first = json.loads((folder / "items" / "50N_0000_0340.json").read_text())["properties"]
    assert first["datetime"] is None
    assert (first["start_datetime"][:10], first["end_datetime"][:10]) == ("2021-05-01", "2021-07-01")
    second = json.loads((folder / "items" / "50N_0001_0340.json").read_text())
    check_stac(second)
    assert "unknown" in second["properties"]["description"]
    created = datetime.datetime.fromisoformat(second["properties"]["created"])
    assert collection.extent.temporal.intervals == [[datetime.datetime(2015, 6, 23, tzinfo=datetime.UTC), created]]


def test_a_month_or_a_year_is_that_time_and_no_more(product, card):
    folder, rows = product
    for row in rows.values():
        row["datetime"] = None
        row["scenes"] = [
            {"id": "x", "datetime": None, "share": 1.0, "interval": ["2021-06-01", "2021-06-30T23:59:59Z"]}
        ]
    other = ["2022-01-01T00:00:00Z", "2022-12-31T23:59:59Z"]
    rows["50N_0001_0340"]["scenes"].append({"id": "y", "datetime": None, "share": 0.0, "interval": other})
    collection = write_records(folder, rows, card, say=lambda _: None)
    item = json.loads((folder / "items" / "50N_0000_0340.json").read_text())
    check_stac(item)
    assert item["properties"]["datetime"] is None
    assert item["properties"]["start_datetime"] == "2021-06-01T00:00:00+00:00"
    assert item["properties"]["end_datetime"] == "2021-06-30T23:59:59+00:00"
    source = json.loads((folder / "sources" / "x.json").read_text())
    check_stac(source)
    assert source["properties"]["end_datetime"] == "2021-06-30T23:59:59+00:00"
    (interval,) = collection.extent.temporal.to_dict()["interval"]
    assert interval == ["2021-06-01T00:00:00Z", "2022-12-31T23:59:59Z"]
    check_stac(json.loads((folder / "collection.json").read_text()))
    index = index_table(parse_rows(rows))
    assert index["from"][0] == "2021-06-01T00:00:00+00:00"
