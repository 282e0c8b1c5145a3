"""Scenes that break the contract: adapted on request to the last file, and what adapted them stands in the tags."""

import dataclasses
import shutil

import drawn_networks
import numpy as np
import pytest
import rasterio
import stored_halo
import toy

from jointseg_jax.errors import InputError
from jointseg_jax.mapping import scene_map
from jointseg_jax.mapping.product import quicklook as quick
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.writer import Layout, write_raster

HEIGHT, WIDTH = 23, 37  # odd on purpose: no tile and no 20 m pixel divides them


def map_scene(network, path, folder, *, mode="contract", keep_grid=False, **settings):
    """Opens a scene and maps it, as predict.py does."""
    opened = open_scene(path, network.meta.contract, mode=mode, keep_grid=keep_grid)
    return scene_map.map_scene(network, opened, folder, **settings)


@pytest.fixture(scope="module")
def single(toy_config, data, tmp_path_factory):
    """A network that sees Sentinel-2 at 10 m only, with weights that are not zero."""
    config = toy_config.copy_and_resolve_references().unlock()
    config.data.inputs = ("s2",)
    config.model = toy.network("10", lattices=("1", "10"), widths=(4, 8), dilations=(1,))
    network = drawn_networks.draw(config, tmp_path_factory.mktemp("single"))
    stored_halo.store(network, open_scene(data.root / "sites" / "d" / "s2.tif", network.meta.contract).scene)
    return network


def eight_bit(path, crs="EPSG:4326", nodata_edge=True):
    """A display stretch in degrees, four bands, with an irregular edge where all bands are 255."""
    image, _ = toy.ground(3, HEIGHT, WIDTH)
    mean = image.reshape(HEIGHT, 10, WIDTH, 10, 3).mean((1, 3))
    stored = np.round(np.concatenate([mean, mean[..., :1]], -1) * 250).astype(np.uint8)
    if nodata_edge:
        for row in range(HEIGHT):
            stored[row, : row // 2] = 255
    lattice = make_lattice(crs, 115.0, 31.0, 0.0001, HEIGHT, WIDTH)
    write_raster(path, stored, Layout(lattice, "uint8", ("B02", "B03", "B04", "B08"), 255))
    return stored


@pytest.mark.parametrize("mode", ["display", "harmonise"])
def test_a_scene_of_another_kind_to_the_last_file(single, tmp_path, mode):
    stored = eight_bit(tmp_path / "scene.tif")
    lines: list[str] = []
    product = map_scene(
        single, tmp_path / "scene.tif", tmp_path / "map", mode=mode, keep_grid=True, tile=16, say=lines.append
    )
    with rasterio.open(product.files["impervious"]) as raster:
        assert raster.shape == (10 * HEIGHT, 10 * WIDTH)
        assert raster.crs == rasterio.CRS.from_epsg(4326)
        assert raster.res == pytest.approx((1e-5, 1e-5))
        tags, classes = raster.tags(), raster.read(1)
    assert tags["RADIOMETRY"] == mode
    assert tags["GRID"] == "kept"
    assert ("harmonised, gain" in tags["RADIOMETRY_S2"]) == (mode == "harmonise")
    absent = np.repeat(np.repeat((stored == 255).all(-1), 10, 0), 10, 1)
    np.testing.assert_array_equal(classes == 255, absent)
    with rasterio.open(product.files["image"]) as raster:
        assert raster.tags()["UNITS"] == "as if reflectance of the training data"
    assert any(mode in line for line in lines)


def test_without_a_flag_it_is_refused_before_anything_is_written(single, tmp_path):
    eight_bit(tmp_path / "scene.tif")
    with pytest.raises(InputError, match="--keep-grid"):
        map_scene(single, tmp_path / "scene.tif", tmp_path / "map", say=lambda _: None)
    with pytest.raises(InputError, match="--radiometry=harmonise"):
        map_scene(single, tmp_path / "scene.tif", tmp_path / "map", keep_grid=True, say=lambda _: None)
    assert not (tmp_path / "map").exists()


def test_the_quick_look_shows_what_the_network_sees(single, tmp_path, monkeypatch):
    """Input and super-resolved image share one stretch, so a harmonised input must be shown harmonised."""
    eight_bit(tmp_path / "scene.tif", nodata_edge=False)
    product = map_scene(
        single, tmp_path / "scene.tif", tmp_path / "map", mode="harmonise", keep_grid=True, tile=16, say=lambda _: None
    )
    opened = open_scene(tmp_path / "scene.tif", single.meta.contract, mode="harmonise", keep_grid=True)
    picture = quick.quicklook(opened.scene, product.files)
    tall, wide = 560 * HEIGHT // WIDTH, 560
    first, second = (picture[18 : 18 + tall, 4 + k * (wide + 4) : (k + 1) * (wide + 4)] for k in (0, 1))
    assert first.std() > 20  # unharmonised numbers would be clipped to white by the stretch, or the other way round
    assert abs(first.mean() - second.mean()) < 90
    # The map goes by the name of the network's own label.
    titles = []
    monkeypatch.setattr(drawing, "panels", lambda _, given, **__: titles.extend(given) or np.zeros((9, 9, 3), np.uint8))
    other = opened.scene.contract.replace(label="built_proxy")
    quick.quicklook(dataclasses.replace(opened.scene, contract=other), product.files)
    assert titles == ["input 10 m", "super-resolved 1 m", "built_proxy"]
    heads = []
    monkeypatch.setattr(drawing, "framed", lambda _, head, __: heads.append(head))
    toy.rewrite(tmp_path / "scene.tif", acquisition_date="2021-06-03T03:15:00Z/2021-06-08T03:15:00Z")
    quick.quicklook(opened.scene, product.files)
    monkeypatch.setattr(quick, "_DETAIL", 20)
    quick.quicklook(opened.scene, product.files)
    assert heads[0].endswith(", 2021-06-03/2021-06-08")  # a small scene is drawn once
    assert heads[1].endswith(", 2021-06-03/2021-06-08: all of it above, the framed detail below")


def test_panels_keep_the_shape_of_each_row():
    wide, square = np.zeros((50, 100, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)
    grid = drawing.panels([[wide, wide], [square, square]], ["a", "b"], side=200)
    black = (grid == 0).all(-1)
    rows = np.flatnonzero(black[30:].sum(1) >= 300) + 30
    assert black[60, 4:204].all()  # 100 x 200 above
    assert black[150:300, 4:204].all()  # 200 x 200 below
    assert rows.max() >= 318


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_truncated_scene_is_named_and_leaves_no_map(single, data, tmp_path, cut):
    scene = tmp_path / "scene.tif"
    whole = (data.root / "sites" / "d" / "s2.tif").read_bytes()
    scene.write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(InputError, match=r"scene\.tif"):
        map_scene(single, scene, tmp_path / "map", tile=9, say=lambda _: None)
    assert not list((tmp_path / "map").glob("*")) if (tmp_path / "map").exists() else True


def test_a_folder_that_cannot_be_made_is_one_sentence(single, data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        map_scene(single, data.root / "sites" / "d" / "s2.tif", tmp_path / "file" / "map", say=lambda _: None)


def test_a_map_belongs_to_one_run(single, tmp_path):
    """Another network or scene into the same folder is refused; the same run again replaces its own."""
    eight_bit(tmp_path / "scene.tif")
    asked = {"mode": "display", "keep_grid": True, "tile": 32, "say": lambda _: None}
    first = map_scene(single, tmp_path / "scene.tif", tmp_path / "map", **asked).files["image"]
    before = {path: path.read_bytes() for path in (tmp_path / "map").iterdir()}
    again = map_scene(single, tmp_path / "scene.tif", tmp_path / "map", **{**asked, "tile": 16}).files["image"]
    assert again.read_bytes() == before[first]
    eight_bit(tmp_path / "other.tif", nodata_edge=False)
    others = [
        (single, "other.tif", {}, "scene: scene.tif, contents .* there, other.tif, contents .* here"),
        (dataclasses.replace(single, step=1), "scene.tif", {}, "network: toy, step 0, .* there, toy, step 1, .* here"),
        (single, "scene.tif", {"image": False}, "image: True there, False here"),
    ]
    for network, scene, changes, message in others:
        with pytest.raises(InputError, match=f"contains the map of a scene of another run .{message}.: choose another"):
            map_scene(network, tmp_path / scene, tmp_path / "map", **{**asked, **changes})
    assert {path.name for path in before} == {path.name for path in (tmp_path / "map").iterdir()}


def test_the_scenes_own_folder_is_no_place_for_its_map(single, data, tmp_path):
    shutil.copytree(data.root / "sites" / "d", tmp_path / "site")
    before = {path: path.read_bytes() for path in (tmp_path / "site").iterdir()}
    for scene in (tmp_path / "site", tmp_path / "site" / "s2.tif"):
        with pytest.raises(InputError, match=r"is an input|lies in"):
            map_scene(single, scene, tmp_path / "site", say=lambda _: None)
    (tmp_path / "link").symlink_to(tmp_path / "site")
    with pytest.raises(InputError, match="is an input"):
        map_scene(single, tmp_path / "site", tmp_path / "link", say=lambda _: None)
    with pytest.raises(InputError, match=r"contains dem.tif, image.tif, label.tif and 5 more but no MADE_BY"):
        map_scene(single, data.root / "sites" / "c", tmp_path / "site", say=lambda _: None)
    assert {path: path.read_bytes() for path in (tmp_path / "site").iterdir()} == before
