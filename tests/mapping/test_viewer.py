"""The page of a product, in a real browser that may ask nobody else for anything."""

import contextlib
import functools
import http.server
import json
import shutil
import threading

import geopandas
import numpy as np
import pytest
import shapely
from browser import browser
from PIL import Image

from jointseg_jax.commands.view import main
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.label import Label
from jointseg_jax.mapping.product.tile_record import parse_rows
from jointseg_jax.mapping.records import model_card as cards
from jointseg_jax.mapping.records.stac_records import write_records
from jointseg_jax.mapping.tools.zonal import zonal
from jointseg_jax.mapping.tools.zonal_table import write_table
from jointseg_jax.mapping.viewer.build import build, last_level
from jointseg_jax.mapping.viewer.page_folder import CONTENT, page_folder
from jointseg_jax.mapping.viewer.page_layers import layers_of
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.storage.folders import MARKER

NAMES = ["<img src=x onerror=window.hacked=1>", "武汉市", "nowhere"]


@pytest.fixture(scope="module")
def viewed(made_product, trained, raw, tmp_path_factory):
    """A product with its page, its inputs, and a table of three polygons."""
    made, rows = made_product
    folder = tmp_path_factory.mktemp("viewed") / "product"
    shutil.copytree(made, folder)
    rows = {k: v for k, v in rows.items() if k.startswith("50N")}
    write_records(folder, rows, cards.model_item(trained, {"c": cards.checkpoint_asset(trained, "x")}), say=print)
    left = (500000, 501700, 0)
    shapes = [shapely.box(x, 3399600, x + 550, 3400100) if x else shapely.box(0, 0, 1, 1) for x in left]
    polygons = geopandas.GeoDataFrame({"name": NAMES}, geometry=shapes, crs=32650)
    write_table(folder / "zonal.csv", zonal(folder, parse_rows(rows), polygons), polygons)
    inputs = [raw / name / "s2.tif" for name in "abcd"]
    lines: list[str] = []
    page = build(folder, inputs=inputs, table=folder / "zonal.csv", say=lines.append)
    return page, lines


def test_all_files_are_there(viewed):
    page, lines = viewed
    about = json.loads((page.parent / "product.js").read_text().removeprefix("window.PRODUCT = ").rstrip(";\n"))
    assert [layer["id"] for layer in about["layers"]] == ["input", "impervious", "probability", "image"]
    for layer in about["layers"]:
        pictures = list((page.parent / "layers" / layer["id"] / "17").rglob("*.png"))
        assert len(pictures) >= 4
        assert any(np.asarray(Image.open(p))[..., 3].any() for p in pictures)
    assert about["table"]["rows"][1][0] == NAMES[1]
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
    script = (page.parent / "app.js").read_text()
    assert script.count("mpervious") == script.count('"impervious"') == 2  # the layer's identifier


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


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def shot(page, path):
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    page.screenshot(path=path)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["disk", "server"])
def test_in_a_browser(viewed, tmp_path, way):
    index, _ = viewed
    with browser() as chromium, contextlib.ExitStack() as stack:
        address = index.as_uri() if way == "disk" else stack.enter_context(served(index.parent))
        page = chromium.new_page(viewport={"width": 1200, "height": 700})
        asked, troubles = [], []
        page.on("request", lambda r: asked.append(r.url))
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.goto(address)
        # Zoom onto the first polygon by its row.
        page.click("tbody tr:nth-child(1)")
        whole = shot(page, tmp_path / f"{way}-middle.png")
        assert page.title() == "Impervious surface at 1 m"
        assert page.locator("tbody tr").count() == 3
        # Names from files are text, not markup.
        assert page.locator("tbody tr td").first.text_content() == NAMES[0]
        assert page.evaluate("window.hacked") is None
        assert page.locator("tbody tr:nth-child(3) td:nth-child(5)").text_content() == "–"
        # The two sides differ, and the divider goes where the slider goes.
        page.locator("#slider").fill("1000")
        left = shot(page, tmp_path / f"{way}-left.png")
        page.locator("#slider").fill("0")
        right = shot(page, tmp_path / f"{way}-right.png")
        area = (slice(60, 600), slice(100, 690))
        assert np.abs(left[area] - right[area]).mean() > 15
        half = left[60:600].copy()
        half[:, 365:] = right[60:600, 365:]
        columns = np.abs(half - whole[60:600])[:, list(range(100, 350)) + list(range(380, 690))]
        assert columns.mean() < 2  # left of the divider the input, right of it the map
        red = (np.abs(right[area] - [214, 39, 40]).max(-1) < 12).mean()
        assert red > 0.02  # the impervious colour of the legend is on the map
        # Opacity lets the input through.
        page.locator("#opacity").fill("0")
        clear = shot(page, tmp_path / f"{way}-clear.png")
        assert np.abs(clear[area] - left[area]).mean() < 2
        page.locator("#opacity").fill("50")
        mixed = shot(page, tmp_path / f"{way}-mixed.png")
        assert 3 < np.abs(mixed[area] - left[area]).mean() < np.abs(right[area] - left[area]).mean()
        # Another layer on the right; sorting; the clip follows the map when it is moved.
        page.locator("#opacity").fill("100")
        page.select_option("#right", "image")
        page.locator("#slider").fill("500")
        page.click("th:nth-child(1)")
        page.evaluate("window.viewer.map.panBy([120, -60], {animate: false})")
        moved = shot(page, tmp_path / f"{way}-image.png")
        assert np.abs(moved[area] - whole[area]).mean() > 3
        assert page.evaluate("document.getElementById('divider').style.left") == f"{(1200 - 470) / 2:g}px"
        assert all(url.startswith((address.rsplit("/", 1)[0], "data:")) for url in asked), asked
        assert not troubles
        # Every column is to be seen.
        assert page.evaluate("document.getElementById('table-box').scrollWidth") <= 470
        assert page.evaluate(
            "document.querySelector('aside').scrollWidth <= document.querySelector('aside').clientWidth"
        )
        page.set_viewport_size({"width": 420, "height": 800})
        shot(page, tmp_path / f"{way}-narrow.png")
