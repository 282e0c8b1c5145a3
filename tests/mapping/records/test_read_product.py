"""Records of a product that were damaged: one sentence with the file, in every tool that reads them."""

import json
import shutil

import pytest
import shapely

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.tile_record import parse_rows
from jointseg_jax.mapping.records import model_card as cards
from jointseg_jax.mapping.records.read_product import read_product
from jointseg_jax.mapping.records.stac_records import write_records

ITEM = "items/50N_0000_0340.json"


@pytest.fixture(scope="module")
def whole(made_product, trained, tmp_path_factory):
    """A product with records."""
    made, rows = made_product
    folder = tmp_path_factory.mktemp("records") / "product"
    shutil.copytree(made, folder)
    card = cards.model_item(trained, {"checkpoint": cards.checkpoint_asset(trained, "x")})
    write_records(folder, rows, card, say=lambda _: None)
    return folder, rows


@pytest.fixture
def records(whole, tmp_path):
    """Its records alone, to be damaged."""
    folder, rows = whole
    (tmp_path / "product" / "items").mkdir(parents=True)
    for path in (folder / "collection.json", *(folder / "items").iterdir()):
        shutil.copy(path, tmp_path / "product" / path.relative_to(folder))
    return tmp_path / "product", rows


def test_what_was_written_is_read(records):
    folder, rows = records
    record = read_product(folder)
    assert list(record.tiles) == parse_rows(rows)
    assert record.title == "Impervious surface at 1 m"
    assert record.label.name == "impervious"


def change(key, value):
    """Changes a document at a path of keys."""

    def edit(document):
        at = document
        for step in key[:-1]:
            at = at[step]
        if value is ...:
            del at[key[-1]]
        else:
            at[key[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("collection.json", change(["links"], None)),
        ("collection.json", change(["links"], {"rel": "item"})),
        ("collection.json", change(["links", 1], 7)),
        ("collection.json", change(["links", 1, "href"], 7)),
        ("collection.json", change(["links", 1, "href"], "../../x.json")),
        ("collection.json", change(["links", 1, "href"], "/etc/passwd")),
        ("collection.json", change(["links", 1, "href"], "http://[")),
        ("collection.json", change(["links", 1, "href"], "https://example.org/a.json")),
        ("collection.json", change(["title"], ["a"])),
        (ITEM, change(["id"], ...)),
        (ITEM, change(["properties"], None)),
        (ITEM, change(["properties", "jointseg:owned_m2"], ...)),
        (ITEM, change(["properties", "jointseg:scenes"], 7)),
        (ITEM, change(["properties", "proj:code"], None)),
        (ITEM, change(["properties", "proj:code"], "EPSG:999999")),
        (ITEM, change(["properties", "proj:bbox"], [1, 2, 3])),
        (ITEM, change(["properties", "proj:bbox"], [10**400, 0, 1, 1])),
        (ITEM, change(["properties", "datetime"], "June")),
        (ITEM, change(["assets"], [])),
        (ITEM, change(["assets"], {})),
        (ITEM, change(["assets", "impervious", "href"], "/etc/passwd")),
        (ITEM, change(["assets", "impervious", "file:checksum"], None)),
        (ITEM, change(["assets", "impervious", "file:size"], "many")),
    ],
)
def test_a_damaged_record_is_named(records, name, edit):
    path = records[0] / name
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        _ = [tile.interval for tile in read_product(records[0]).tiles]
    message = str(caught.value)
    assert "50N_0000_0340" in message if name == ITEM else str(path) in message
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize("name", ["collection.json", ITEM])
@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_torn_record_is_named(records, name, content):
    (records[0] / name).write_bytes(content)
    with pytest.raises(InputError, match="which rewrites the records") as caught:
        read_product(records[0])
    assert str(records[0] / name) in str(caught.value)


@pytest.mark.parametrize("edit", [change(["links", 1, "rel"], "self"), change(["jointseg:owned_m2"], ...)])
def test_a_collection_that_lacks_an_item(records, edit):
    """Its figures would be of less ground, without a word."""
    test_a_damaged_record_is_named(records, "collection.json", edit)


def test_an_item_that_is_gone_is_named(records):
    (records[0] / ITEM).unlink()
    with pytest.raises(InputError, match=r"50N_0000_0340\.json cannot be read"):
        read_product(records[0])


def test_the_commands_say_it_in_one_line(records, tmp_path, capsys):
    import geopandas

    from jointseg_jax.commands.view import main as view
    from jointseg_jax.commands.zonal import main as zonal

    (records[0] / ITEM).write_text("{")
    geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=32650).to_file(tmp_path / "p.gpkg")
    capsys.readouterr()
    table = ["--polygons", f"{tmp_path}/p.gpkg", "--output", f"{tmp_path}/t.csv"]
    for command, more in ((zonal, table), (view, [])):
        assert command([f"--product={records[0]}", *more]) == 2
        assert capsys.readouterr().err.count("\n") == 1
