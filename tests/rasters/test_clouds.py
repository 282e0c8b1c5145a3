"""Masks of cloud: what they leave of a scene, with a buffer, at both spacings, whatever the window."""

import dataclasses

import numpy as np
import pytest
from scene_files import REFLECTANCE, SWIR, write_scene

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.cloud_choice import CloudChoice
from jointseg_jax.rasters.clouds import ClearRule, CloudFile, open_mask
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick

SIDE = 60
LATTICE = make_lattice("EPSG:32650", 500_000, 3_400_000, 10, SIDE, SIDE)
BOTH = Contract((*REFLECTANCE.modalities, SWIR), REFLECTANCE.image_bands)


def write_mask(path, codes, spacing, names=("SCL",), top=3_400_000):
    values = codes if codes.ndim == 3 else codes[..., None]
    lattice = make_lattice("EPSG:32650", 500_000, top, spacing, *codes.shape[:2])
    write_raster(path, values.astype(np.uint8), Layout(lattice, "uint8", names, 0))


def cloudy(side, at, code=9):
    codes = np.full((side, side), 4)
    codes[at] = code
    return codes


def expected(cloud, buffer):
    """Clear 10 m pixels by the distance between their centres, one by one."""
    rows, cols = np.nonzero(cloud)
    y, x = np.mgrid[: cloud.shape[0], : cloud.shape[1]]
    nearest = np.hypot(y[..., None] - rows, x[..., None] - cols).min(-1) * 10
    return nearest > buffer


@pytest.mark.parametrize("buffer", [0.0, 45.0, 80.0])
@pytest.mark.parametrize("spacing", [10, 20, 60])
def test_a_mask_of_any_spacing_with_a_buffer(tmp_path, spacing, buffer):
    codes = cloudy(SIDE * 10 // spacing, np.s_[2:4, 3:5])
    write_mask(tmp_path / "scl.tif", codes, spacing)
    mask = open_mask(CloudFile(tmp_path / "scl.tif"), LATTICE, 1, ClearRule(buffer=buffer))
    cloud = np.kron(codes == 9, np.ones((spacing // 10,) * 2, bool))
    want = expected(cloud, buffer)
    whole = mask.clear(Window(0, 0, SIDE, SIDE), Handles())
    np.testing.assert_array_equal(whole, want)
    for window in (Window(0, 0, 7, 9), Window(5, 11, 13, 8), Window(-3, -3, 20, 20)):  # whatever the window
        inside = window.clip(SIDE, SIDE)
        part = mask.clear(window, Handles())[inside.row - window.row :, inside.col - window.col :]
        np.testing.assert_array_equal(part[: inside.height, : inside.width], want[inside.slices()])


def test_a_pixel_of_20_m_is_clear_where_all_of_it_is(tmp_path):
    codes = np.ones((SIDE, SIDE))
    codes[5, 5] = 2
    write_mask(tmp_path / "own.tif", codes, 10)
    mask = open_mask(CloudFile(tmp_path / "own.tif"), LATTICE, 2, ClearRule(codes=(1,)))
    clear = mask.clear(Window(0, 0, SIDE // 2, SIDE // 2), Handles())
    assert np.argwhere(~clear).tolist() == [[2, 2]]


def test_no_buffer_grows_around_no_data(tmp_path):
    write_mask(tmp_path / "scl.tif", cloudy(SIDE // 2, np.s_[:, :5], code=0), 20)
    mask = open_mask(CloudFile(tmp_path / "scl.tif"), LATTICE, 1, ClearRule(buffer=100))
    assert mask.clear(Window(0, 0, SIDE, SIDE), Handles()).mean() == 1 - 10 / SIDE


def write_cloudy_scene(folder, share=0.03):
    """A scene of both spacings in which some ground is far brighter than all training data."""
    values = write_scene(
        folder / "s2.tif", size=(SIDE, SIDE), corner=(500_000, 3_400_000), names=("B04", "B03", "B02"), nodata=0,
        RADIO_ADD_OFFSET=-1000,
    )  # fmt: skip
    rows = round(SIDE * share / 2) * 2
    values[:rows] = 60_000
    lattice = make_lattice("EPSG:32650", 500_000, 3_400_000, 10, SIDE, SIDE)
    write_raster(
        folder / "s2.tif", values, Layout(lattice, "uint16", ("B04", "B03", "B02"), 0, {"RADIO_ADD_OFFSET": -1000})
    )
    write_scene(
        folder / "s2_20m.tif", size=(SIDE // 2, SIDE // 2), corner=(500_000, 3_400_000), spacing=20.0, names=("B11",),
        nodata=0, RADIO_ADD_OFFSET=-1000,
    )  # fmt: skip
    return rows


@pytest.mark.parametrize("source", ["auto", "mask.tif", "mask.tif#2", "mask.tif#cloud"])
def test_cloud_becomes_nodata_in_every_optical_layer(tmp_path, source):
    rows = write_cloudy_scene(tmp_path)
    codes = cloudy(SIDE // 2, np.s_[: rows // 2])
    if source == "auto":
        write_mask(tmp_path / "scl.tif", codes, 20)
    elif "#" in source:
        write_mask(tmp_path / "mask.tif", np.stack([np.ones_like(codes), codes], -1), 20, ("other", "CLOUD"))
    else:
        write_mask(tmp_path / "mask.tif", codes, 20)
    opened = open_scene(tmp_path, BOTH, clouds=CloudChoice(source))
    for name, scale in (("s2", 1), ("s2_20m", 2)):
        valid = opened.scene.layers[name][0].read(Window(0, 0, SIDE // scale, SIDE // scale), Handles())[1]
        assert not valid[: rows // scale].any()
        assert valid[rows // scale :].all()
        assert "cloud by" in opened.decisions[f"radiometry_{name}"]
    assert not opened.valid[:rows].any()


def test_without_a_mask_cloud_is_ground(tmp_path):
    rows = write_cloudy_scene(tmp_path)
    write_mask(tmp_path / "scl.tif", cloudy(SIDE // 2, np.s_[: rows // 2]), 20)
    opened = open_scene(tmp_path, BOTH, clouds=CloudChoice("none"))
    assert opened.valid.all()
    assert "cloud not masked (scl.tif)" in opened.decisions["radiometry_s2"]


def test_harmonising_is_not_fitted_to_cloud(tmp_path):
    """A third of the scene is cloud: its gain and offset are those of the clear part alone."""
    rows = write_cloudy_scene(tmp_path, share=0.4)
    write_mask(tmp_path / "own.tif", cloudy(SIDE // 2, np.s_[: rows // 2], code=1), 20)
    fitted = {
        source: open_scene(
            tmp_path, BOTH, mode="harmonise", clouds=CloudChoice(source, ClearRule(codes=(4,)))
        ).scene.layers["s2"][0]
        for source in ("own.tif", "none")
    }
    stored = fitted["own.tif"].read(Window(rows, 0, SIDE - rows, SIDE), Handles())[0]
    own = REFLECTANCE.primary.statistics
    np.testing.assert_allclose(stored.mean((0, 1)), own.mean, atol=1e-3)
    np.testing.assert_allclose(stored.std((0, 1)), own.std, rtol=0.02)
    cloudy_fit = fitted["none"].read(Window(rows, 0, SIDE - rows, SIDE), Handles())[0]
    assert (cloudy_fit.std((0, 1)) < 0.5 * np.array(own.std)).all()  # what happened without the mask


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.tif", "is neither in the working folder nor beside"),
        ("odd.tif", "do not consist of pixels of 10"),
        ("shifted.tif", "fraction of a pixel"),
        ("good.tif#SCL9", "has no band 'SCL9'"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(tmp_path, source, message):
    write_cloudy_scene(tmp_path)
    write_mask(tmp_path / "good.tif", cloudy(SIDE // 2, np.s_[:1]), 20)
    write_mask(tmp_path / "odd.tif", cloudy(SIDE // 2, np.s_[:1]), 25)
    write_mask(tmp_path / "shifted.tif", cloudy(SIDE // 2, np.s_[:1]), 20, top=3_400_003)
    with pytest.raises(InputError, match=message):
        open_scene(tmp_path, BOTH, clouds=CloudChoice(source))


def test_every_date_needs_a_mask_of_its_own(tmp_path):
    dated = BOTH.replace(modalities=tuple(dataclasses.replace(m, dates=2) for m in BOTH.modalities))
    for date in range(2):
        folder = tmp_path / str(date)
        rows = write_cloudy_scene(folder)
        for name in ("s2", "s2_20m"):
            (folder / f"{name}.tif").rename(tmp_path / f"{name}_{date}.tif")
        write_mask(tmp_path / f"m{date}.tif", cloudy(SIDE // 2, np.s_[: rows // 2] if date else np.s_[-3:]), 20)
    opened = open_scene(tmp_path, dated, clouds=CloudChoice("m0.tif,m1.tif"))
    valid = opened.scene.read(Window(0, 0, SIDE, SIDE), Handles())["s2"]["valid"]
    assert valid.all((2,)).sum(1).tolist() == [SIDE - 6, SIDE - rows]
    assert not valid[0, -6:].any()
    with pytest.raises(InputError, match="name one mask per date"):
        open_scene(tmp_path, dated, clouds=CloudChoice("m0.tif"))
