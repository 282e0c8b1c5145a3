"""One raster with all bands at 10 m serves modalities of 10 m and of 20 m."""

import dataclasses
import shutil

import numpy as np
import pytest
import rasterio
from scene_files import SWIR, WITH_SAR, WITH_SWIR

from jointseg_jax import shipped
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.scenes.catalogue import CatalogueScene, ListedScene, from_listed, to_json
from jointseg_jax.rasters.interpolation import block_means
from jointseg_jax.rasters.lattice import Window, coarsen, make_lattice
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.storage import formats, typed

pytestmark = pytest.mark.quick

ALL = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
SIZE = (31, 42)  # the last row of 20 m pixels reaches beyond
TAGS = {"RADIO_ADD_OFFSET": -1000}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The same ground as a stack, as a stack without names, and as a folder with the bands at their own spacing."""
    folder = tmp_path_factory.mktemp("stacks")
    rng = np.random.default_rng(0)
    lattice = make_lattice("EPSG:32650", 500_000, 3_400_000, 10.0, *SIZE)
    stack = rng.integers(1100, 4000, (*SIZE, len(ALL))).astype(np.uint16)
    native = rng.integers(1100, 6000, (16, 21, 1)).astype(np.uint16)
    native[3, 4] = 0  # nodata
    stack[..., [ALL.index("B11")]] = np.repeat(np.repeat(native, 2, 0), 2, 1)[: SIZE[0], : SIZE[1]]
    write_raster(folder / "stack.tif", stack, Layout(lattice, "uint16", ALL, 0, TAGS))
    write_raster(folder / "unnamed.tif", stack, Layout(lattice, "uint16", ("",) * len(ALL), 0, TAGS))
    write_raster(folder / "own" / "s2.tif", stack[..., 1:4], Layout(lattice, "uint16", ALL[1:4], 0, TAGS))
    write_raster(folder / "own" / "s2_20m.tif", native, Layout(coarsen(lattice, 2), "uint16", ("B11",), 0, TAGS))
    return folder


def read(scene):
    handles = Handles()
    found = scene.read(Window(-3, -2, 40, 50), handles)
    handles.close()
    return found


def test_a_stack_gives_what_the_bands_at_their_own_spacing_give(places):
    opened = open_scene(places / "stack.tif", WITH_SWIR)
    expected, found = read(open_scene(places / "own", WITH_SWIR).scene), read(opened.scene)
    for name in ("s2", "s2_20m"):
        np.testing.assert_array_equal(found[name]["valid"], expected[name]["valid"])
        np.testing.assert_allclose(found[name]["values"], expected[name]["values"], atol=1e-6)
    assert found["s2_20m"]["valid"].sum() == 32 * 42 - 4  # its last row reaches beyond the scene
    assert opened.decisions["bands_s2_20m"] == "B11: band 11 (B11)"


def test_bands_without_names_are_numbered_for_all_modalities(places):
    numbers = (4, 3, 2, 11)
    found = read(open_scene(places / "unnamed.tif", WITH_SWIR, bands=numbers).scene)
    expected = read(open_scene(places / "stack.tif", WITH_SWIR).scene)
    for name in expected:
        np.testing.assert_array_equal(found[name]["values"], expected[name]["values"])
    for bands in ((), (4, 3, 2)):
        with pytest.raises(
            InputError, match=r"has 12 unnamed bands, .*\['B04', 'B03', 'B02', 'B11'\].*these 4 with --bands"
        ):
            open_scene(places / "unnamed.tif", WITH_SWIR, bands=bands)
    assert read(open_scene(places / "stack.tif", WITH_SWIR, bands=(4, 3, 2)).scene).keys() == expected.keys()


def test_the_catalogue_of_an_area_keeps_it(places):
    scene = open_scene(places / "stack.tif", WITH_SWIR).scene
    entry = CatalogueScene("stack", scene, {}, np.ones(SIZE, bool), "", None, (), "")
    listed = typed.parse(to_json(entry), ListedScene, formats.CATALOGUE, "here")
    layer = from_listed(listed, WITH_SWIR).scene.layers["s2_20m"][0]
    assert layer.finer == 2
    assert "finer" not in typed.plain(dataclasses.replace(layer, finer=None))  # plans from before it stay the same


def test_what_a_stack_lacks_is_missing(places):
    thermal = dataclasses.replace(SWIR, bands=("B10",))
    lacking = WITH_SWIR.replace(modalities=(WITH_SWIR.primary, thermal))
    with pytest.raises(InputError, match="no raster of modality 's2_20m'"):
        open_scene(places / "stack.tif", lacking)
    with pytest.raises(InputError, match="no raster of modality 's1'") as caught:
        open_scene(places / "stack.tif", WITH_SAR)
    if shipped.names():
        assert str(caught.value).endswith(
            "alone: --workdir=dubai --radiometry=harmonise, which maps ground unlike that of its training poorly"
        )


def test_means_are_of_valid_pixels():
    values = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    valid = np.ones((4, 4), bool)
    valid[0, 0] = valid[2:, 2:] = False
    means, known = block_means(values * valid[..., None], valid, 2)
    np.testing.assert_allclose(means[..., 0], [[(1 + 4 + 5) / 3, 4.5], [10.5, 0]])
    np.testing.assert_array_equal(known, [[True, True], [True, False]])


def test_real_stacks(real_data, tmp_path):
    """TerraMesh: twelve bands at 10 m; its README tells the offset that the file does not."""
    path = tmp_path / "stack.tif"
    shutil.copy(next((real_data / "sentinel2" / "terramesh" / "S2L2A").glob("*433D*")), path)
    with pytest.raises(InputError, match="RADIO_ADD_OFFSET=-1000"):
        open_scene(path, WITH_SWIR)
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(RADIO_ADD_OFFSET=-1000)
    values = open_scene(path, WITH_SWIR).scene.read(Window(0, 0, 64, 64), Handles())["s2_20m"]
    assert values["valid"].all()
    assert 0.05 < values["values"].mean() < 0.5
