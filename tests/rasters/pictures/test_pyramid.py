"""Pictures of a raster in Web Mercator lie where its pixels lie."""

import math

import numpy as np
import pyproj
import pytest
from PIL import Image

from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.pictures.pyramid import SIDE, count_over, tile_of, tiles_over, write_pyramid
from jointseg_jax.rasters.writer import Layout, cog_writer


def paint(values, valid):
    grey = np.where(values[..., :1] == 1, 255, 40).astype(np.uint8)
    return np.concatenate([np.repeat(grey, 3, -1), np.where(valid, 255, 0).astype(np.uint8)[..., None]], -1)


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory):
    """A raster with one bright square; its pyramid; longitude and latitude of the square's centre."""
    folder = tmp_path_factory.mktemp("pyramid")
    lattice = make_lattice("EPSG:32650", 500000.0, 3400000.0, 1, 600, 700)
    values = np.zeros((600, 700), np.uint8)
    values[200:260, 300:380] = 1
    values[:100, :100] = 255
    with cog_writer(folder / "r.tif", Layout(lattice, "uint8", ("c",), 255), overviews="mode") as writer:
        writer.write(values, Window(0, 0, 600, 700))
    degrees = pyproj.Transformer.from_crs(32650, 4326, always_xy=True)
    box = degrees.transform_bounds(500000, 3399400, 500700, 3400000)
    count = write_pyramid(folder / "p", [(folder / "r.tif", (1,))], [box], (14, 17), paint)
    return folder / "p", degrees.transform, count


def shown(folder, lon, lat, zoom):
    """RGBA of the pixel that shows a place."""
    x, y = tile_of(lon, lat, zoom)
    path = folder / str(zoom) / str(x) / f"{y}.png"
    if not path.exists():
        return np.zeros(4, np.uint8)
    fx = (lon + 180) / 360 * 2**zoom
    fy = (0.5 - math.asinh(math.tan(math.radians(lat))) / (2 * math.pi)) * 2**zoom
    return np.asarray(Image.open(path))[int((fy - y) * SIDE), int((fx - x) * SIDE)]


def test_places_are_where_they_are(pyramid):
    folder, degrees, _ = pyramid
    places = [(340, 230, 255), (304, 204, 255), (376, 256, 255), (295, 230, 40), (385, 230, 40), (650, 550, 40)]
    for east, south, level in places:
        assert shown(folder, *degrees(500000 + east, 3400000 - south), 17)[0] == level, (east, south)
    assert shown(folder, *degrees(500050, 3399950), 17)[3] == 0  # nodata
    assert shown(folder, *degrees(500800, 3399800), 17)[3] == 0  # outside


def test_coarser_levels_are_shares(pyramid):
    """The mean over the pictures is the share, at every level; nothing is lost and transparent places do not count."""
    folder, _, count = pyramid
    means = []
    for zoom in (17, 16, 15, 14):
        pictures = [np.asarray(Image.open(p)).astype(float) for p in (folder / str(zoom)).rglob("*.png")]
        weight = sum(p[..., 3].sum() for p in pictures)
        means.append(sum((p[..., 0] * p[..., 3]).sum() for p in pictures) / weight)
    assert means[0] == pytest.approx(40 + 215 * 4800 / 410000, rel=0.02)
    assert means == pytest.approx([means[0]] * 4, rel=0.01)
    assert count == len(list(folder.rglob("*.png")))


def test_tiles_over_boxes():
    assert tile_of(0, 0, 1) == (1, 1)
    assert tile_of(-180, 85.06, 3) == (0, 0)
    assert tile_of(180, -89, 3) == (7, 7)
    across = tiles_over([[179.9, 0.1, -179.9, 0.2]], 3)
    assert {t[1] for t in across} == {0, 7}
    assert count_over([[179.9, 0.1, -179.9, 0.2]], 3) == len(across)
