"""Rasters of further modalities cover the ground of the first, or are refused; optional ones may be absent."""

import dataclasses

import numpy as np
import pytest
from scene_files import REFLECTANCE, WITH_SAR, WITH_SWIR, write_scene

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (30, 39)}, r"s1\.tif has 39 x 30 pixels"),
        ({"spacing": 20.0}, r"s1\.tif has pixels of 20 x 20"),
        ({"crs": "EPSG:32633"}, r"s1\.tif is in EPSG:32633"),
        ({"corner": (500_100, 3_400_000)}, r"s1\.tif has its upper left corner at 500100"),
    ],
)
@pytest.mark.parametrize("keep_grid", [False, True])
def test_partners_must_cover_the_same_ground(tmp_path, changes, message, keep_grid):
    write_scene(tmp_path / "s2.tif", RADIO_ADD_OFFSET=-1000)
    write_scene(tmp_path / "s1.tif", dtype="float32", low=-20, high=-5, names=("VV",), **changes)
    with pytest.raises(InputError, match=message):
        open_scene(tmp_path, WITH_SAR, keep_grid=keep_grid)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crs": "EPSG:32633", "spacing": 60.0}, "EPSG:32633"),
        ({"spacing": 60.0}, "pixels of 60 x 60"),
        ({"corner": (500_000, 3_400_020)}, "corner at 500000, 3400020"),
        ({"size": (15, 20), "spacing": 10.0}, "pixels of 10 x 10"),
    ],
)
def test_coarser_partners_too(tmp_path, changes, message):
    """The shape alone says nothing: these have the right number of pixels."""
    write_scene(tmp_path / "s2.tif", RADIO_ADD_OFFSET=-1000)
    swir = {"names": ("B11",), "size": (15, 20), "spacing": 20.0, "RADIO_ADD_OFFSET": -1000, **changes}
    write_scene(tmp_path / "s2_20m.tif", **swir)
    with pytest.raises(InputError, match=message):
        open_scene(tmp_path, WITH_SWIR)


def test_a_scene_of_odd_size_with_20_m_bands(tmp_path):
    """Its last row and column lie in 20 m pixels that reach beyond it; no window changes a value."""
    write_scene(tmp_path / "s2.tif", size=(35, 41), RADIO_ADD_OFFSET=-1000)
    write_scene(tmp_path / "s2_20m.tif", names=("B11",), size=(18, 21), spacing=20.0, RADIO_ADD_OFFSET=-1000)
    opened = open_scene(tmp_path, WITH_SWIR).scene
    whole = opened.read(Window(0, 0, 35, 41), Handles())["s2_20m"]
    assert whole["valid"].all()
    part = opened.read(Window(30, 34, 9, 11), Handles())["s2_20m"]
    np.testing.assert_array_equal(part["values"][:, :5, :7], whole["values"][:, 30:, 34:])
    assert part["valid"][0, :6, :8].all()  # the rest of the last 20 m pixels
    assert not part["valid"][0, 6:].any()


def test_a_kept_grid_in_degrees_has_partners_in_degrees(tmp_path):
    grid = {"crs": "EPSG:4326", "RADIO_ADD_OFFSET": -1000}
    write_scene(tmp_path / "s2.tif", spacing=9e-5, size=(35, 41), **grid)
    write_scene(tmp_path / "s2_20m.tif", names=("B11",), size=(18, 21), spacing=18e-5, **grid)
    assert open_scene(tmp_path, WITH_SWIR, keep_grid=True).scene.shape == (35, 41)
    write_scene(tmp_path / "s2_20m.tif", names=("B11",), size=(18, 21), spacing=27e-5, **grid)
    with pytest.raises(InputError, match=r"pixels of 0\.00027"):
        open_scene(tmp_path, WITH_SWIR, keep_grid=True)


def test_an_optional_modality_may_be_absent(tmp_path):
    contract = REFLECTANCE.replace(
        modalities=(REFLECTANCE.primary, dataclasses.replace(WITH_SAR.modalities[1], optional=True))
    )
    write_scene(tmp_path / "s2.tif", RADIO_ADD_OFFSET=-1000)
    for path in (tmp_path, tmp_path / "s2.tif"):
        opened = open_scene(path, contract)
        assert opened.decisions["radiometry_s1"] == "absent, masked"
        sar = opened.scene.read(Window(0, 0, 30, 40), Handles())["s1"]
        assert sar["values"].shape == (1, 30, 40, 1)
        assert not sar["valid"].any()
