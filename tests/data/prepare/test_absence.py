"""What a site does not have: a zero mask and a note where that can be, a sentence where it cannot."""

import numpy as np
import pytest
import toy

from jointseg_jax.data.patches import PatchReader
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles


def test_a_modality_may_be_absent_at_some_sites(own):
    root, config = own
    config.inputs = ("s2", "s1")
    (root / "a" / "s1.tif").unlink()
    (root / "d" / "s1.tif").unlink()
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    assert "; s1: absent" in lines[0]
    assert "absent" not in lines[1]
    assert "; s1: absent" in lines[3]
    assert "s1: absent (s1.tif not found), masked" in data.sites["a"].notes
    assert "RADIO_ADD_OFFSET is -1000" in data.sites["b"].notes[0]
    assert {m.name: m.optional for m in data.contract.modalities} == {"s2": False, "s1": True}
    assert "s1" not in data.sites["a"].layers
    reader = PatchReader(data, "train", data.contract)
    sites = list(data.patches("train")["site"])
    valid = {name: reader.read(sites.index(name))["inputs"]["s1"]["valid"].any() for name in "ab"}
    assert valid == {"a": False, "b": True}
    opened = open_scene(data.root / "sites" / "d", data.contract)
    ours = opened.scene.read(Window(0, 0, 36, 42), Handles())
    theirs = data.scene("d").read(Window(0, 0, 36, 42), Handles())
    for name in theirs:
        np.testing.assert_allclose(ours[name]["values"], theirs[name]["values"], atol=1e-6)
        np.testing.assert_array_equal(ours[name]["valid"], theirs[name]["valid"])
    assert opened.decisions["radiometry_s1"] == "absent, masked"


def test_a_modality_nobody_has_is_a_mistake(own):
    root, config = own
    for name in "abcd":
        (root / name / "s1.tif").unlink()
    with pytest.raises(InputError, match="no site has files for modality 's1'"):
        prepare(config, say=toy.quiet)


def test_the_first_modality_is_required_and_others_are_prepared_meanwhile(own):
    root, config = own
    toy.keep_only(config, "a", "b")
    (root / "a" / "s2.tif").unlink()
    lines: list[str] = []
    with pytest.raises(InputError, match=r"1 of 2 sites .*s2\.tif is missing"):
        prepare(config, say=lines.append)
    assert "a: FAILED" in lines[0]
    assert ", prepared" in lines[1]


def test_some_dates_only_are_a_mistake(one):
    _, config = one
    config.inputs = ("s2", "s1")
    config.source.layers.s1 = ("s1.tif", "s1_later.tif")
    with pytest.raises(InputError, match=r"s1_later\.tif is missing"):
        prepare(config, say=toy.quiet)


def test_clouds_are_masked_where_there_is_a_cloud_layer(own):
    root, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    (root / "b" / "scl.tif").unlink()
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    assert "; clouds not masked" in lines[1]
    assert "clouds not masked (scl.tif not found)" in data.sites["b"].notes
    assert "clouds" not in lines[0]
    corner = Window(32, 36, 4, 6)
    assert not data.scene("a").read(corner, Handles())["s2"]["valid"].any()
    assert data.scene("b").read(corner, Handles())["s2"]["valid"].all()


def test_yreb_uses_the_cloud_layer_it_asks_for():
    from jointseg_jax.configs import yreb

    assert yreb.get_config().dataset.source.cloud == ("scl.tif",)


def test_a_20_m_cloud_layer_on_a_site_of_odd_size(one):
    """With 10 m inputs alone a site may begin and end in the middle of a cloud pixel."""
    folder, config = one
    for name, pixels in (("s2", 1), ("image", 10), ("label", 10)):
        toy.rewrite(folder / f"{name}.tif", drop=pixels, start=pixels)
    data = prepare(config, say=toy.quiet)
    site = data.sites["a"]
    assert (site.height, site.width) == (34, 40)
    valid = data.scene("a").read(Window(0, 0, 34, 40), Handles())["s2"]["valid"][0]
    expected = np.ones((34, 40), bool)
    expected[:1, :2] = False  # nodata
    expected[-3:, -5:] = False  # cloud
    np.testing.assert_array_equal(valid, expected)
    config.inputs = ("s2", "s2_20m")
    site = prepare(config, say=toy.quiet).sites["a"]
    assert (site.left % 20, site.top % 20, site.height, site.width) == (0, 0, 32, 38)


def test_sites_for_super_resolution_or_segmentation_alone(own):
    """Without a label, or without an image: patches of both, whose missing part is masked."""
    root, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    (root / "a" / "label.tif").unlink()
    (root / "b" / "image.tif").unlink()
    lines: list[str] = []
    data = prepare(config, say=lines.append)
    assert "; no label" in lines[0]
    assert "; no image" in lines[1]
    assert "no label (label.tif not found): for super-resolution alone" in data.sites["a"].notes
    assert "no image (image.* not found): for segmentation alone" in data.sites["b"].notes
    rows = data.patches("train")
    reader = PatchReader(data, "train", data.contract)
    for name, labelled in (("a", False), ("b", True)):
        of_site = rows[rows["site"] == name]
        assert len(of_site)
        assert (of_site["valid_fraction"] > 0).all() == labelled
        sample = reader.read(int(of_site.index[0]))
        assert (sample["label"] != 255).any() == labelled
        assert sample["image_valid"].any() != labelled
        assert sample["inputs"]["s2"]["valid"].any()
        assert sample["readable"]
    assert (data.root / data.sites["b"].image).stat().st_size < 20_000


def test_a_site_lies_where_its_label_lies_or_its_input(one):
    from affine import Affine

    folder, config = one
    (folder / "image.tif").unlink()
    toy.rewrite(folder / "label.tif", drop=60)
    config.source.image = ""
    site = prepare(config, say=toy.quiet).sites["a"]
    assert (site.height, site.width) == (30, 36)
    import geopandas
    import rasterio
    import shapely

    with rasterio.open(folder / "s2.tif") as raster:
        corner = raster.transform * Affine.translation(3, 3)
        crs = raster.crs
    square = shapely.box(corner.c, corner.f - 100, corner.c + 100, corner.f)
    geopandas.GeoDataFrame(geometry=[square], crs=crs.to_string()).to_file(folder / "built.gpkg")
    config.source.vectors = ("built.gpkg",)
    data = prepare(config, say=toy.quiet)
    assert (data.sites["a"].height, data.sites["a"].width) == (36, 42)
    with rasterio.open(data.root / data.sites["a"].label) as raster:
        assert (raster.read(1) == 1).sum() == 10_000


def test_neither_image_nor_label_and_what_nobody_has_are_mistakes(own):
    root, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    (root / "a" / "label.tif").unlink()
    (root / "a" / "image.tif").unlink()
    with pytest.raises(InputError, match=r"a/image\.\* is missing"):
        prepare(config, say=toy.quiet)
    (root / "b" / "label.tif").unlink()
    toy.keep_only(config, "b")
    with pytest.raises(InputError, match=r"no site has a label \(label\.tif\): correct"):
        prepare(config, say=toy.quiet)
    config.source.label = ""
    assert prepare(config, say=toy.quiet).sites
    (root / "b" / "image.tif").rename(root / "b" / "picture.tif")
    with pytest.raises(InputError, match="image"):
        prepare(config, say=toy.quiet)
