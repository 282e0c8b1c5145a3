"""The report finds what would spoil a dataset, in figures and on a page that needs nothing else."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio
import toy
from browser import browser

from jointseg_jax.data.dataset import load
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.report.content import signatures
from jointseg_jax.data.prepare.report.findings import findings, look_at
from jointseg_jax.data.prepare.report.page import write_report


def found(data):
    return findings(data, {name: look_at(data, site) for name, site in data.sites.items()})


def test_the_same_pixels_are_known_wherever_they_lie():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (120, 130, 3), dtype=np.uint8)
    everywhere = np.ones((120, 130), bool)
    own = signatures(image, everywhere)
    moved = np.full((150, 170, 3), 7, np.uint8)
    moved[13:133, 21:151] = image
    assert np.isin(own, signatures(moved, np.ones((150, 170), bool))).all()
    assert 150 < len(own) < 320
    other = signatures(rng.integers(0, 255, (120, 130, 3), dtype=np.uint8), everywhere)
    assert not len(np.intersect1d(own, other))
    assert not len(signatures(np.zeros((50, 50, 3), np.uint8), np.ones((50, 50), bool)))
    assert not len(signatures(image, ~everywhere))


def test_a_sound_dataset(data, tmp_path):
    copy = shutil.copytree(data.root, tmp_path / "dataset")
    lines: list[str] = []
    assert write_report(load(copy), lines.append) == []
    assert "0 problems" in lines[0]
    figures = json.loads((copy / "report.json").read_text())
    assert figures["leakage"] == figures["duplicates"] == []
    with rasterio.open(data.root / data.sites["d"].label) as raster:
        label = raster.read(1)
    test = next(row for row in figures["balance"] if row["split"] == "test")
    assert test["share"] == pytest.approx((label == 1).sum() / (label != 255).sum())
    assert test["unknown_km2"] == pytest.approx((label == 255).sum() / 1e6)
    assert figures["sites"][0]["without_input"] == pytest.approx(30 / (36 * 42), abs=1e-4)  # a corner and a cloud
    assert figures["attributions"] == ["Contains modified Copernicus Sentinel data (2021)"]
    page = (copy / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("data:image/png;base64,") >= 2 + 3


def test_copied_content_is_a_leak_between_splits_and_a_duplicate_within(own):
    """Under other coordinates: site `d` (test) shows the image of `a`, and `b` too."""
    root, config = own
    for name in ("d", "b"):
        for file in ("image", "s2", "s2_20m", "label"):
            with rasterio.open(root / name / f"{file}.tif") as raster:
                at = raster.transform
            shutil.copy(root / "a" / f"{file}.tif", root / name / f"{file}.tif")
            toy.rewrite(root / name / f"{file}.tif", transform=at)
    report = found(prepare(config, say=toy.quiet))
    assert any("is the same at a (train) and d (test)" in line for line in report["leakage"])
    assert any("is the same at a (train) and b (train)" in line for line in report["duplicates"])
    assert len(report["problems"]) == len(report["leakage"]) == 2


def test_ground_in_two_splits_residuals_and_outliers_are_named(data):
    """Records that say so: preparation itself refuses such ground."""
    from jointseg_jax.data.dataset import Registration

    looked = {name: look_at(data, site) for name, site in data.sites.items()}
    sites = dict(data.sites)
    sites["d"] = sites["d"].replace(left=sites["a"].left + 100)
    off = Registration("s2", 4.0, 1.0, 0.9, (0, 0), 4.1)
    sites["b"] = sites["b"].replace(registration={"image": off})
    spoilt = type(data)(
        data.root, data.contract, sites, data.index, None, {"split": {"by": "block", "shares": {"test": 1}}}
    )
    report = findings(spoilt, looked)
    assert any("0.12 km2 of ground at a and d" in line for line in report["leakage"])
    assert any("the image of b lies 4.1 m off s2, more than 3 m" in line for line in report["problems"])
    rows = pd.DataFrame(data.index[data.index["split"] != "test"])
    bare = type(data)(
        data.root, data.contract, data.sites, rows, None, {"split": {"by": "block", "shares": {"test": 1}}}
    )
    assert findings(bare, looked)["problems"] == ["empty split: test has a share but no patch"]
    import dataclasses

    more = {f"{name}{i}": looked[name] for name in "abcd" for i in range(2)}
    more["odd"] = dataclasses.replace(looked["a"], medians=looked["a"].medians * 20)
    every = {name: data.sites[name[0] if name != "odd" else "a"].replace(name=name) for name in more}
    named = type(data)(data.root, data.contract, every, data.index, None, {})
    from jointseg_jax.data.prepare.report.findings import _outliers

    assert {line.partition(":")[0] for line in _outliers(named, more)} == {"odd"}


@pytest.mark.slow
def test_in_a_browser(data, tmp_path):
    """Nothing is asked of anybody, every picture loads, and a phone shows the page without scrolling sideways."""
    copy = shutil.copytree(data.root, tmp_path / "dataset")
    write_report(load(copy), toy.quiet)
    with browser() as chromium:
        for width in (1200, 375):
            page = chromium.new_page(viewport={"width": width, "height": 800}, is_mobile=width < 500)
            asked, troubles = [], []
            page.on("request", lambda r, asked=asked: asked.append(r.url))
            page.on("pageerror", lambda e, troubles=troubles: troubles.append(str(e)))
            page.on("console", lambda m, troubles=troubles: troubles.append(m.text))
            address = (copy / "report.html").as_uri()
            page.goto(address)
            assert page.title() == f"Dataset {json.loads((copy / 'report.json').read_text())['name']}"
            assert page.locator("img").count() >= 5
            assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 15
            # A table that is wider than the page scrolls within its frame.
            tables = page.evaluate("[...document.querySelectorAll('table')].map(t => t.parentElement.clientWidth)")
            assert all(0 < across <= width for across in tables)
            widths = page.evaluate("[...document.querySelectorAll('.drawn img')].map(i => i.clientWidth)")
            assert len(widths) >= 2
            assert min(widths) >= 640  # its words stay readable; the figure scrolls
            assert all(url == address or url.startswith("data:") for url in asked), asked
            assert not troubles
            page.close()
