"""Records describe every file, hold together as a catalogue, and are written whole."""

import dataclasses
import json
import pathlib

import jsonschema
import pystac
import pytest
from stac_schemas import check_stac

from jointseg_jax.geo.footprints import footprint
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.tile_record import parse_rows
from jointseg_jax.mapping.records import model_card as cards
from jointseg_jax.mapping.records.stac_records import write_records
from jointseg_jax.mapping.records.tile_items import tile_item
from jointseg_jax.storage.files import sha256


def test_every_document_is_stac_by_its_schema(written):
    folder, rows = written
    documents = [*folder.glob("items/*.json"), *folder.glob("sources/*.json"), *folder.glob("*.json")]
    assert len(documents) == len(rows) + 5 + 2
    for path in documents:
        check_stac(json.loads(path.read_text()))


def test_the_schemas_do_find_what_is_wrong(written):
    """The check above can fail."""
    document = json.loads(next(written[0].glob("items/*.json")).read_text())
    for key in ("geometry", "links", "assets", "bbox"):
        with pytest.raises((pystac.STACValidationError, jsonschema.ValidationError)):
            check_stac({k: v for k, v in document.items() if k != key})


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


def test_tile_items_alone(made_product):
    folder, rows = made_product
    item = tile_item(folder, parse_rows(rows)[0], Label("impervious", ("pervious", "impervious")))
    assert item.id == "50N_0000_0340"


def test_a_scene_with_a_record_of_its_own_is_linked_to_it(product, card):
    folder, rows = product
    rows["50N_0000_0340"]["scenes"][0]["href"] = "https://example.org/items/S2A.json"
    write_records(folder, rows, card, say=lambda _: None)
    item = pystac.Item.from_file(str(folder / "items" / "50N_0000_0340.json"))
    assert "https://example.org/items/S2A.json" in [link.href for link in item.get_links("derived_from")]
    assert not list((folder / "sources").glob("*0000*"))


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
        check_stac(document)
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
