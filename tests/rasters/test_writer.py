"""Rasters appear whole; products are valid cloud-optimised GeoTIFFs."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from rio_cogeo import cog_validate

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.pictures.drawing import COLORMAP
from jointseg_jax.rasters.writer import DATASET_PROFILE, Layout, cog_writer, write_raster

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[2]
LATTICE = make_lattice("EPSG:32650", 500_000, 3_400_000, 1, 1100, 700)


def test_dataset_rasters_are_tiled_and_described(tmp_path):
    values = np.random.default_rng(0).integers(0, 9999, (1100, 700, 2)).astype(np.uint16)
    write_raster(tmp_path / "x.tif", values, Layout(LATTICE, "uint16", ("a", "b"), 0, {"K": "v"}, scale=0.5, offset=-3))
    with rasterio.open(tmp_path / "x.tif") as raster:
        np.testing.assert_array_equal(raster.read(), np.moveaxis(values, -1, 0))
        assert raster.block_shapes == [(256, 256)] * 2
        assert raster.descriptions == ("a", "b")
        assert raster.tags()["K"] == "v"
        assert raster.scales == (0.5, 0.5)
        assert raster.offsets == (-3, -3)
        assert raster.nodata == 0


def test_a_cog_keeps_what_it_was_given(tmp_path):
    path = tmp_path / "map.tif"
    classes = np.random.default_rng(0).choice(np.array([0, 1, 255], np.uint8), (1100, 700))
    with cog_writer(
        path, Layout(LATTICE, "uint8", ("impervious",), 255, {"MODEL": "m"}, colormap=COLORMAP), overviews="mode"
    ) as writer:
        writer.write(classes[:600], Window(0, 0, 600, 700))
        writer.write(classes[600:], Window(600, 0, 500, 700))
        assert not path.exists()
    assert cog_validate(path) == (True, [], [])
    with rasterio.open(path) as raster:
        np.testing.assert_array_equal(raster.read(1), classes)
        assert raster.nodata == 255
        assert raster.colormap(1)[1] == COLORMAP[1]
        assert raster.tags()["MODEL"] == "m"
        assert raster.overviews(1)
    assert [p.name for p in tmp_path.iterdir()] == ["map.tif"]


def test_a_failed_cog_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError),
        cog_writer(tmp_path / "map.tif", Layout(LATTICE, "uint8", ("a",)), overviews="mode"),
    ):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_raster(tmp_path / "file" / "x.tif", np.zeros((1100, 700), np.uint8), Layout(LATTICE, "uint8", ("a",)))
    with (
        pytest.raises(InputError, match="cannot be written"),
        cog_writer(tmp_path / "file" / "x.tif", Layout(LATTICE, "uint8", ("a",)), overviews="mode"),
    ):
        pass


def test_rasters_may_grow_beyond_four_gigabytes():
    """GDAL decides by the size of the numbers before compression; a classic TIFF would fail when it is full."""
    assert DATASET_PROFILE["BIGTIFF"] == "IF_SAFER"


@pytest.mark.parametrize("kind", ["raster", "cog"])
@pytest.mark.parametrize("limit", [100_000, 990_000, 1_002_000, 1_100_000])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, kind, limit):
    """Writes fail beyond `limit` bytes.

    That is at once, in the last blocks, in the directory at the end, or only in the COG's overviews: the raster takes
    1,002,959 bytes and its COG 1,232,855, so the last limit is enough for the one.
    """
    script = f"""
import resource, signal, numpy as np
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.writer import DATASET_PROFILE, Layout, cog_writer, write_raster
values = np.random.default_rng(0).integers(0, 255, (1000, 1000)).astype("uint8")
layout = Layout(make_lattice("EPSG:32650", 0, 0, 1, 1000, 1000), "uint8", ("a",))
path = {str(tmp_path / "map.tif")!r}
try:
    if {kind!r} == "raster":
        write_raster(path, values, layout)
    else:
        with cog_writer(path, layout, overviews="average") as writer:
            writer.write(values, Window(0, 0, 1000, 1000))
    print("WRITTEN")
except InputError as error:
    print("REFUSED", error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    if (kind, limit) == ("raster", 1_100_000):
        assert "WRITTEN" in done.stdout
        return
    assert "REFUSED" in done.stdout
    assert "free space" in done.stdout
    assert list(tmp_path.iterdir()) == []
