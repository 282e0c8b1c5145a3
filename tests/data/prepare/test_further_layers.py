"""Layers that are made from others, and embedding layers: the same numbers in preparation and in prediction."""

import numpy as np
import pytest
import rasterio
import toy

from jointseg_jax.commands import derive
from jointseg_jax.configs import common
from jointseg_jax.data.dataset import load
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.derived import TERRAIN, terrain
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, write_raster

PLAIN = Modality("s1", ("VV", "VH"), 10, "float32", "dB")
ALL = Window(0, 0, 36, 42)


def layer(scene, name):
    read = scene.read(ALL, Handles())[name]
    return read["values"][0], read["valid"][0]


def test_slope_and_aspect_are_those_of_a_plane():
    """30 % up to the east and 10 % up to the north: it descends to the south-west."""
    rows, cols = np.mgrid[:9, :11]
    z = 100 + 0.3 * 10 * cols - 0.1 * 10 * rows
    valid = np.ones(z.shape, bool)
    valid[4, 5] = False
    found, known = terrain(z, valid, 10.0, TERRAIN)
    length = np.sqrt(1 + 0.3**2 + 0.1**2)
    np.testing.assert_allclose(found[known], [[np.hypot(0.3, 0.1), -0.1 / length, -0.3 / length]] * 54, rtol=1e-5)
    hole = ~known
    assert hole.sum() == 9
    assert hole[2:5, 3:6].all()


def test_linear_power_is_recognised_and_converted_on_request(one):
    folder, config = one
    config.inputs = ("s2", "s1")
    with rasterio.open(folder / "s1.tif") as raster:
        decibels = np.moveaxis(raster.read(), 0, -1)
    toy.rewrite(folder / "s1.tif", values=lambda s: 10 ** (s / 10))
    with pytest.raises(
        InputError, match=r"probably linear power.*derive power .*dataset\.modalities\.s1\.stored='power'"
    ):
        prepare(config, say=toy.quiet)
    config.modalities.s1.stored = "power"
    data = prepare(config, say=toy.quiet)
    values, valid = layer(data.scene("a"), "s1")
    assert valid.all()
    np.testing.assert_allclose(values, decibels, atol=1e-3)
    assert any("VV, VH made from power" in note for note in data.sites["a"].notes)
    with pytest.raises(InputError, match=r"s1\.tif: .*probably linear power"):
        open_scene(folder, data.contract)
    (folder / "s1.tif").rename(folder / "linear.tif")
    assert derive.main(["power", str(folder / "linear.tif"), str(folder / "s1.tif")]) == 0
    np.testing.assert_allclose(layer(open_scene(folder, data.contract).scene, "s1")[0], values, atol=1e-4)


def test_speckle_is_filtered_alike_in_preparation_and_through_any_window_of_a_scene(one):
    folder, config = one
    config.inputs = ("s2", "s1")
    toy.rewrite(folder / "s1.tif", values=lambda s: np.where(np.arange(42) == 9, np.nan, s))  # a gap
    config.modalities.s1.update({"speckle": "lee", "speckle_window": 5})
    data = prepare(config, say=toy.quiet)
    assert str(load(data.root).contract.modalities[1].speckle) == "lee filter of 5 x 5 pixels, 4.4 looks"
    assert any("lee filter of 5 x 5 pixels" in note for note in data.sites["a"].notes)
    values, valid = layer(data.scene("a"), "s1")
    opened = open_scene(folder, data.contract)
    assert "lee filter of 5 x 5" in opened.decisions["radiometry_s1"]
    again, there = layer(opened.scene, "s1")
    np.testing.assert_array_equal(there, valid)
    np.testing.assert_array_equal(again, values)
    cut = opened.scene.read(Window(5, 7, 12, 20), Handles())["s1"]["values"][0]
    np.testing.assert_array_equal(cut, values[5:17, 7:27])
    plain = open_scene(folder, data.contract.replace(modalities=(data.contract.modalities[0], PLAIN)))
    assert np.std(layer(plain.scene, "s1")[0][valid]) > np.std(values[valid])
    for change, message in (({"speckle_window": 6}, "an odd number"), ({"units": "m"}, "for backscatter in dB")):
        config.modalities.s1.update({"speckle_window": 5} | change)
        with pytest.raises(InputError, match=message):
            prepare(config, say=toy.quiet)


def test_slope_and_aspect_of_a_site(one):
    """The toy's elevation rises by 1 m per 10 m to the east and to the south."""
    folder, config = one
    config.inputs = ("s2", "terrain")
    config.modalities.terrain = common.terrain()
    config.source.layers.terrain = ("dem.tif",)
    data = prepare(config, say=toy.quiet)
    values, valid = layer(data.scene("a"), "terrain")
    assert valid[1:-1, 1:-1].all()
    length = np.sqrt(1 + 2 * 0.1**2)
    expected = [np.hypot(0.1, 0.1), 0.1 / length, -0.1 / length]
    np.testing.assert_allclose(values[valid], np.broadcast_to(expected, (int(valid.sum()), 3)), rtol=1e-4)
    assert derive.main(["elevation", str(folder / "dem.tif"), str(folder / "terrain.tif")]) == 0
    _, known = layer(open_scene(folder, data.contract, mode="harmonise").scene, "terrain")
    assert (known == valid).all()
    config.modalities.terrain.bands = ("slope", "roughness")
    with pytest.raises(InputError, match="made from elevation, which gives slope, northness, eastness"):
        prepare(config, say=toy.quiet)


@pytest.mark.parametrize("scaled", ["by the file", "by the config", "as floats"])
def test_an_embedding_is_one_more_modality(one, scaled):
    """64 bands of int8 with -128 for absence, or what they stand for."""
    folder, config = one
    rng = np.random.default_rng(0)
    stored = rng.integers(-127, 128, (36, 42, 64)).astype(np.int8)
    stored[:3, :5] = -128
    names = tuple(f"A{i:02d}" for i in range(64))
    lattice = make_lattice(toy.CRS, toy.LEFT, toy.TOP, 10, 36, 42)
    config.inputs = ("s2", "embedding")
    config.modalities.embedding = common.embedding(64)
    config.source.layers.embedding = ("embedding.tif",)
    path = folder / "embedding.tif"
    if scaled == "as floats":
        floats = np.where(stored == -128, np.nan, stored / np.float32(127.5)).astype(np.float32)
        write_raster(path, floats, Layout(lattice, "float32", names, np.nan))
    else:
        scale = 1 / 127.5 if scaled == "by the file" else None
        write_raster(path, stored, Layout(lattice, "int8", names, -128, scale=scale))
    if scaled == "by the config":
        config.modalities.embedding.scale = 1 / 127.5
    data = prepare(config, say=toy.quiet)
    values, valid = layer(data.scene("a"), "embedding")
    absent = (stored == -128).all(-1)
    np.testing.assert_array_equal(valid, ~absent)
    np.testing.assert_allclose(values[valid], stored[valid] / 127.5, atol=1e-6)
    assert data.contract.modalities[1].bands == names
    if scaled == "by the config":
        with pytest.raises(InputError, match=r"embedding\.tif: band A00 .*check the scale"):
            open_scene(folder, data.contract)
    else:
        again, known = layer(open_scene(folder, data.contract).scene, "embedding")
        np.testing.assert_array_equal(known, valid)
        np.testing.assert_array_equal(again[valid], values[valid])
