"""Shifts between image, label and input are measured, moved away on request, and kept in the record."""

import dataclasses

import numpy as np
import pytest
import rasterio
import toy

from jointseg_jax.data import site_record
from jointseg_jax.data.prepare.preparation import prepare
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
    assert "image: lies 6." in lines[0] or "image: lies 5." in lines[0]
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
