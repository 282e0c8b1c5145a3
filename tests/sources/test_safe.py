"""Products as they are handed out, L1C and L2A, as folders and as archives: real JPEG 2000 files."""

import dataclasses
import shutil

import numpy as np
import pytest
from safe_products import pack, write_safe

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.scenes.find import find_scenes, is_single, single_files
from jointseg_jax.mapping.scenes.open_all import open_all
from jointseg_jax.rasters.contract import Contract, Modality
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.radiometry.product_metadata import classification
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.sources.safe import Safe, is_safe, read_safe

pytestmark = pytest.mark.quick

S2 = Modality("s2", ("B02", "B03", "B04", "B08"), 10.0, "uint16", "reflectance", 0.0, 1e-4, -1000.0)
SWIR = Modality("s2_20m", ("B11", "B12"), 20.0, "uint16", "reflectance", 0.0, 1e-4, -1000.0)
BOTH = Contract((S2, SWIR), ("B04", "B03", "B02"))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("level", "baseline", "offset"), [("2A", "04.00", -1000), ("1C", "05.09", -1000), ("2A", "02.14", None)]
)
def test_a_product_is_a_scene_of_its_own_radiometry(tmp_path, packed, level, baseline, offset):
    safe, truth = write_safe(tmp_path, level=level, baseline=baseline, offset=offset)
    if packed:
        archive = pack(safe)
        shutil.rmtree(safe)
        safe = archive
    assert is_single(safe, BOTH)
    opened = open_scene(safe, BOTH, files=single_files(safe, BOTH, tmp_path / "made"))
    read = opened.scene.read(Window(0, 0, 48, 48), Handles())["s2"]
    np.testing.assert_allclose(read["values"][0], np.stack([truth[b] for b in S2.bands], -1), atol=1e-6)
    swir = opened.scene.layers["s2_20m"][0].read(Window(0, 0, 24, 24), Handles())[0]
    np.testing.assert_allclose(swir, np.stack([truth[b] for b in SWIR.bands], -1), atol=1e-6)
    assert f"offset {offset or 0:g}" in opened.decisions["radiometry_s2"]
    (found,) = find_scenes(tmp_path, BOTH, tmp_path / "made")  # in a folder of products
    assert (found.date, found.cloud) == ("2022-05-14T02:45:51Z", 5.0)
    (entry,), refused = open_all([found], BOTH)
    assert refused == []
    listed = {path for path, _, _ in entry.stamps}
    assert listed >= {str(safe)} if packed else any(path.endswith(".xml") for path in listed)


@pytest.mark.parametrize("packed", [False, True])
def test_its_own_classification_is_found(tmp_path, packed):
    safe, _ = write_safe(tmp_path)
    product = read_safe(pack(safe) if packed else safe)
    found = product.classification()
    assert found.name == "T50RQU_20220514T024551_SCL_20m.jp2"
    with open_raster(found) as raster:
        assert raster.shape == (24, 24)
    assert classification(product.files["B11_20m"], {}) == found
    assert read_safe(write_safe(tmp_path, level="1C")[0]).classification() is None


def test_an_archive_of_something_else_is_no_product(tmp_path):
    safe, _ = write_safe(tmp_path / "a")
    archive = pack(safe)
    (tmp_path / "x.zip").write_bytes(b"PK\3\4 cut off")
    assert not is_safe(tmp_path / "x.zip")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(archive.read_bytes()[: -archive.stat().st_size // 2])
    assert not is_safe(cut)
    shutil.rmtree(safe / "GRANULE")
    with pytest.raises(InputError, match="download it again"):
        read_safe(safe)


def test_products_of_several_granules_are_refused(tmp_path):
    """As they were until 2016: images of two tiles would be mixed."""
    safe, _ = write_safe(tmp_path, level="1C")
    (granule,) = (safe / "GRANULE").iterdir()
    shutil.copytree(granule, granule.with_name("L1C_T50RQV_A036000"))
    with pytest.raises(InputError, match="more than one granule"):
        read_safe(safe)


def test_a_member_that_is_no_raster_is_not_given_to_gdal(tmp_path):
    safe, _ = write_safe(tmp_path)
    (image,) = safe.glob("GRANULE/*/IMG_DATA/R10m/*_B02_10m.jp2")
    image.write_text('<VRTDataset rasterXSize="1" rasterYSize="1"/>')
    product = read_safe(pack(safe))
    with pytest.raises(InputError, match="is not a GeoTIFF"):
        open_raster(product.files["B02_10m"])


def test_radar_that_every_training_site_had_is_not_in_a_product(tmp_path):
    folder = tmp_path / "S2A_x.SAFE"
    radar = Modality("s1", ("VV", "VH"), 10.0, "float32", "dB", None, 1.0, 0.0)
    product = Safe("S2A_x", folder, {"B02_10m": folder / "B02.jp2"})
    said = r"optical bands alone.* s1\.tif\), or train without 's1' .*data\.inputs.*source\.layers\.s1"
    with pytest.raises(InputError, match=said):
        product.bands(radar)
    assert product.bands(dataclasses.replace(radar, optional=True)) == []
