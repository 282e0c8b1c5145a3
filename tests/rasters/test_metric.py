"""Pixels that are metres on the ground: which are, which are not, and advice that works."""

import re

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.warp
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.control import GroundControlPoint
from rasterio.enums import Resampling

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.product.tally import Tally
from jointseg_jax.rasters.lattice import Window, is_placed, make_lattice
from jointseg_jax.rasters.metric import check_grid, check_metric, is_utm, scales_of, warp_advice
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.raster_files import dataset_lattice

pytestmark = pytest.mark.quick

UTM = make_lattice("EPSG:32650", 500_000, 3_400_000, 10, 3, 3)
LOCAL = 'LOCAL_CS["arbitrary",UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (GeoBox((3, 3), Affine(10, 0, 0, 0, -10, 0), None), "no CRS"),
        (make_lattice("EPSG:4326", 10, 50, 1e-4, 3, 3), r"\(degrees\).* -t_srs EPSG:32632 -tr 10 10 -tap"),
        (make_lattice(LOCAL, 0, 0, 10, 3, 3), "the CRS 'arbitrary', which does not refer to the Earth"),
        (make_lattice("EPSG:2263", 980_000, 200_000, 10, 3, 3), "whose unit is US survey foot, not metre.* EPSG:32618"),
        (make_lattice("EPSG:3857", 1_350_000, 6_600_000, 10, 3, 3), r"10 m is 6\.\d+ m on the ground.* EPSG:32633"),
        (make_lattice("EPSG:3857", 0, -100, 10, 3, 3), r"9\.93\d m on the ground"),
        (make_lattice("EPSG:3413", 0, -1_000_000, 10, 3, 3), r"10\.24 m on the ground"),
        (make_lattice("EPSG:32650", 1e12, 1e12, 10, 3, 3), "outside the area where"),
        (GeoBox((3, 3), Affine(10, 0, 0, 0, -12, 0), "EPSG:32650"), "non-square"),
        (GeoBox((3, 3), Affine(10, 1, 0, 0, -10, 0), "EPSG:32650"), "rotated"),
        (GeoBox((3, 3), Affine(10, 0, 0, 0, 10, 0), "EPSG:32650"), "flipped"),
        (GeoBox((3, 3), Affine.identity(), "EPSG:32650"), "no geotransform"),
        (GeoBox((3, 3), Affine(10, 0, np.nan, 0, -10, 0), "EPSG:32650"), "not finite"),
        (GeoBox((3, 3), Affine(np.inf, 0, 0, 0, -10, 0), None), "not finite"),
        (make_lattice("EPSG:32650", 0, 0, 20, 3, 3), "pixels of 20 m, but 10 m"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_refusals_name_the_file(box, message):
    with pytest.raises(InputError, match=message) as caught:
        check_metric(box, 10, "here.tif")
    assert str(caught.value).startswith("here.tif")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("epsg", "left", "top", "utm"),
    [
        (32650, 740_000, 3_352_020, True),
        (25832, 500_000, 5_500_000, True),  # ETRS89
        (31983, 330_000, 7_390_000, True),  # SIRGAS 2000
        (26918, 580_000, 4_500_000, True),  # NAD83
        (28350, 390_000, 6_460_000, True),  # GDA94 / MGA
        (2154, 652_710, 7_060_000, False),  # Lambert-93, at its worst
        (28992, 155_000, 463_000, False),
        (5514, -740_000, -1_043_000, False),
        (3035, 4_321_000, 3_210_000, False),
        (3413, 0, -2_200_000, False),
        (2326, 836_700, 819_070, False),
        (32118, 300_000, 60_000, False),  # a state plane in metres
        (32056, 500_000, 4_650_000, False),  # another
        (26718, 580_000, 4_500_000, False),  # UTM on NAD27: 200 m off
        (23030, 440_000, 4_475_000, False),  # UTM on ED50
    ],
)
def test_only_utm_on_the_common_frame_is_a_lattice(epsg, left, top, utm):
    """Other projections may be true to scale where they lie, and are warped all the same."""
    box = make_lattice(f"EPSG:{epsg}", left, top, 10, 30, 30)
    assert is_utm(f"EPSG:{epsg}") == utm
    if utm:
        check_metric(box, 10, "here.tif")
        return
    with pytest.raises(InputError, match=r"(UTM zone of WGS 84 or ETRS89|on the ground|not metre): .*-t_srs EPSG:32"):
        check_metric(box, 10, "here.tif")


def test_scale_is_that_of_the_projection():
    lon, lat = 9.5, 42.0
    x, y = pyproj.Transformer.from_crs(4326, 2154, always_xy=True).transform(lon, lat)
    expected = pyproj.Proj("EPSG:2154").get_factors(lon, lat)
    scales = scales_of(make_lattice("EPSG:2154", x - 10, y + 10, 10, 2, 2)).reshape(4, 5)[:, 0]
    np.testing.assert_allclose(scales, expected.meridional_scale, rtol=1e-5)


def test_crs_with_heights_are_looked_at_without():
    check_metric(GeoBox((3, 3), UTM.affine, pyproj.CRS("EPSG:32650+5773").to_wkt()), 10, "here.tif")


def write(path, values, crs, **georeference):
    profile = {"driver": "GTiff", "width": values.shape[1], "height": values.shape[0], "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", **profile, crs=crs, **georeference) as raster:
        raster.write(values, 1)
    return path


VALUES = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) + 1
LEFT, TOP = 740_000, 3_352_020


@pytest.mark.parametrize("kind", ["south up", "control points", "rotated", "degrees"])
def test_who_follows_the_advice_is_served(tmp_path, kind):
    """The command in the message, done by rasterio, gives a raster that is accepted, with the pixels in their place."""
    path, crs = tmp_path / "s.tif", "EPSG:32650"
    if kind == "south up":
        write(path, VALUES[::-1], crs, transform=Affine(10, 0, LEFT, 0, 10, TOP - 200))
    elif kind == "control points":
        corners = [(0, 0), (0, 30), (20, 0), (20, 30)]
        points = [GroundControlPoint(row, col, LEFT + 10 * col, TOP - 10 * row) for row, col in corners]
        write(path, VALUES, crs, gcps=points)
    elif kind == "rotated":
        write(path, VALUES, crs, transform=Affine(10, 0.5, LEFT, 0.5, -10, TOP))
    else:
        write(path, VALUES, "EPSG:4326", transform=Affine(1e-4, 0, 117.5, 0, -1e-4, 30.2))
    with pytest.raises(InputError) as caught, open_raster(path) as raster:
        check_metric(dataset_lattice(raster), 10, str(path))
    with rasterio.open(path) as raster:
        warped, box = follow(str(caught.value), raster)
    check_metric(box, 10, "warped.tif")
    assert (warped > 0).sum() > 100
    if kind in ("south up", "control points"):
        assert tuple(box.affine[:6]) == (10, 0, LEFT, 0, -10, TOP)
        np.testing.assert_array_equal(warped[:20, :30], VALUES)


def follow(message, raster):
    """What a gdalwarp command makes of a raster: numbers and lattice."""
    command = re.search(r"\(gdalwarp (.*?) [^ ]*s\.tif", message)[1]
    size = float(re.search(r"-tr (\S+) \1", command)[1])
    target = re.search(r"-t_srs (\S+)", command)
    points, crs = raster.gcps if raster.gcps[0] else (None, raster.crs)
    if target is None:
        left, bottom, right, top = raster.bounds
        (west, east), (south, north) = sorted((left, right)), sorted((bottom, top))
        transform = Affine(size, 0, west, 0, -size, north)
        width, height = round((east - west) / size), round((north - south) / size)
    else:
        place = (
            {"gcps": points} if points else dict(zip(("left", "bottom", "right", "top"), raster.bounds, strict=True))
        )
        transform, width, height = rasterio.warp.calculate_default_transform(
            crs, target[1], raster.width, raster.height, **place, resolution=size
        )
        transform, width, height = rasterio.warp.aligned_target(transform, width, height, size)
    made = np.zeros((height, width), np.uint16)
    rasterio.warp.reproject(
        raster.read(1),
        made,
        src_crs=crs,
        **({"gcps": points} if points else {"src_transform": raster.transform}),
        dst_crs=target[1] if target else crs,
        dst_transform=transform,
        resampling=Resampling.nearest if command.endswith("-r near") else Resampling.cubic,
    )
    return made, GeoBox((height, width), transform, target[1] if target else crs.to_wkt())


def test_control_points_without_a_crs(tmp_path):
    points = [GroundControlPoint(r, c, c, r) for r, c in ((0, 0), (0, 30), (20, 0))]
    write(tmp_path / "s.tif", VALUES, "EPSG:32650", gcps=points)
    with rasterio.open(tmp_path / "s.tif", "r+") as raster:
        raster.gcps = (points, rasterio.crs.CRS())
    with open_raster(tmp_path / "s.tif") as raster, pytest.raises(InputError, match="without a CRS"):
        dataset_lattice(raster)


def test_a_local_grid_may_be_kept():
    """It is as good as no CRS: the map has pixels but no square kilometres."""
    box = make_lattice(LOCAL, 0, 0, 10, 3, 3)
    check_grid(box, "here.tif")
    assert not is_placed(box)
    tally = Tally(box)
    tally.add(Window(0, 0, 3, 3), 9, 9, 4)
    owned, _, impervious = tally.figures()
    assert (owned.square_metres, impervious.pixels) == (None, 4)


@pytest.mark.parametrize(
    ("crs", "left", "top", "side", "method"),
    [
        ("EPSG:32650", 500_000, 3_400_000, 0.5, "average"),
        ("EPSG:32650", 500_000, 3_400_000, 2.0, "cubic"),
        ("EPSG:3857", 13_000_000, 3_600_000, 1.165, "cubic"),  # 1 m on the ground
        ("EPSG:3857", 13_000_000, 3_600_000, 0.8, "average"),
        ("EPSG:2263", 980_000, 200_000, 1.0, "average"),  # feet
        ("EPSG:4326", 117.0, 30.7, 1e-5, "cubic"),  # 0.96 m along a row
    ],
)
def test_the_command_averages_what_is_finer(crs, left, top, side, method):
    lattice = GeoBox((20, 30), Affine(side, 0, left, 0, -side, top), crs)
    assert f"-tr 1 1 -tap -r {method} image.tif" in warp_advice(lattice, "image.tif", 1.0)
