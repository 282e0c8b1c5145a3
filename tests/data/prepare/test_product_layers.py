"""Sites whose Sentinel-2 is a product as it was handed out, or one file per band; masks of cloud by date."""

import shutil

import numpy as np
import pytest
import rasterio
import toy
from safe_products import pack, safe_of_site, write_jp2

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.scenes.find import single_files
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, write_raster

WHOLE = Window(0, 0, 36, 42)


def read(data):
    return data.scene("a").read(WHOLE, Handles())


@pytest.fixture
def optical(one):
    folder, config = one
    config.inputs = ("s2", "s2_20m")
    return folder, config


@pytest.mark.parametrize("kind", ["safe", "zip", "bands"])
def test_a_product_yields_the_dataset_that_its_stacked_bands_yield(optical, tmp_path, kind):
    folder, config = optical
    config.path = str(tmp_path / "stacked")
    stacked = read(prepare(config, say=toy.quiet))
    config.path = str(tmp_path / "dataset")
    config.source.cloud = ()
    safe = safe_of_site(folder, folder)
    if kind == "zip":
        pack(safe)
        shutil.rmtree(safe)
    pattern = {"safe": "S2A*.SAFE", "zip": "S2A*.zip", "bands": "S2A*.SAFE/GRANULE/*/IMG_DATA/R{}m"}[kind]
    for name, spacing in (("s2", 10), ("s2_20m", 20)):
        (folder / f"{name}.tif").unlink()
        config.source.layers[name] = (pattern.format(spacing),)
    (folder / "scl.tif").unlink()
    lines = []
    data = prepare(config, say=lines.append)
    for name, layer in read(data).items():
        np.testing.assert_array_equal(layer["valid"], stacked[name]["valid"])
        np.testing.assert_array_equal(layer["values"], stacked[name]["values"])
    assert "offset -1000 (RADIO_ADD_OFFSET is -1000)" in " ".join(data.sites["a"].notes)
    assert "not clear by T50RQU_20210601T031500_SCL_20m.jp2" in data.sites["a"].notes[0]
    assert " % not clear" in lines[0]
    again = []
    prepare(config, say=again.append)
    assert "already there" in again[0]
    if kind == "safe":  # its metadata count
        (folder / safe.name / "MTD_MSIL2A.xml").write_text(
            "<a><PROCESSING_BASELINE>04.00</PROCESSING_BASELINE><BOA_ADD_OFFSET>-1000.0</BOA_ADD_OFFSET></a>"
        )
        prepare(config, say=again.append)
        assert "0.15 km2, prepared" in again[-2]


def test_bands_of_60_m_from_the_product_to_the_scene(one):
    """The site is snapped to 60 m, and a 10 m value is the same through windows of every phase."""
    folder, config = one
    config.inputs, config.source.cloud = ("s2", "s2_60m"), ()
    safe = safe_of_site(folder, folder)
    (images,) = safe.glob("GRANULE/*/IMG_DATA")
    stored = np.random.default_rng(0).integers(1300, 3500, (2, 6, 7)).astype(np.uint16)
    stored[:, 4, 2] = 0
    for band, numbers in zip(("B01", "B09"), stored, strict=True):
        path = images / "R60m" / f"T50RQU_20210601T031500_{band}_60m.jp2"
        write_jp2(path, numbers, 60, crs=toy.CRS, left=toy.LEFT, top=toy.TOP)
    for name in config.inputs:
        config.source.layers[name] = ("S2A*.SAFE",)
    for name in ("image", "label"):
        toy.rewrite(folder / f"{name}.tif", start=30)
    data = prepare(config, say=toy.quiet)
    assert [m.spacing for m in data.contract.modalities] == [10, 60]
    site = data.sites["a"]
    assert (site.left, site.top, site.width, site.height) == (toy.LEFT + 60, toy.TOP - 60, 36, 30)
    opened = open_scene(safe, data.contract, files=single_files(safe, data.contract, folder / "made"))
    for scene, begin in ((data.scene("a"), 0), (opened.scene, 6)):
        whole = scene.read(Window(begin, begin, 30, 36), Handles())["s2_60m"]
        middle = whole["values"][0][2::6, 2::6].transpose(2, 0, 1)  # the pixels nearest to the centres of 60 m
        assert np.median(np.abs(middle - (stored[:, 1:, 1:] - 1000.0) / 1e4)) < 0.02
        assert not whole["valid"][0, 18:24, 6:12].any()
        for phase in range(6):
            part = scene.read(Window(begin + phase, begin + phase, 13, 11), Handles())["s2_60m"]
            for what in ("values", "valid"):
                cut = whole[what][:, phase : phase + 13, phase : phase + 11]
                np.testing.assert_array_equal(part[what], cut)


def classes(at, code=9):
    values = np.full((18, 21), 4, np.uint8)
    values[at] = code
    return values


def test_every_date_has_its_own_clouds(optical):
    folder, config = optical
    config.source.cloud = ()
    parts = {"20210601T031500": np.s_[4:8, 3:6], "20210611T031500": np.s_[10:14, 9:15]}
    for date, at in parts.items():
        safe_of_site(folder, folder, date=date, cloud=classes(at))
    for name in ("s2", "s2_20m"):
        config.source.layers[name] = tuple(f"S2A_MSIL2A_{date}*.SAFE" for date in parts)
    found = read(prepare(config, say=toy.quiet))
    nodata = np.zeros((36, 42), bool)
    nodata[:2, :3] = True
    for date, at in enumerate(parts.values()):
        cloud = np.kron(classes(at) == 9, np.ones((2, 2), bool))
        np.testing.assert_array_equal(found["s2"]["valid"][date], ~(cloud | nodata))


def test_a_mask_for_one_date_does_not_serve_two(optical):
    folder, config = optical
    for name in ("s2", "s2_20m"):
        shutil.copy(folder / f"{name}.tif", folder / f"{name}_later.tif")
        config.source.layers[name] = (f"{name}.tif", f"{name}_later.tif")
    with pytest.raises(InputError, match="names 1 mask for 2 dates of modality 's2': name one per date"):
        prepare(config, say=toy.quiet)
    config.source.cloud = ("scl.tif", "scl_later.tif")
    lines = []
    valid = read(prepare(config, say=lines.append))["s2"]["valid"]
    assert "; clouds not masked" in lines[0]
    assert valid[:, -4:, -6:].any((1, 2)).tolist() == [False, True]


def test_a_mask_of_the_users_own_as_a_band_with_a_buffer(one):
    folder, config = one
    with rasterio.open(folder / "s2.tif") as raster:
        bands, tags = np.moveaxis(raster.read(), 0, -1), raster.tags()
        lattice = toy.make_lattice(toy.CRS, raster.transform.c, raster.transform.f, 10, 36, 42)
    cloud = np.zeros((36, 42, 1), np.uint16)
    cloud[20, 20] = 1
    layout = Layout(lattice, "uint16", ("B02", "B03", "B04", "B08", "cloud"), None, tags)
    write_raster(folder / "s2.tif", np.concatenate([bands, cloud], -1), layout)
    config.source.cloud = ("s2.tif#cloud",)
    config.clear = (0,)
    config.cloud_buffer = 25.0
    valid = read(prepare(config, say=toy.quiet))["s2"]["valid"][0]
    y, x = np.mgrid[:36, :42]
    expected = np.hypot(y - 20, x - 20) * 10 > 25
    expected[:2, :3] = False  # DN 0
    np.testing.assert_array_equal(valid, expected)


def test_a_folder_without_the_bands_is_named(optical):
    folder, config = optical
    (folder / "bands").mkdir()
    config.source.layers.s2 = ("bands",)
    with pytest.raises(InputError, match="holds no scenes with one file for each of the bands"):
        prepare(config, say=toy.quiet)
