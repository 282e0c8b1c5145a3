"""Folders as they come: one file per band, products as .SAFE, what lies beside a scene."""

import dataclasses
import shutil

import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.scenes.find import find_scenes, is_single, single_files
from jointseg_jax.mapping.scenes.open_all import open_all
from jointseg_jax.rasters.contract import Contract, Modality
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.sources.band_files import group

pytestmark = pytest.mark.quick

S2 = Modality("s2", ("B02", "B03", "B04", "B08"), 10.0, "uint16", "reflectance", 0.0, 1e-4, -1000.0)
SWIR = Modality("s2_20m", ("B11", "B12"), 20.0, "uint16", "reflectance", 0.0, 1e-4, -1000.0)
CONTRACT = Contract((S2,), ("B04", "B03", "B02"))
BOTH = Contract((S2, SWIR), ("B04", "B03", "B02"))
RNG = np.random.default_rng(0)


def write(path, spacing=10.0, names=("",), **tags):
    side = round(240 / spacing)
    values = RNG.integers(1100, 4000, (side, side, len(names))).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_raster(
        path,
        values,
        Layout(make_lattice("EPSG:32650", 600_000, 3_400_020, spacing, side, side), "uint16", names, 0, tags),
    )
    return values[..., 0]


def bands_of(folder, pattern, names=S2.bands, **tags):
    return {name: write(folder / pattern.format(name), **tags) for name in names}


PATTERNS = [
    "T50RKV_20210601T032541_{}_10m.tif",
    "SENTINEL-2_MSI_50RKV_{}_2021-06-01.tif",
    "S2A_T50RKV.{}.tif",
    "{}.tif",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_file_per_band_is_one_scene(tmp_path, pattern):
    values = bands_of(tmp_path / "raw", pattern, RADIO_ADD_OFFSET=-1000)
    assert is_single(tmp_path / "raw", CONTRACT)
    files = single_files(tmp_path / "raw", CONTRACT, tmp_path)
    opened = open_scene(tmp_path / "raw", CONTRACT, files=files)
    read = opened.scene.read(Window(0, 0, 24, 24), Handles())["s2"]["values"][0]
    np.testing.assert_allclose(read, (np.stack([values[b] for b in S2.bands], -1) - 1000.0) / 10000, atol=1e-6)
    assert "B08: band 4 (B08)" in opened.decisions["bands_s2"]


def test_words_tell_files_too(tmp_path):
    bands_of(tmp_path, "a_{}.tif", ("blue", "green", "red", "red_edge_1", "nir"), RADIO_ADD_OFFSET=-1000)
    (scene,) = find_scenes(tmp_path, CONTRACT, tmp_path / "made")
    with open_raster(scene.files()["s2"][0]) as raster:
        assert raster.descriptions == S2.bands
        assert raster.files[1:] == [str(tmp_path / f"a_{name}.tif") for name in ("blue", "green", "red", "nir")]


def test_several_dates_are_several_scenes(tmp_path):
    for date in ("2021-06-01", "2021-06-06"):
        bands_of(tmp_path, f"SENTINEL-2_MSI_50RKV_{{}}_{date}.tif", RADIO_ADD_OFFSET=-1000)
    assert not is_single(tmp_path, CONTRACT)
    found = find_scenes(tmp_path, CONTRACT, tmp_path / "made")
    assert [(f.id, f.date) for f in found] == [
        (f"SENTINEL-2_MSI_50RKV_{date}", date) for date in ("2021-06-01", "2021-06-06")
    ]
    entries, refused = open_all(found, CONTRACT)
    assert (len(entries), refused) == (2, [])


def test_a_network_of_several_dates_maps_a_scene_of_one(tmp_path):
    bands_of(tmp_path, "SENTINEL-2_MSI_50RKV_{}_2021-06-01.tif", RADIO_ADD_OFFSET=-1000)
    contract = CONTRACT.replace(modalities=(dataclasses.replace(S2, dates=3),))
    (entry,), refused = open_all(find_scenes(tmp_path, contract, tmp_path / "made"), contract)
    assert refused == []
    read = entry.scene.read(Window(0, 0, 24, 24), Handles())["s2"]
    assert read["valid"].all((1, 2)).tolist() == [True, False, False]


def test_what_lies_beside_a_scene_is_left_out_with_a_line(tmp_path):
    write(tmp_path / "S2_20210601.tif", names=S2.bands, RADIO_ADD_OFFSET=-1000)
    (tmp_path / "._S2_20210601.tif").write_bytes(b"\0\5\x16\7")
    write(tmp_path / "S2_20210601_SCL.tif")
    (tmp_path / ".hidden").mkdir()
    said = []
    assert [f.id for f in find_scenes(tmp_path, CONTRACT, tmp_path, say=said.append)] == ["S2_20210601"]
    assert len(said) == 1
    assert said[0].startswith("skipped S2_20210601_SCL.tif")
    bands_of(tmp_path / "bands", "T50RKV_{}_10m.tif", (*S2.bands, "SCL"))
    assert is_single(tmp_path / "bands", CONTRACT)


def test_a_product_as_it_is_handed_out(tmp_path):
    """Its XML, four folders above the bands, decides the offset; B02 is there at all three spacings."""
    safe = tmp_path / "S2A_MSIL2A_20210601T032541_N0500_R018_T50RKV_20230101T000000.SAFE"
    images = safe / "GRANULE" / "L2A_T50RKV" / "IMG_DATA"
    for spacing, names in ((10, S2.bands), (20, ("B02", "B03", "B04", *SWIR.bands, "SCL")), (60, ("B01", "B02"))):
        for name in names:
            path = images / f"R{spacing}m" / f"T50RKV_20210601T032541_{name}_{spacing}m.tif"
            write(path, float(spacing))
            path.rename(path.with_suffix(".jp2"))
    (safe / "MTD_MSIL2A.xml").write_text("<a><BOA_ADD_OFFSET>-1000</BOA_ADD_OFFSET></a>")
    assert is_single(safe, BOTH)
    opened = open_scene(safe, BOTH, files=single_files(safe, BOTH, tmp_path / "made"))
    assert "MTD_MSIL2A.xml" in opened.decisions["radiometry_s2"] or "-1000" in opened.decisions["radiometry_s2"]
    assert opened.scene.layers["s2_20m"][0].modality.offset == -1000
    (found,) = find_scenes(safe, BOTH, tmp_path / "made")
    assert found.date.startswith("2021-06-01")
    shutil.rmtree(images)
    with pytest.raises(InputError, match="download it again"):
        find_scenes(safe, BOTH, tmp_path / "made")


def test_advice_on_the_offset_names_a_file_that_can_be_tagged(tmp_path):
    bands_of(tmp_path / "raw", PATTERNS[0])
    files = single_files(tmp_path / "raw", CONTRACT, tmp_path / "made")
    with pytest.raises(
        InputError, match=r"T50RKV_20210601T032541_B02_10m\.tif has no information about its radiometric offset"
    ):
        open_scene(tmp_path / "raw", CONTRACT, files=files)


def test_rasters_whose_names_hold_numbers_are_scenes(tmp_path):
    """A block `B2` of a town is no band."""
    for name in ("town_B2.tif", "town_B3.tif"):
        write(tmp_path / name, names=S2.bands, RADIO_ADD_OFFSET=-1000)
    scenes, rest = group(sorted(tmp_path.iterdir()), CONTRACT.primary)
    assert (scenes, len(rest)) == ([], 2)
    assert [f.id for f in find_scenes(tmp_path, CONTRACT, tmp_path)] == ["town_B2", "town_B3"]


def test_a_missing_band_is_named(tmp_path):
    bands_of(tmp_path, PATTERNS[0], RADIO_ADD_OFFSET=-1000)
    (scene,) = find_scenes(tmp_path, BOTH, tmp_path / "made")
    with pytest.raises(InputError, match="no file for band B11 of modality 's2_20m'"):
        scene.files()


def test_what_is_no_raster_is_said_so(tmp_path):
    (tmp_path / "README.md").write_text("# Scenes")
    with pytest.raises(InputError, match=r"README\.md is not a supported raster"):
        open_scene(tmp_path / "README.md", BOTH)
