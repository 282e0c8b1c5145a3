"""Records say of every file what is in it, hold together as a catalogue, and are refused rather than wrong."""

import dataclasses
import datetime
import json
import pathlib
import shutil

import jsonschema
import pystac
import pytest
from products import geodesic_area
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from jointseg_jax.errors import InputError
from jointseg_jax.geo.antimeridian import bbox, union_bbox
from jointseg_jax.geo.footprints import footprint
from jointseg_jax.mapping.predictor.weights import flat_weights, weights_digest
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.tile_record import parse_row, parse_rows
from jointseg_jax.mapping.records import model_card as cards
from jointseg_jax.mapping.records.stac_records import write_records
from jointseg_jax.mapping.records.tile_items import tile_item
from jointseg_jax.storage.files import sha256
from jointseg_jax.storage.folders import MARKER


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


@pytest.fixture
def card(trained):
    return cards.model_item(trained, {"checkpoint": cards.checkpoint_asset(trained, "../run/checkpoints/0")})


@pytest.fixture
def written(product, card):
    folder, rows = product
    write_records(folder, rows, card, say=lambda _: None)
    return folder, rows


def core_errors(document):
    """What STAC's own schemas, shipped with pystac, find wrong with a document."""
    kind = {"Feature": pystac.STACObjectType.ITEM, "Collection": pystac.STACObjectType.COLLECTION}[document["type"]]
    JsonSchemaSTACValidator().validate_core(document, kind, "1.1.0")


def test_every_document_is_stac_by_its_schema(written):
    folder, rows = written
    documents = [*folder.glob("items/*.json"), *folder.glob("sources/*.json"), *folder.glob("*.json")]
    assert len(documents) == len(rows) + 5 + 2
    for path in documents:
        core_errors(json.loads(path.read_text()))


def test_the_schemas_do_find_what_is_wrong(written):
    """The check above can fail."""
    document = json.loads(next(written[0].glob("items/*.json")).read_text())
    for key in ("geometry", "links", "assets", "bbox"):
        with pytest.raises((pystac.STACValidationError, jsonschema.ValidationError)):
            core_errors({k: v for k, v in document.items() if k != key})


def test_a_stranger_walks_the_catalogue(written):
    folder, rows = written
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    items = {item.id: item for item in collection.get_items(recursive=True)}
    assert set(items) == set(rows)
    for name, item in items.items():
        assert item.get_collection().id == collection.id
        assert item.bbox == pytest.approx(list(map(float, footprint(rows[name]["epsg"], rows[name]["bounds"]).bounds)))
        for layer, asset in item.get_assets().items():
            path = pathlib.Path(asset.get_absolute_href())
            assert path.is_file(), layer
            assert asset.extra_fields["file:checksum"] == "1220" + sha256(path)
            assert asset.extra_fields["file:size"] == path.stat().st_size
        for link in item.get_links("derived_from"):
            assert pathlib.Path(link.get_absolute_href()).is_file()
    for asset in collection.get_assets().values():
        assert pathlib.Path(asset.get_absolute_href()).is_file()


def test_an_item_describes_its_files(written):
    folder, _ = written
    item = json.loads((folder / "items" / "50N_0001_0340.json").read_text())
    assert item["properties"]["proj:code"] == "EPSG:32650"
    impervious = item["assets"]["impervious"]
    assert impervious["proj:shape"] == [360, 420]
    assert impervious["proj:transform"] == [1.0, 0.0, 500640.0, 0.0, -1.0, 3400020.0]
    band = impervious["bands"][0]
    assert [c["value"] for c in band["classification:classes"]] == [0, 1, 255]
    assert (band["data_type"], band["nodata"]) == ("uint8", 255)
    probability = item["assets"]["probability"]["bands"][0]
    assert probability["raster:scale"] == 0.005
    image = item["assets"]["image"]
    assert [b["name"] for b in image["bands"]] == ["B04", "B03", "B02"]
    assert item["assets"]["scene"]["proj:shape"] == [36, 42]
    assert item["assets"]["scene"]["classification:classes"][0]["name"] == "S2A_50N_0001_0340"
    assert item["properties"]["processing:software"]["jointseg-jax"]
    assert "sites" not in json.dumps(item)  # no path of the machine that made it


def test_the_model_card_keeps_the_rules_of_the_extension(card, trained):
    """Those of mlm 1.5.0 that its schema adds to STAC: required fields, forms, dimensions, the model's asset."""
    core_errors(card)
    p = card["properties"]
    for field in ("mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output", "bands"):
        assert p[field], field
    for entry, part in [(e, "input") for e in p["mlm:input"]] + [(e, "result") for e in p["mlm:output"]]:
        structure = entry[part]
        assert len(structure["shape"]) == len(structure["dim_order"])
        assert ("bands" in structure["dim_order"]) == bool(entry.get("bands"))
    assert {b["name"] for b in p["bands"]} >= {b for i in p["mlm:input"] for b in i["bands"]}
    assert [len(i["value_scaling"]) for i in p["mlm:input"]] == [len(i["bands"]) for i in p["mlm:input"]]
    models = [a for a in card["assets"].values() if "mlm:model" in a["roles"]]
    assert len(models) == 1
    assert models[0]["mlm:artifact_type"]
    assert p["mlm:total_parameters"] == sum(a.size for a in flat_weights(trained.params).values())
    assert p["mlm:hyperparameters"]["threshold"] == 0.45


@pytest.mark.parametrize("name", ["toy", "1 m net!", "ü", "a/b c", "-x-"])
def test_names_are_what_the_extension_allows(name):
    import re

    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", cards.mlm_name(name))


def test_the_digest_knows_weights_apart(trained):
    import jax

    same = weights_digest(trained.params)
    assert same == weights_digest(jax.tree.map(lambda x: x.copy(), trained.params))
    leaves, tree = jax.tree.flatten(trained.params)
    changed = leaves[0].copy()
    changed.flat[0] += 1e-6
    assert weights_digest(jax.tree.unflatten(tree, [changed, *leaves[1:]])) != same


def test_written_twice_is_the_same_and_forgets_what_is_gone(written, card):
    folder, rows = written
    before = {p: p.read_bytes() for p in folder.rglob("*.json")}
    write_records(folder, rows, card, say=lambda _: None)
    assert {p: p.read_bytes() for p in folder.rglob("*.json")} == before
    del rows["50N_0003_0340"]
    write_records(folder, rows, card, say=lambda _: None)
    assert not (folder / "items" / "50N_0003_0340.json").exists()
    assert not list((folder / "sources").glob("*0003*"))
    assert len(json.loads((folder / "collection.json").read_text())["links"]) == 4 + 1 + 1


def test_what_others_put_beside_the_records_stays(written, card):
    folder, rows = written
    mine = [folder / name for name in ("items/mine.json", "sources/mine.json", "mosaics/mine.vrt", "notes.txt")]
    for path in mine:
        path.write_text("mine")
    del rows["51N_0002_0340"]
    write_records(folder, rows, card, say=lambda _: None)
    assert all(path.read_text() == "mine" for path in mine)
    assert not list((folder / "mosaics").glob("*32651*"))


@pytest.mark.parametrize("name", ["collection.json", "model.json", "index.geojson", "items/50N_0000_0340.json"])
def test_a_file_of_a_records_name_that_is_not_ours_is_refused(product, card, name):
    folder, rows = product
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    with pytest.raises(InputError, match=rf"{name} was not written by this program .*: move it"):
        write_records(folder, rows, card, say=lambda _: None)
    assert (folder / name).read_text() == "{}"
    (folder / name).rename(folder / "elsewhere.json")
    write_records(folder, rows, card, say=lambda _: None)


def test_records_of_before_folders_were_marked_are_known(written, card):
    folder, rows = written
    (folder / MARKER).unlink()
    (folder / "items" / "mine.json").write_text("mine")
    del rows["50N_0003_0340"]
    write_records(folder, rows, card, say=lambda _: None)
    assert not (folder / "items" / "50N_0003_0340.json").exists()
    assert not list((folder / "sources").glob("*0003*"))
    assert (folder / "items" / "mine.json").exists()


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
    core_errors(second)
    assert "not known" in second["properties"]["description"]
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
    core_errors(item)
    assert item["properties"]["datetime"] is None
    assert item["properties"]["start_datetime"] == "2021-06-01T00:00:00+00:00"
    assert item["properties"]["end_datetime"] == "2021-06-30T23:59:59+00:00"
    source = json.loads((folder / "sources" / "x.json").read_text())
    core_errors(source)
    assert source["properties"]["end_datetime"] == "2021-06-30T23:59:59+00:00"
    (interval,) = collection.extent.temporal.to_dict()["interval"]
    assert interval == ["2021-06-01T00:00:00Z", "2022-12-31T23:59:59Z"]
    core_errors(json.loads((folder / "collection.json").read_text()))
    from jointseg_jax.mapping.records.zone_mosaics import index_table

    index = index_table(parse_rows(rows))
    assert index["from"][0] == "2021-06-01T00:00:00+00:00"


@pytest.mark.parametrize("interval", ["2021", ["2021-06-01"], [None, None], ["2021-06-02", "2021-06-01"], [1, 2]])
def test_a_scene_without_a_good_interval_is_named(made_product, interval):
    import copy

    row = copy.deepcopy(made_product[1]["50N_0000_0340"])
    row["datetime"], row["scenes"][0]["datetime"], row["scenes"][0]["interval"] = None, None, interval
    with pytest.raises(InputError, match=r"50N_0000_0340.*no (interval|ISO date)"):
        _ = parse_row("50N_0000_0340", row).interval


def test_another_label_goes_by_its_own_name(product, trained):
    """A network for roofs makes no map of impervious surface; names of files and keys of figures are the format's."""
    folder, rows = product
    contract = trained.meta.contract.replace(label="built_proxy")
    other = dataclasses.replace(trained, meta=dataclasses.replace(trained.meta, contract=contract))
    card = cards.model_item(other, {"checkpoint": cards.checkpoint_asset(other, "../run/checkpoints/0")})
    write_records(folder, rows, card, say=lambda _: None)
    collection = json.loads((folder / "collection.json").read_text())
    assert collection["id"] == "built_proxy-1m"
    assert collection["title"] == "built_proxy at 1 m"
    assert collection["jointseg:classes"] == ["other", "built_proxy"]
    item = json.loads((folder / "items" / "50N_0001_0340.json").read_text())
    assert item["collection"] == "built_proxy-1m"
    assert item["properties"]["title"].endswith("% built_proxy")
    band = item["assets"]["impervious"]["bands"][0]
    assert [c["name"] for c in band["classification:classes"]] == ["other", "built_proxy", "nodata"]
    assert [c["name"] for c in card["properties"]["mlm:output"][0]["classification:classes"]] == [
        "other",
        "built_proxy",
    ]
    for document in (collection, item, card):
        core_errors(document)
        said = set(texts(document)) - {"impervious"}  # the band's name, in files of the other network
        assert not [text for text in said if "impervious" in text.lower()]


def texts(document):
    """What a record says, without its keys, addresses and names of files."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key not in ("href", "assets", "item_assets"):
                yield from texts(value)
        for asset in (*document.get("assets", {}).values(), *document.get("item_assets", {}).values()):
            yield from texts(asset)
    elif isinstance(document, list):
        for value in document:
            yield from texts(value)
    elif isinstance(document, str):
        yield document


def test_a_scene_with_a_record_of_its_own_is_linked_to_it(product, card):
    folder, rows = product
    rows["50N_0000_0340"]["scenes"][0]["href"] = "https://example.org/items/S2A.json"
    write_records(folder, rows, card, say=lambda _: None)
    item = pystac.Item.from_file(str(folder / "items" / "50N_0000_0340.json"))
    assert "https://example.org/items/S2A.json" in [link.href for link in item.get_links("derived_from")]
    assert not list((folder / "sources").glob("*0000*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("bounds"), "lacks 'bounds'"),
        (lambda r: r.update(bounds=[0, 0, float("nan"), 1]), "enclose nothing"),
        (lambda r: r.update(bounds=[10, 0, 0, 10]), "enclose nothing"),
        (lambda r: r.update(bounds=[0, 0, 15, 10]), "whole number"),
        (lambda r: r.update(tile="../x"), "no name"),
        (lambda r: r.update(epsg="zone 50"), "cannot be read"),
        (lambda r: r.update(valid_m2=float("nan")), "areas"),
        (lambda r: r.update(impervious_m2=1e12), "areas"),
        (lambda r: r.update(impervious_m2=-1.0), "areas"),
        (lambda r: r.update(datetime="June"), "no ISO date"),
        (lambda r: r["files"].pop("impervious"), "no impervious map"),
        (lambda r: r["files"]["image"].update(path="/etc/passwd"), "no good path"),
        (lambda r: r["files"]["image"].update(path="a/../../b.tif"), "no good path"),
        (lambda r: r["files"]["image"].update(sha256="12"), "no good path"),
        (lambda r: r.update(files=None), "cannot be read"),
    ],
)
def test_a_bad_row_is_one_sentence(made_product, change, message):
    import copy

    row = copy.deepcopy(made_product[1]["50N_0000_0340"])
    change(row)
    with pytest.raises(InputError, match=message) as caught:
        parse_row("50N_0000_0340", row)
    assert "\n" not in str(caught.value)
    assert "50N_0000_0340" in str(caught.value)


def test_rows_come_back(made_product):
    for tile in parse_rows(made_product[1]):
        assert parse_row(tile.tile, json.loads(json.dumps(raw_row(tile)))) == tile


def test_no_tile_is_one_sentence(tmp_path, card):
    with pytest.raises(InputError, match="no finished tile"):
        write_records(tmp_path, {}, card)


def test_files_that_are_not_what_the_ledger_means(product, card):
    folder, rows = product
    path = folder / rows["50N_0001_0340"]["files"]["impervious"]["path"]
    whole = path.read_bytes()

    def attempt(match):
        with pytest.raises(InputError, match=match):
            write_records(folder, rows, card, say=lambda _: None)
        assert not (folder / "collection.json").exists()
        assert not (folder / "items").exists()

    path.unlink()
    attempt("not on the disk")
    path.write_bytes(whole[: len(whole) // 2])
    attempt("bytes where the ledger has")
    path.write_bytes(bytes(len(whole)))
    attempt("is not a GeoTIFF")
    other = folder / rows["50N_0002_0340"]["files"]["impervious"]["path"]
    shutil.copy(other, path)
    rows["50N_0001_0340"]["files"]["impervious"]["bytes"] = path.stat().st_size
    attempt("does not lie where")
    path.write_bytes(whole)
    rows["50N_0001_0340"]["files"]["impervious"]["bytes"] = len(whole)
    rows["50N_0001_0340"]["epsg"] = 32651
    attempt("does not lie where")


def test_two_networks_in_one_product_are_refused(product, card):
    folder, rows = product
    rows["50N_0002_0340"]["model"]["sha256"] = "cd" * 32
    with pytest.raises(InputError, match=r"50N_0002_0340.*one network"):
        write_records(folder, rows, card)
    rows["50N_0002_0340"]["model"]["sha256"] = "ab" * 32
    card["properties"]["mlm:hyperparameters"]["weights"] = "raw"
    with pytest.raises(InputError, match="one network"):
        write_records(folder, rows, card)


def test_footprints_across_the_antimeridian():
    """Zone 1 begins there; a tile that reaches beyond is cut in two, and its area stays what it is."""
    import pyproj

    bounds = (160000.0, 3400000.0, 300000.0, 3410240.0)
    ground = footprint(32601, bounds)
    assert ground.geom_type == "MultiPolygon"
    assert ground.is_valid
    west, south, east, north = bbox(ground)
    assert west > 179 > 0 > -179 > east
    area = sum(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(p)[0] for p in ground.geoms)
    assert area == pytest.approx(geodesic_area(32601, bounds), rel=2e-4)
    assert union_bbox([[west, south, east, north], [-179.0, 0, -178.0, 1]]) == pytest.approx([west, 0, -178.0, north])
    plain = footprint(32650, (500000.0, 3400000.0, 510240.0, 3410240.0))
    assert bbox(plain) == pytest.approx(list(plain.bounds))
    assert union_bbox([[1, 2, 3, 4], [0, 3, 2, 9]]) == [0, 2, 3, 9]


def test_what_is_interrupted_leaves_the_old_records_readable(written, card, monkeypatch):
    """The collection is written last: until then it points at items that are all there."""
    folder, rows = written
    from jointseg_jax.mapping.records import stac_records

    real, calls = stac_records.write_json, []

    def failing(path, value):
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(path, value)

    monkeypatch.setattr(stac_records, "write_json", failing)
    with pytest.raises(KeyboardInterrupt):
        write_records(folder, rows, card, say=lambda _: None)
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    assert len(list(collection.get_items())) == len(rows)


def test_time_zones(made_product):
    import copy

    row = copy.deepcopy(made_product[1]["50N_0000_0340"])
    row["datetime"] = "2021-06-01T11:05:41+08:00"
    assert parse_row("50N_0000_0340", row).datetime == datetime.datetime(2021, 6, 1, 3, 5, 41, tzinfo=datetime.UTC)
    row["datetime"] = "2021-06-01"
    assert parse_row("50N_0000_0340", row).datetime == datetime.datetime(2021, 6, 1, tzinfo=datetime.UTC)


def test_tile_items_alone(made_product):
    folder, rows = made_product
    item = tile_item(folder, parse_rows(rows)[0], Label("impervious", ("pervious", "impervious")))
    assert item.id == "50N_0000_0340"
