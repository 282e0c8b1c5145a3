"""A network from Python: the map of jointseg predict, whatever form the scene has."""

import pathlib
import re

import affine
import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from odc.geo.geobox import GeoBox

import jointseg_jax as js
from jointseg_jax.api.given_array import write_given
from jointseg_jax.api.network import Network
from jointseg_jax.api.python_words import python_words
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Contract, Modality
from jointseg_jax.rasters.header import read_header
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.virtual.mosaic import Source, write_vrt
from jointseg_jax.rasters.writer import Layout, write_raster


@pytest.fixture(scope="module")
def seer(seeing):
    return Network(seeing)


@pytest.fixture(scope="module")
def scene(picture, ground):
    """A picture for `seer` with a hole, and its stored numbers [bands, h, w]."""
    stored = ground(3, 23, 31)
    opened = picture(stored, "of-python")
    return pathlib.Path(opened.layers["s2"][0].path), np.moveaxis(stored, -1, 0)


@pytest.fixture(scope="module")
def mapped(seer, scene):
    return seer.predict(str(scene[0]), progress=False)


@pytest.fixture(scope="module")
def place(scene):
    with rasterio.open(scene[0]) as raster:
        return {"transform": raster.transform, "crs": raster.crs}


def test_the_map_is_that_of_the_files_to_the_bit(seer, scene, mapped, tmp_path):
    """In other windows, too; and the files are what `map_scene` writes, as jointseg predict does."""
    written = seer.predict(scene[0], output=tmp_path / "map", tile=9, progress=False)
    xr.testing.assert_identical(written.compute(), mapped)
    assert written["image"].chunks is not None  # not read yet
    with rasterio.open(tmp_path / "map" / "probability.tif") as raster:
        stored = raster.read(1)
    expected = np.where(stored == 255, np.nan, stored.astype(np.float32) * np.float32(1 / 200))
    np.testing.assert_array_equal(mapped["probability"].values, expected)
    with rasterio.open(tmp_path / "map" / "image.tif") as raster:
        stored, valid = raster.read(), mapped["impervious"].values != 255
        assert raster.scales[0] == pytest.approx(1 / 255)
    np.testing.assert_allclose(mapped["image"].values[:, valid], stored[:, valid] / 255, rtol=1e-6)


def test_the_map_lies_on_the_scenes_ground(mapped, place, scene):
    fine = place["transform"] * affine.Affine.scale(0.1)
    assert mapped.rio.crs == place["crs"]
    assert mapped.rio.transform() == fine
    assert mapped["probability"].rio.transform() == fine
    assert (mapped.sizes["y"], mapped.sizes["x"]) == (230, 310)
    assert mapped["x"].values[:2] == pytest.approx([fine.c + 0.5, fine.c + 1.5])
    assert mapped["y"].values[:2] == pytest.approx([fine.f - 0.5, fine.f - 1.5])
    assert list(mapped["band"].values) == ["B04", "B03", "B02"]
    hole = np.kron((scene[1] == 0).all(0), np.ones((10, 10), bool))
    assert hole.any()
    np.testing.assert_array_equal(mapped["impervious"].values == 255, hole)
    np.testing.assert_array_equal(np.isnan(mapped["probability"].values), hole)
    assert np.isnan(mapped["image"].values[:, hole]).all()
    assert mapped["impervious"].rio.nodata == 255
    assert mapped.attrs["MODEL"].startswith("seeing, step 0")


def test_arrays_give_the_same_map_as_the_file(seer, scene, mapped, place):
    array = scene[1]
    given = [
        (array, {**place, "bands": ("B04", "B03", "B02"), "nodata": 0}),
        (array[::-1], {"transform": tuple(place["transform"]), "crs": "EPSG:32652", "bands": ("B02", "B03", "B04"),
                       "nodata": 0}),
        (rioxarray.open_rasterio(scene[0]), {}),
    ]  # fmt: skip
    for scene_, arguments in given:
        found = seer.predict(scene_, progress=False, **arguments)
        for name in ("impervious", "probability", "image"):
            xr.testing.assert_equal(found[name], mapped[name])
        assert found.rio.crs == mapped.rio.crs


def test_an_array_without_a_place_is_mapped_from_the_corner(seer, scene, mapped):
    found = seer.predict(scene[1], nodata=0, image=False, progress=False)
    np.testing.assert_array_equal(found["impervious"].values, mapped["impervious"].values)
    assert set(found.data_vars) == {"impervious", "probability"}
    assert found.rio.crs is None
    assert (float(found["x"][0]), float(found["y"][0])) == (0.5, -0.5)


def test_what_cannot_be_used_is_refused_in_a_sentence(seer, scene, place, tmp_path):
    array = scene[1]
    refused = [
        (np.moveaxis(array, 0, -1), {}, r"shape \(23, 31, 3\).*\[bands, height, width\] with 3 bands"),
        (array[:2], place, r"shape \(2, 23, 31\)"),
        (array, {"crs": "EPSG:32652"}, "CRS but no transform"),
        (array, {"transform": (1, 2), "crs": 32652}, "no affine transform"),
        (array, {**place, "crs": "EPSG:nowhere"}, "no coordinate reference system"),
        (array.astype(bool), place, "array.astype"),
        (array, {**place, "bands": ("B08", "B03", "B02")}, "B04"),
        (xr.Dataset(), {}, "xarray.Dataset"),
        (5, {}, "is a int"),
        (tmp_path / "none.tif", {}, "does not exist"),
        (scene[0], {"transform": place["transform"]}, "remove transform"),
        (scene[0], {"bands": ("B04",)}, "numbers from 1"),
        (scene[0], {"uncertainty": True}, "output="),
        (scene[0], {"radiometry": "none"}, "radiometry='none' is unknown"),
        (array.astype("uint16"), place, "^the array has uint16 numbers.* or pass radiometry='harmonise', which"),
        (
            array,
            {**place, "bands": ("a", "B03", "B02")},
            r"^the array has no band B04.*: name its bands \(bands=...\)$",
        ),
        (rioxarray.open_rasterio(scene[0]).expand_dims("time"), {}, r"\(band, y, x\)"),
    ]
    for given, arguments, message in refused:
        with pytest.raises(InputError, match=message):
            seer.predict(given, progress=False, **arguments)


def test_a_result_larger_than_memory_is_refused_before_it_is_computed(seer, scene, monkeypatch):
    from jointseg_jax.mapping import in_memory

    monkeypatch.setattr(in_memory, "memory_limit", lambda: 2_000_000)
    with pytest.raises(InputError, match=r"takes 1.21 MB .* 2 MB in all: give a folder \(output"):
        seer.predict(scene[0], progress=False)
    assert seer.predict(scene[0], image=False, progress=False).sizes["x"] == 310


def test_mosaics_of_an_area_and_layers_at_10_m(seer, scene, tmp_path):
    seer.predict(scene[0], output=tmp_path / "map", progress=False)
    written = js.read_map(tmp_path / "map")
    for name in ("impervious", "probability", "image"):
        for epsg in (32651, 32652):  # the second is the file's own
            file = tmp_path / "map" / f"{name}.tif"
            write_vrt(tmp_path / "area" / "mosaics" / f"{name}_{epsg}.vrt", [Source(file, read_header(file))])
    with pytest.raises(InputError, match="zones 32651, 32652: choose one by epsg=32651"):
        js.read_map(tmp_path / "area")
    found = js.read_map(str(tmp_path / "area"), epsg=32652)
    for name in ("impervious", "probability", "image"):
        xr.testing.assert_equal(found[name], written[name])
    with pytest.raises(InputError, match="no layers at 10 m"):
        js.read_map(tmp_path / "map", spacing=10)
    with rasterio.open(scene[0]) as raster:
        lattice = GeoBox(raster.shape, raster.transform, "EPSG:32652")
    stored = np.full((*lattice.shape, 3), (100, 50, 150), np.uint8)
    stored[0, 0] = 255
    layout = Layout(lattice, "uint8", ("fraction", "low", "high"), 255, scale=1 / 200)
    write_raster(tmp_path / "map" / "fraction.tif", stored, layout)
    fraction = js.read_map(tmp_path / "map", spacing=10)["fraction"]
    assert fraction.rio.transform() == lattice.affine
    assert fraction.sel(part="high").values[1, 1] == pytest.approx(0.75)
    assert np.isnan(fraction.values[:, 0, 0]).all()


def test_a_folder_without_a_map_says_what_to_give(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="--output of jointseg predict"):
            js.read_map(folder)
    with pytest.raises(InputError, match="spacing=3"):
        js.read_map(tmp_path, spacing=3)


@pytest.mark.parametrize(
    ("numbers", "arguments", "said"),
    [
        ((500, 3000), {}, "no information about its radiometric offset.*: give scale=1e-4, offset=-0.1 if they incl"),
        ((100, 3000), {"scale": 1e-4, "offset": -0.1}, "below -0.02: give scale=1e-4, offset=-0.1 if"),
        ((1005, 2500), {"scale": 1e-4, "offset": 0.0}, "all just above 1000: give scale=1e-4, offset=-0.1 if"),
    ],
)
def test_digital_numbers_of_an_array_are_refused_in_terms_of_its_arguments(tmp_path, numbers, arguments, said):
    modality = Modality("s2", ("B04", "B03", "B02"), 10, "uint16", "reflectance", 0, 1e-4)
    array = np.random.default_rng(0).uniform(*numbers, (3, 40, 40)).astype(np.uint16)
    path = write_given(
        tmp_path, array, modality, transform=None, crs=None, bands=None, nodata=None,
        **{"scale": None, "offset": None, **arguments},
    )  # fmt: skip
    with pytest.raises(InputError, match=f"^the array.*{said}") as refused, python_words(path):
        open_scene(path, Contract((modality,), modality.bands), keep_grid=True)
    assert not re.search(r"gdal|\.tif|\.xml|--", str(refused.value))
