"""A mosaic shows every pixel of its tiles where it lies, and nothing else."""

import os

import numpy as np
import pytest
import rasterio

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.header import read_header
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.raster_files import lattice_of
from jointseg_jax.rasters.reader import read_window
from jointseg_jax.rasters.virtual.mosaic import Source, write_vrt
from jointseg_jax.rasters.writer import Layout, cog_writer

COLOURS = {0: (1, 2, 3, 255), 1: (214, 39, 40, 255), 255: (0, 0, 0, 0)}


def tile(path, left, top, height, width, seed, crs="EPSG:32650", spacing=1.0, **layout):
    """A COG of random numbers with a nodata hole."""
    layout = {"dtype": "uint8", "bands": ("impervious",), "nodata": 255, **layout}
    values = np.random.default_rng(seed).integers(0, 2, (height, width, len(layout["bands"])))
    values = values.astype(layout["dtype"])
    values[: height // 3, : width // 3] = layout["nodata"] if layout["nodata"] is not None else 0
    lattice = make_lattice(crs, left, top, spacing, height, width)
    with cog_writer(path, Layout(lattice, **layout), overviews="nearest") as writer:
        writer.write(values, Window(0, 0, height, width))
    return Source(path, read_header(path)), values


def three(folder, **layout):
    """Two neighbours and one apart, of odd sizes."""
    return [
        tile(folder / "a & b" / "één.tif", 500000.0, 3400000.0, 101, 77, 0, **layout),
        tile(folder / "b.tif", 500077.0, 3400000.0, 64, 33, 1, **layout),
        tile(folder / "c.tif", 500500.0, 3399500.0, 40, 50, 2, **layout),
    ]


@pytest.mark.parametrize(
    "layout",
    [
        {"colormap": COLOURS},
        {"bands": ("probability",), "scale": 1 / 200},
        {"dtype": "uint16", "bands": ("B04", "B03", "B02"), "nodata": 0, "rgb": True, "scale": 1e-4, "offset": -0.1},
        {"dtype": "float32", "nodata": float("nan")},
        {"nodata": None},
    ],
    ids=["classes", "probability", "image", "float", "no nodata"],
)
def test_every_pixel_where_it_lies(tmp_path, layout):
    made = three(tmp_path, **layout)
    path = tmp_path / "mosaics" / "m.vrt"
    write_vrt(path, [source for source, _ in made])
    lattice = lattice_of(path)
    assert lattice.shape == (540, 550)
    nodata = made[0][0].header.nodata
    expected = np.full((540, 550, made[0][1].shape[-1]), 0 if nodata is None else nodata, made[0][1].dtype)
    for (row, col), (_, values) in zip([(0, 0), (0, 77), (500, 500)], made, strict=True):
        expected[row : row + values.shape[0], col : col + values.shape[1]] = values
    with rasterio.open(path) as raster:
        np.testing.assert_array_equal(read_window(raster, Window(0, 0, 540, 550))[0], expected)
        header, own = read_header(path), made[0][0].header
        assert (header.bands, header.dtype, header.rgb) == (own.bands, own.dtype, own.rgb)
        assert (header.scale, header.offset) == (own.scale, own.offset)
        assert header.nodata == nodata or (np.isnan(header.nodata) and np.isnan(nodata))
        assert raster.crs == rasterio.CRS.from_epsg(32650)
        if "colormap" in layout:
            assert header.colormap[1] == COLOURS[1]
            assert header.colormap[255] == COLOURS[255]


def test_the_folder_can_be_moved(tmp_path):
    made = three(tmp_path / "here")
    write_vrt(tmp_path / "here" / "mosaics" / "m.vrt", [s for s, _ in made])
    (tmp_path / "here").rename(tmp_path / "there")
    with rasterio.open(tmp_path / "there" / "mosaics" / "m.vrt") as raster:
        np.testing.assert_array_equal(raster.read(1)[:101, :77], made[0][1][..., 0])
    assert os.sep * 2 not in (tmp_path / "there" / "mosaics" / "m.vrt").read_text()


def test_where_tiles_overlap_nodata_hides_nothing(tmp_path):
    below, values = tile(tmp_path / "below.tif", 0.0, 100.0, 60, 60, 0)
    above, other = tile(tmp_path / "above.tif", 0.0, 100.0, 60, 60, 1)
    write_vrt(tmp_path / "m.vrt", [below, above])
    expected = np.where(other == 255, values, other)
    with rasterio.open(tmp_path / "m.vrt") as raster:
        np.testing.assert_array_equal(raster.read(1), expected[..., 0])


def test_what_does_not_fit_is_named(tmp_path):
    first, _ = tile(tmp_path / "first.tif", 0.0, 100.0, 20, 20, 0)
    others = {
        "CRS": {"crs": "EPSG:32651"},
        "pixel size": {"spacing": 2.0},
        "type": {"dtype": "uint16"},
        "nodata value": {"nodata": 254},
        "scale and offset": {"scale": 0.5},
        "bands": {"bands": ("impervious", "more")},
    }
    for what, change in others.items():
        other, _ = tile(tmp_path / "other.tif", 100.0, 100.0, 20, 20, 1, **change)
        with pytest.raises(InputError, match=rf"other\.tif has the {what}"):
            write_vrt(tmp_path / "m.vrt", [first, other])
    shifted, _ = tile(tmp_path / "other.tif", 100.5, 100.0, 20, 20, 1)
    with pytest.raises(InputError, match="fraction of a pixel"):
        write_vrt(tmp_path / "m.vrt", [first, shifted])
    with pytest.raises(InputError, match="mosaic without rasters"):
        write_vrt(tmp_path / "m.vrt", [])
    assert not (tmp_path / "m.vrt").exists()


def test_a_type_without_a_name_is_refused_alone_too(tmp_path):
    import dataclasses

    first, _ = tile(tmp_path / "first.tif", 0.0, 100.0, 20, 20, 0)
    odd = dataclasses.replace(first, header=dataclasses.replace(first.header, dtype="complex64"))
    with pytest.raises(InputError, match="complex64"):
        write_vrt(tmp_path / "m.vrt", [odd])
