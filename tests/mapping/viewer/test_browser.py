"""The page of a product in a real browser that may ask nobody else for anything."""

import contextlib
import functools
import http.server
import json
import re
import threading

import numpy as np
import pytest
from browser import browser
from pages import NAMES
from PIL import Image

from jointseg_jax.rasters.pictures.drawing import IMPERVIOUS_COLOUR, PERVIOUS_COLOUR, contrast

pytestmark = pytest.mark.slow
WIDE, PHONE = {"width": 1200, "height": 700}, {"width": 375, "height": 740}


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
    before = None
    for _ in range(40):  # until nothing moves
        page.wait_for_timeout(300)
        page.screenshot(path=path)
        now = np.asarray(Image.open(path).convert("RGB")).astype(int)
        if before is not None and np.array_equal(now, before):
            return now
        before = now
    raise AssertionError("the page does not come to rest")


@pytest.mark.parametrize("way", ["disk", "server"])
def test_in_a_browser(viewed, tmp_path, way):
    index, _ = viewed
    with browser() as chromium, contextlib.ExitStack() as stack:
        address = index.as_uri() if way == "disk" else stack.enter_context(served(index.parent))
        page = chromium.new_page(viewport=WIDE)
        asked, troubles = [], []
        page.on("request", lambda r: asked.append(r.url))
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.on("console", lambda m: troubles.append(m.text))  # a picture that is not there is an error, too
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
        divider = page.locator("#divider").bounding_box()
        assert abs(divider["x"] + divider["width"] / 2 - (1200 - 470) / 2) < 1
        assert (divider["y"], divider["height"]) == (0, 700)
        assert all(url.startswith((address.rsplit("/", 1)[0], "data:")) for url in asked), asked
        assert not troubles
        # Words stay whole, but for longer ones than are usual, and every column is to be seen.
        cell = page.locator("tbody td").first
        heights = []
        for text in ("up", "downstream", "w" * 40):
            cell.evaluate("(cell, text) => { cell.textContent = text; }", text)
            heights.append(cell.bounding_box()["height"])
        line, word, long = heights
        assert line == word < long
        assert page.evaluate("document.getElementById('table-box').scrollWidth") <= 470
        assert page.evaluate(
            "document.querySelector('aside').scrollWidth <= document.querySelector('aside').clientWidth"
        )


@pytest.fixture(scope="module")
def opened(viewed):
    """A page, and the product that it shows."""
    index, _ = viewed
    about = json.loads((index.parent / "product.js").read_text().removeprefix("window.PRODUCT = ").rstrip(";\n"))
    with browser() as chromium:
        page = chromium.new_page(viewport=WIDE)
        page.goto(index.as_uri())
        yield page, about


def test_the_number_under_the_cursor_is_the_rasters(opened, viewed):
    """Every layer is read where the cursor is, and written in its units."""
    page, about = opened
    tile = about["tiles"][1]["outline"]["coordinates"][0]
    lon, lat = (sum(p[k] for p in tile[:-1]) / (len(tile) - 1) for k in (0, 1))
    lon += 3e-5
    page.evaluate(f"window.viewer.map.setView([{lat}, {lon}], 17)")
    where = page.evaluate(f"window.viewer.map.latLngToContainerPoint([{lat}, {lon}])")
    page.mouse.move(where["x"] + 1, where["y"])
    page.mouse.move(where["x"], where["y"])
    page.wait_for_function("document.getElementById('values').innerText.includes('dissimilarity')")
    shown = dict(re.findall(r"^(.+)\n(.+)$", page.evaluate("document.getElementById('values').innerText"), re.M))
    import pyproj
    import rasterio

    folder = viewed[0].parent.parent / "mosaics"
    at = pyproj.Transformer.from_crs(4326, 32650, always_xy=True).transform(lon, lat)

    def near(layer, scale):
        # A pixel of the page is not one of the raster, and the cursor stands on whole pixels of the page.
        with rasterio.open(folder / f"{layer}_32650.vrt") as raster:
            row, col = raster.index(*at)
            return raster.read(window=((row - 2, row + 3), (col - 2, col + 3))) / scale

    value = float(shown["probability of impervious surface"])
    assert np.abs(near("probability", 200) - value).min() < 0.003
    value, low, high = map(float, re.findall(r"[\d.]+", shown["fraction of impervious surface and its interval"]))
    assert np.abs(near("fraction", 200)[0] - value).min() < 0.003
    assert low <= value <= high
    assert shown["impervious surface"] in ("impervious", "pervious")
    assert abs(float(shown["dissimilarity from the training ground"].split(":")[0]) - 1) <= 1
    page.mouse.move(400, 699)
    page.evaluate("window.viewer.map.panBy([5000, 0], {animate: false})")
    page.mouse.move(300, 300)
    page.wait_for_function("document.getElementById('values').innerText.includes('not mapped')")


def test_a_polygon_shows_its_numbers(opened, tmp_path):
    page, _ = opened
    page.click("tbody tr:nth-child(1)")
    box = page.locator("path.leaflet-interactive").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 60)
    page.wait_for_selector(".popup")
    shown = page.locator(".popup").inner_text()
    assert NAMES[0] in shown
    assert "coverage" in shown
    assert page.locator("tr.chosen").count() == 1
    assert page.evaluate("window.hacked") is None
    shot(page, tmp_path / "polygon.png")
    page.keyboard.press("Escape")
    # Beside the polygons the tile answers, with its scene and date.
    page.evaluate("window.viewer.map.closePopup()")
    assert "2021-06-01" in page.locator("#when").inner_text()


def hairlines(pixels):
    """The largest share of a row or column that differs from the lines beside it while those agree."""
    shares = []
    for way in (pixels, pixels.swapaxes(0, 1)):
        off = np.abs(way[:, 1:-1] - (way[:, :-2] + way[:, 2:]) / 2).mean(-1)
        alike = np.abs(way[:, :-2] - way[:, 2:]).mean(-1)
        shares.append(((off > 8) & (alike < 6)).mean(0).max())
    return max(shares)


@pytest.mark.parametrize("zoom", [15.5, 16.5, 17.5])
def test_no_hairlines_at_half_zooms(opened, tmp_path, zoom):
    page, about = opened
    page.evaluate("document.querySelector('.leaflet-overlay-pane').style.display = 'none'")  # outlines are lines
    for side in ("left", "right"):
        page.select_option(f"#{side}", "dissimilarity")  # smooth: its own lines are faint
    lon, lat = about["tiles"][1]["outline"]["coordinates"][0][0]
    page.evaluate(f"window.viewer.map.setView([{lat}, {lon}], {zoom})")
    page.locator("#slider").fill("0")
    page.evaluate("document.getElementById('map').style.background = '#fff'")  # the hatching is lines, too
    pixels = shot(page, tmp_path / f"half-{zoom}.png")[60:620, 60:700]
    as_leaflet = (
        "mix-blend-mode: plus-lighter !important; width: var(--side) !important; height: var(--side) !important"
    )
    page.add_style_tag(content=f"img.leaflet-tile {{ {as_leaflet} }}")
    broken = shot(page, tmp_path / f"broken-{zoom}.png")[60:620, 60:700]
    page.evaluate("document.head.lastElementChild.remove()")
    page.evaluate("document.querySelector('.leaflet-overlay-pane').style.display = ''")
    page.evaluate("document.getElementById('map').style.background = ''")
    assert hairlines(pixels) < 0.05 < hairlines(broken)  # lines are seen where there are some


def test_a_phone_shows_all_without_overlap(opened, tmp_path):
    page, _ = opened
    page.set_viewport_size(PHONE)
    page.select_option("#left", "fraction")  # the longest title
    shot(page, tmp_path / "phone.png")
    parts = (
        "#left-title",
        "#right-title",
        ".leaflet-control-zoom",
        ".leaflet-control-scale",
        ".leaflet-control-attribution",
    )
    boxes = {part: page.locator(part).bounding_box() for part in parts}
    thumb = page.locator("#slider").bounding_box()
    boxes["thumb"] = {"x": 0, "y": thumb["y"], "width": PHONE["width"], "height": thumb["height"]}
    names = list(boxes)
    for i, one in enumerate(names):
        assert 0 <= boxes[one]["x"] <= boxes[one]["x"] + boxes[one]["width"] <= PHONE["width"], one
        for other in names[i + 1 :]:
            a, b = boxes[one], boxes[other]
            apart = (
                a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
                or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]
            )  # fmt: skip
            assert apart, (one, other)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.querySelector('aside').scrollWidth <= document.querySelector('aside').clientWidth")
    page.set_viewport_size(WIDE)


def test_not_mapped_differs_from_every_class(opened):
    """WCAG asks for 3:1 between graphics: one of the two tones of the hatching has it."""
    page, _ = opened
    style = page.evaluate("getComputedStyle(document.getElementById('map')).backgroundImage")
    tones = {tuple(map(int, t)) for t in re.findall(r"rgb\((\d+), (\d+), (\d+)\)", style)}
    assert len(tones) == 2
    for colour in (IMPERVIOUS_COLOUR, PERVIOUS_COLOUR):
        assert max(contrast(tone, colour) for tone in tones) >= 3
