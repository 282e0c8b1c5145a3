"""The page for interpreters in a real browser: sixty points by keyboard, over two visits, to an estimate."""

import contextlib
import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from jointseg_jax.commands import estimate, sample
from jointseg_jax.evaluation.accuracy.chips import Source
from jointseg_jax.evaluation.accuracy.design import Row
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster


@contextlib.contextmanager
def browser(folder):
    """A headless Chromium that keeps its storage in a folder; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    path = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    with api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch_persistent_context(
                str(folder), executable_path=path, args=["--no-sandbox"], viewport={"width": 1200, "height": 900}
            )
        except api.Error as error:
            pytest.skip(f"no Chromium to be had: {str(error).splitlines()[0]}")
        yield started
        started.close()


def begin(context, page_file, who, troubles):
    page = context.new_page()
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else troubles.append(r.url))
    page.goto(page_file.as_uri())
    page.fill("#who", who)
    page.keyboard.press("Enter")
    return page


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def shown_id(page):
    return page.locator("#place").text_content().split("(id ")[1].split(")")[0]


@pytest.fixture(scope="module")
def design(known_product, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "design"
    definitions = folder.parent / "definitions.csv"
    definitions.write_text("class,definition\nimpervious,<b>Roofs</b> and paved ground\n")
    given = [f"--product={known_product}", f"--output={folder}", "--points=60", "--minimum=20"]
    assert sample.main([*given, f"--definitions={definitions}"]) == 0
    return folder


@pytest.mark.quick
def test_the_page_is_blind(design):
    """Neither map class, nor stratum, tile, weight or unit of a point is in it."""
    text = (design / "label.html").read_text()
    content = json.loads(text.split("const SAMPLE = ")[1].split(";\nconst $")[0])
    assert {tuple(point) for point in content["points"]} == {("id", "longitude", "latitude", "pictures")}
    assert "50N_" not in text
    rows = table(design / "sample.csv")
    assert [row["id"] for row in rows] == [point["id"] for point in content["points"]]
    known = [row["map_class"] == "impervious" for row in rows]
    assert 5 < sum(known[:30]) < 15  # the order of the ids tells nothing either
    assert all(point["pictures"][0] for point in content["points"])


def test_imagery_of_a_small_part_is_shown(tmp_path):
    """Also if none of the first points lies on it."""
    lattice = make_lattice("EPSG:32650", 500_000, 3_400_000, 1, 100, 100)
    values = np.random.default_rng(0).integers(1, 255, (100, 100, 3), np.uint8)
    write_raster(tmp_path / "part.tif", values, Layout(lattice, "uint8", ("B04", "B03", "B02"), 0, rgb=True))
    source = Source("part", [(tmp_path / "part.tif", (1, 2, 3))], 40)
    places = [*((400_000, 3_400_000) for _ in range(100)), (500_050, 3_399_950)]
    rows = [Row(str(i), str(i), "s", 32650, x, y, 0, 0, "impervious", ()) for i, (x, y) in enumerate(places)]
    source.prepare(rows)
    assert [source.picture(row) is not None for row in rows] == [False] * 100 + [True]
    source.close()


@pytest.mark.slow
def test_sixty_points_by_keyboard(design, tmp_path):
    rows = {row["id"]: row for row in table(design / "sample.csv")}
    wrong = set(sorted(rows)[:6])  # of these the interpreter says the other class than the map
    names, troubles, order = ("pervious", "impervious"), [], []

    def label(page, count):
        for _ in range(count):
            own = shown_id(page)
            order.append(own)
            page.keyboard.press(str(1 + (names.index(rows[own]["map_class"]) ^ (own in wrong))))
            if shown_id(page) == own:  # the confidence was not given before
                page.keyboard.press("d")

    with browser(tmp_path / "profile") as context:
        page = begin(context, design / "label.html", "Ada, B.", troubles)
        assert page.title() == "Known ground"
        assert page.locator("dd").text_content() == "<b>Roofs</b> and paved ground"
        page.locator(".frame img").first.evaluate("image => image.decode()")
        page.screenshot(path=tmp_path / "page.png")
        shot = np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).astype(int)
        assert (np.abs(shot - [255, 230, 0]).max(-1) < 40).sum() > 50  # the yellow box
        page.keyboard.press("n")
        page.keyboard.type("1 roof; half")  # digits in a note are no answers
        page.keyboard.press("Enter")
        page.keyboard.press("s")
        label(page, 25)
        page.keyboard.press("ArrowLeft")
        assert shown_id(page) == order[-1]
        assert page.locator('#classes [aria-pressed="true"]').count() == 1
        page.keyboard.press("Delete")
        order.pop()
        label(page, 1)
        page.close()
    with browser(tmp_path / "profile") as context:  # another day
        page = begin(context, design / "label.html", "Ada, B.", troubles)
        assert page.locator("#state").text_content() == "point 26 of 60; 25 labelled"
        label(page, 35)
        assert page.locator("#state").text_content() == "point 60 of 60; 60 labelled"
        with page.expect_download() as download:
            page.click("#export")
        download.value.save_as(tmp_path / "answers.csv")
        other = begin(context, design / "label.html", "Second", troubles)
        assert "; 0 labelled" in other.locator("#state").text_content()
        theirs = []
        for _ in range(5):
            theirs.append(shown_id(other))
            other.keyboard.press("ArrowRight")
        assert theirs != order[:5]  # an order of its own
    assert not troubles
    assert sorted(order) == sorted(rows)
    assert order != sorted(order)
    answers = table(tmp_path / "answers.csv")
    assert len(answers) == 60
    first = next(a for a in answers if a["id"] == order[0])
    assert (first["note"], first["confidence"], first["interpreter"]) == ("1 roof; half", "medium", "Ada, B.")
    out = [f"--json={tmp_path / 'o.json'}", f"--labels={tmp_path / 'labels.gpkg'}"]
    assert estimate.main([f"--design={design}", f"--answers={tmp_path / 'answers.csv'}", *out]) == 0
    found = json.loads((tmp_path / "o.json").read_text())
    weights = {i: float(row["weight"]) for i, row in rows.items()}
    right = sum(w for i, w in weights.items() if i not in wrong) / sum(weights.values())
    assert found["overall_accuracy"]["value"] == pytest.approx(right)
