"""The page of a product: its files, its layers, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
from pages import NAMES
from PIL import Image

from jointseg_jax.commands.view import main
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.records import model_card as cards
from jointseg_jax.mapping.records.stac_records import write_records
from jointseg_jax.mapping.viewer.build import build, last_level
from jointseg_jax.mapping.viewer.page_folder import CONTENT, page_folder
from jointseg_jax.mapping.viewer.page_layers import layers_of
from jointseg_jax.mapping.viewer.page_tiles import extent
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.storage.folders import MARKER


def test_all_files_are_there(viewed):
    page, lines = viewed
    about = json.loads((page.parent / "product.js").read_text().removeprefix("window.PRODUCT = ").rstrip(";\n"))
    assert [layer["id"] for layer in about["layers"]] == [
        "input", "impervious", "probability", "image", "confidence", "set", "fraction", "dissimilarity",
    ]  # fmt: skip
    for layer in about["layers"]:
        pictures = list((page.parent / "layers" / layer["id"] / "17").rglob("*.png"))
        assert len(pictures) >= 4
        assert any(np.asarray(Image.open(p))[..., 3].any() for p in pictures)
    assert about["table"]["rows"][1][0] == NAMES[1]
    assert [shape is not None for shape in about["table"]["shapes"]] == [True, True, True]
    assert {scene["first"] for scene in about["scenes"]} == {"2021-06-01"}
    assert [tile["scenes"] for tile in about["tiles"]] == [[[k, 1.0]] for k in range(4)]
    assert not (page.parent.parent / ".partial-viewer").exists()
    assert "index.html" in lines[-1]
    assert (
        "license" in (page.parent / "leaflet" / "LICENSE").read_text().lower()
        or "Redistribution" in (page.parent / "leaflet" / "LICENSE").read_text()
    )


def test_a_large_product_gets_fewer_levels():
    lines: list[str] = []
    assert last_level([[117.0, 30.7, 117.02, 30.72]], lines.append, most=8) < 17
    assert "--max-zoom=17" in lines[0]


def test_errors_are_one_sentence(product, trained, tmp_path, capsys):
    folder, rows = product
    assert main([f"--product={tmp_path}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    write_records(folder, rows, cards.model_item(trained, {"c": cards.checkpoint_asset(trained, "x")}), say=print)
    (folder / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"bad\.csv lacks the columns .'east'"):
        build(folder, table=folder / "bad.csv")
    for box in ("x", "inf"):
        (folder / "bad.csv").write_text(f"name,west,south,east,north\na,1,2,3,{box}\n")
        with pytest.raises(InputError, match="is not a table"):
            build(folder, table=folder / "bad.csv")
    with pytest.raises(InputError, match="max-zoom=30 must be a whole number of at most 20"):
        build(folder, deepest=30)
    (folder / "input.tif").write_text("")
    with pytest.raises(InputError, match=r"input\.tif"):
        build(folder, inputs=[folder / "input.tif"])
    assert not (folder / "viewer").exists()
    assert not (folder / ".partial-viewer").exists()


def picture(path, names, dtype="uint16"):
    """A raster whose red is 3000, green 2000 and blue 1000, in bands of some names."""
    values = {"red": 3000, "green": 2000, "blue": 1000}
    lattice = make_lattice("EPSG:32650", 500000.0, 3400000.0, 10, 8, 8)
    stored = np.stack([np.full((8, 8), values.get(name, 7), dtype) for name in names], -1)
    described = tuple({"red": "B04", "green": "B03", "blue": "B02", "none": ""}.get(name, name) for name in names)
    write_raster(path, stored, Layout(lattice, dtype, described, 0))
    return path


@pytest.mark.parametrize("names", [("blue", "green", "red"), ("nir", "red", "swir", "green", "blue")])
def test_colours_are_found_by_name(product, trained, tmp_path, names):
    """Blue, green, red, as Sentinel-2's bands are numbered, were shown as red, green, blue."""
    folder, rows = product
    write_records(folder, rows, cards.model_item(trained, {"c": cards.checkpoint_asset(trained, "x")}), say=print)
    path = picture(tmp_path / "input.tif", names)
    lines = []
    layers = layers_of(folder, [32650, 32651], Label.of_record({}), [path], None, lines.append)
    assert layers[0].sources == [(path, tuple(names.index(c) + 1 for c in ("red", "green", "blue")))]
    assert not lines
    given = layers_of(folder, [32650, 32651], Label.of_record({}), [path], (1, 2, 3), lines.append)
    assert given[0].sources == [(path, (1, 2, 3))]


def test_bands_without_names_are_said(product, trained, tmp_path):
    folder, rows = product
    write_records(folder, rows, cards.model_item(trained, {"c": cards.checkpoint_asset(trained, "x")}), say=print)
    lines = []
    path = picture(tmp_path / "input.tif", ("none",) * 4)
    layers = layers_of(folder, [32650], Label.of_record({}), [path], None, lines.append)
    assert layers[0].sources == [(path, (1, 2, 3))]
    assert "has no band names" in lines[0]
    for names, message in ((("none", "none"), "three are needed"), (("VV", "VH", "x"), "no red band among")):
        with pytest.raises(InputError, match=message):
            layers_of(folder, [32650], Label.of_record({}), [picture(path, names)], None, print)


def test_a_product_without_its_mosaics_is_named(product, trained):
    folder, rows = product
    write_records(folder, rows, cards.model_item(trained, {"c": cards.checkpoint_asset(trained, "x")}), say=print)
    shutil.rmtree(folder / "mosaics")
    with pytest.raises(InputError, match=r"impervious_32650\.vrt is missing"):
        build(folder)
    assert not (folder / "viewer").exists()


def test_the_page_speaks_of_the_label(viewed):
    """Its words come from the product; none stands in the page itself."""
    page, _ = viewed
    about = json.loads((page.parent / "product.js").read_text().removeprefix("window.PRODUCT = ").rstrip(";\n"))
    assert (about["label"], about["classes"]) == ("impervious", ["pervious", "impervious"])
    assert "mpervious" not in page.read_text()
    for script in ("app.js", "layers.js", "numbers.js", "shapes.js"):
        assert "mpervious" not in (page.parent / script).read_text()


def built(folder, content="new"):
    """A page without pictures, as `build` makes it."""
    with page_folder(folder / "viewer", []) as building:
        (building / CONTENT).write_text(content)


@pytest.mark.quick
def test_a_page_replaces_only_a_page(tmp_path):
    for content in ("first", "second"):
        built(tmp_path, content)
        assert (tmp_path / "viewer" / CONTENT).read_text() == content
        (tmp_path / "viewer" / "layers" / "input" / "17" / "1").mkdir(parents=True)
        (tmp_path / "viewer" / "layers" / "input" / "17" / "1" / "2.png").write_text("")
    (tmp_path / "viewer" / MARKER).unlink()
    built(tmp_path, "of before folders were marked")
    assert not (tmp_path / "viewer" / "layers").exists()
    for name in ("notes.txt", "layers/mine.png", ".htaccess"):
        path = tmp_path / "viewer" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        with pytest.raises(InputError, match=rf"{name} was not written by this program .*: move it"):
            built(tmp_path)
        assert path.read_text() == "mine"
        path.unlink()
    built(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["viewer"]


@pytest.mark.quick
def test_a_folder_of_a_pages_name_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "viewer").mkdir()
    (tmp_path / "viewer" / "index.html").write_text("mine")
    with pytest.raises(InputError, match=r"viewer contains index\.html but no MADE_BY"):
        built(tmp_path)
    assert [path.name for path in (tmp_path / "viewer").iterdir()] == ["index.html"]


@pytest.mark.quick
def test_a_page_that_fails_leaves_the_former_one(tmp_path):
    built(tmp_path, "first")
    with pytest.raises(KeyboardInterrupt), page_folder(tmp_path / "viewer", []):
        raise KeyboardInterrupt
    assert (tmp_path / "viewer" / CONTENT).read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["viewer"]


def test_the_page_opens_where_something_is_seen():
    """On everything, or on the largest tile where tiles far apart would be specks."""
    near = [[118.0, 31.0, 118.1, 31.1], [118.1, 31.0, 118.2, 31.1]]
    assert extent(near) == {"bounds": [118.0, 31.0, 118.2, 31.1], "view": [118.0, 31.0, 118.2, 31.1]}
    apart = [[98.0, 26.0, 98.01, 26.01], [121.0, 31.0, 121.02, 31.02]]
    assert extent(apart) == {"bounds": [98.0, 26.0, 121.02, 31.02], "view": apart[1]}
    across = [[179.0, -17.0, 179.001, -16.999], [-179.0, -17.0, -178.99, -16.99], [179.999, -15.0, -179.999, -14.999]]
    found = extent(across)
    assert found["bounds"] == pytest.approx([179.0, -17.0, 181.01, -14.999])
    assert found["view"] == pytest.approx([181.0, -17.0, 181.01, -16.99])
