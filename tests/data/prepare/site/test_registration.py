"""Shifts between image, label and input are measured, moved away on request, and kept in the record."""

import dataclasses
import shutil

import numpy as np
import pytest
import rasterio
import toy

from jointseg_jax.data import site_record
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.report.findings import findings, look_at
from jointseg_jax.data.prepare.site.registration import find_shift
from jointseg_jax.data.sensor import Sensor
from jointseg_jax.rasters.blocks import block_mean


def scene(root, number, side=1900):
    """Part of a real scene: image in 0..1 [h, w, 3] and where its land cover is built, [h, w]."""
    folder = root / "dubai" / f"scene{number}"
    with rasterio.open(folder / "image.vrt") as image, rasterio.open(folder / "landcover.tif") as cover:
        part = rasterio.windows.Window(0, 0, min(side, image.width) // 10 * 10, min(side, image.height) // 10 * 10)
        return np.moveaxis(image.read(window=part), 0, -1) / 255.0, np.isin(cover.read(1, window=part), (1, 3))


@pytest.mark.parametrize(("number", "down", "right"), [(1, 3.3, -7.1), (2, -12.4, 0.6), (3, 0.2, 14.9)])
def test_known_shifts_of_real_pixels_are_recovered(real_data, number, down, right):
    """Within a tenth of a Sentinel-2 pixel, under its simulated blur and noise."""
    image, _ = scene(real_data, number)
    sensor = dataclasses.replace(Sensor.display(("R", "G", "B")), shift=(down, right))
    seen, valid = sensor.observe(image.astype(np.float32), np.ones(image.shape[:2], bool), rng=np.random.default_rng(0))
    found = find_shift(seen.mean(-1), block_mean(image.mean(-1), 10), valid)
    # A sensor that samples farther down sees the ground farther up.
    assert abs(found.down * 10 + down) < 1
    assert abs(found.right * 10 + right) < 1
    assert found.quality > 2 * found.chance


def test_a_label_is_found_on_a_real_image_and_other_ground_is_not(real_data):
    image, built = scene(real_data, 3, 1200)
    brightness, everywhere = block_mean(image.mean(-1), 2), np.ones((600, 600), bool)
    at_rest, there = (
        find_shift(brightness, block_mean(b.astype(np.float32), 2), everywhere, edges_only=True)
        for b in (built, np.roll(built, (6, -4), (0, 1)))
    )
    assert at_rest.down - there.down == pytest.approx(3, abs=0.1)
    assert at_rest.right - there.right == pytest.approx(-2, abs=0.1)
    assert there.quality > 3 * there.chance
    other = scene(real_data, 1, 1200)[1]
    strange = find_shift(brightness, block_mean(other.astype(np.float32), 2), everywhere, edges_only=True)
    assert strange.quality < strange.chance


def test_ground_without_structure_has_no_shift():
    flat, rough = np.ones((40, 40)), np.random.default_rng(0).standard_normal((40, 40))
    assert find_shift(flat, rough, np.ones((40, 40), bool)) is None
    assert find_shift(rough, rough, np.zeros((40, 40), bool)) is None
    valid = np.ones((40, 40), bool)
    valid[:, :10] = False
    assert find_shift(rough, np.where(valid, np.roll(rough, 2, 0), 9), valid).down == pytest.approx(-2, abs=0.1)


def test_preparation_measures_and_moves(one):
    """The image lies 6 m down and 4 m left of the input, the label is right: it follows the image, then goes back."""
    folder, config = one
    before = prepare(config, say=toy.quiet)
    with rasterio.open(before.root / before.sites["a"].label) as raster:
        label = raster.read(1)
    assert before.sites["a"].registration["image"].residual < 1
    assert before.sites["a"].registration["label"].residual < 1
    toy.rewrite(folder / "image.tif", values=lambda s: np.roll(s, (6, -4), (1, 2)))
    lines: list[str] = []
    site = prepare(config, say=lines.append).sites["a"]
    assert "; image 7." in lines[0] or "; image 6." in lines[0]
    assert site.registration["image"].moved == site.registration["label"].moved == (0, 0)
    assert site.registration["image"].residual == pytest.approx(7.2, abs=1)
    assert site.registration["label"].residual == pytest.approx(7.2, abs=1)
    config.coregister = True
    data = prepare(config, say=toy.quiet)
    site = data.sites["a"]
    found = site.registration["image"]
    assert np.abs(np.add(found.moved, (6, -4))).max() <= 1
    assert found.residual < 1
    assert site.registration["label"].residual < 1
    with rasterio.open(data.root / site.label) as raster:
        apart = raster.read(1)[30:-30, 30:-30] != label[30:-30, 30:-30]
    assert apart.mean() < 0.15  # a metre at most along the edges
    assert site_record.read(data.root / site.folder).site.registration == site.registration


def stored(data, name):
    with rasterio.open(data.root / "sites" / "a" / f"{name}.tif") as raster:
        return raster.read()[:, 4:-4, 4:-4].astype(float)


def test_later_dates_and_other_bands_are_measured_and_moved_onto_the_first_date(one):
    """The second date and the 20 m bands lie 10 and 20 m off; their cloud lies where they do, and moves along."""
    folder, config = one
    toy.write_site(folder, 0, 60, 66)
    config.inputs = ("s2", "s2_20m")
    shutil.copy(folder / "s2.tif", folder / "later.tif")
    shutil.copy(folder / "scl.tif", folder / "later_scl.tif")
    toy.rewrite(folder / "later.tif", values=lambda s: np.roll(s, (1, -1), (1, 2)))
    toy.rewrite(folder / "s2_20m.tif", values=lambda s: np.roll(s, 1, 1))
    config.source.layers.s2, config.source.cloud = ("s2.tif", "later.tif"), ("scl.tif", "later_scl.tif")
    config.source.layers.s2_20m = ("s2_20m.tif",)
    data = prepare(config, say=toy.quiet)
    before, site = stored(data, "s2_0"), data.sites["a"]
    assert site.registration["s2_1"].reference == site.registration["s2_20m"].reference == "s2"
    assert (site.registration["s2_1"].down, site.registration["s2_1"].right) == pytest.approx((-10, 10), abs=1)
    assert site.registration["s2_20m"].residual == pytest.approx(20, abs=3)
    problems = findings(data, {"a": look_at(data, site)})["problems"]
    assert sum("of a lies" in problem for problem in problems) == 2
    config.coregister = True
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    site = data.sites["a"]
    assert site.registration["s2_1"].moved == pytest.approx((-10, 10), abs=1)
    assert max(site.registration[name].residual for name in ("s2_1", "s2_20m")) < 3
    assert any(note.startswith(("s2_1: lies 10.", "s2_1: lies 9.")) for note in site.notes)
    assert "; image 0.0, label 0.0, " in lines[0]
    np.testing.assert_array_equal(stored(data, "s2_0"), before)
    apart = np.abs(stored(data, "s2_1") - before) * (before > 0) * (stored(data, "s2_1") > 0)
    assert np.median(apart) < 40  # of numbers of some thousand: interpolated by a metre at most
    assert findings(data, {"a": look_at(data, site)})["problems"] == []


def test_radar_off_its_place_is_a_warning_and_is_not_moved(one):
    folder, config = one
    config.inputs, config.coregister = ("s2", "s1"), True
    toy.rewrite(folder / "s1.tif", values=lambda s: np.roll(s, 2, 1))
    data = prepare(config, say=toy.quiet)
    site = data.sites["a"]
    assert site.registration["s1"].down == pytest.approx(-20, abs=2)
    assert site.registration["s1"].moved == (0, 0)
    found = findings(data, {"a": look_at(data, site)})
    assert found["problems"] == []
    assert ["s1 of a lies" in text for text in found["warnings"]] == [True]


def test_radar_of_real_ground_is_found_again_where_it_is_put(real_data):
    """Its own offset from the optical edges aside (layover), a shift of 3 pixels is measured within half a pixel."""
    folder = real_data / "sentinel2" / "terramesh"
    with rasterio.open(folder / "S1RTC" / "433D_629L_3_1.tif") as radar:
        decibels = radar.read().mean(0)
    with rasterio.open(folder / "S2L2A" / "433D_629L_3_1.tif") as optical:
        brightness = optical.read((2, 3, 4)).mean(0)
    at_rest, there = (
        find_shift(brightness, np.roll(decibels, by, 0), np.isfinite(decibels), edges_only=True) for by in (0, 3)
    )
    assert at_rest.down - there.down == pytest.approx(3, abs=0.5)
