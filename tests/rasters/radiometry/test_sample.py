"""What scenes are judged by: pixels at full resolution, on ground that is there and clear."""

import numpy as np
import pytest

from jointseg_jax.rasters.cloud_choice import DEFAULT
from jointseg_jax.rasters.clouds import ClearRule, CloudFile, open_mask
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.radiometry.product_metadata import classification
from jointseg_jax.rasters.radiometry.sample import _windows, take_sample
from jointseg_jax.rasters.raster_files import dataset_lattice
from jointseg_jax.rasters.reader import open_raster
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick

S2 = Modality("s2", ("B02", "B03"), 10, "uint16", "reflectance", None, 1e-4, -1000)


def write(path, values, spacing=10.0, top=3_400_000):
    lattice = make_lattice("EPSG:32650", 500_000, top, spacing, *values.shape[:2])
    names = ("B02", "B03")[: values.shape[-1]]
    write_raster(path, values, Layout(lattice, str(values.dtype), names))


def test_small_rasters_are_read_whole_and_eroded(tmp_path):
    values = np.full((60, 50, 2), 1500, np.uint16)
    values[:20] = 0
    values[40, 25] = 0
    write(tmp_path / "a.tif", values)
    with open_raster(tmp_path / "a.tif") as raster:
        sample = take_sample(raster, (1, 2), masked=False)
    assert len(sample.ground(S2)) == 40 * 50 - 1
    assert len(sample.inner(S2)) == (40 - 6) * (50 - 6) - 7 * 7


def test_windows_of_a_large_raster_lie_on_its_ground():
    """A tile whose ground is one corner: at full resolution, a bounded number, none on absent ground."""
    likely = np.zeros((500, 500), bool)
    likely[:150, 350:] = True
    windows = _windows((10_980, 10_980), likely)
    assert 1 <= len(windows) <= 16
    for window in windows:
        assert window.height == window.width == 256
        assert window.row + 128 < 0.3 * 10_980
        assert window.col + 128 > 0.7 * 10_980
    assert len(_windows((10_980, 10_980), None)) == 16
    assert len(_windows((10_980, 10_980), np.zeros((9, 9), bool))) == 16
    assert _windows((3_000_000, 3), None)[0].width == 3
    assert len(_windows((2_000_000, 2_000_000), None)) == 16  # within no time


@pytest.mark.parametrize("name", ["scl.tif", "a_SCL.tif"])
def test_cloud_is_left_out_where_the_classification_tells(tmp_path, name):
    values = np.full((40, 40, 2), 1500, np.uint16)
    values[:10] = 9000
    write(tmp_path / "a.tif", values)
    classes = np.full((20, 20, 1), 4, np.uint8)
    classes[:5] = 9
    write(tmp_path / name, classes, spacing=20.0)
    found = classification(tmp_path / "a.tif", {})
    assert found == tmp_path / name
    with open_raster(tmp_path / "a.tif") as raster:
        mask = open_mask(CloudFile(found), dataset_lattice(raster), 1, ClearRule())
        ground = take_sample(raster, (1, 2), masked=False, clouds=mask).ground(S2)
    assert (ground == 1500).all()
    write(tmp_path / name, np.full((20, 20, 1), 9, np.uint8), spacing=20.0)  # nothing is clear
    with open_raster(tmp_path / "a.tif") as raster:
        assert len(take_sample(raster, (1, 2), masked=False, clouds=mask).ground(S2)) == 1600


def test_a_classification_of_other_ground_is_not_used(tmp_path):
    write(tmp_path / "T50RKV_20210601T032541_B02_10m.tif", np.full((40, 40, 1), 1500, np.uint16))
    name = tmp_path / "T50RKV_20210601T032541_SCL_20m.tif"
    write(name, np.full((20, 20, 1), 9, np.uint8), spacing=20.0, top=3_400_003)
    path = tmp_path / "T50RKV_20210601T032541_B02_10m.tif"
    assert classification(path, {}) == name
    assert classification(name, {}) is None
    with open_raster(path) as raster:
        mask, note = DEFAULT.mask(raster, dataset_lattice(raster), 1)
    assert mask is None
    assert "fraction of a pixel" in note
