"""What is wrong with a file of an archive is said in one sentence that names it; what only lies otherwise is warped."""

import pathlib
import shutil

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.control
import rasterio.features
import rasterio.warp
import shapely
import toy
from affine import Affine
from safe_products import safe_of_site

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles

LEFT, TOP = toy.LEFT, toy.TOP  # of site a, 360 x 420 m
GROUND = shapely.box(LEFT + 60, TOP - 300, LEFT + 360, TOP - 60)


def write_shapes(path, shapes, crs=toy.CRS, **fields):
    geopandas.GeoDataFrame(fields, geometry=list(shapes), crs=crs).to_crs(4326).to_file(path)


@pytest.fixture
def archive(one, tmp_path):
    """One product, an orthophoto and vectors over one site, and the config that reads them."""
    site, config = one
    root = tmp_path / "archive"
    (root / "s2").mkdir(parents=True)
    (root / "ortho").mkdir()
    shutil.copy(site / "image.tif", root / "ortho" / "a_2021-06-01.tif")
    safe_of_site(site, root / "s2")
    with rasterio.open(site / "label.tif") as raster:
        found = rasterio.features.shapes(raster.read(1), transform=raster.transform)
        shapes = [shapely.geometry.shape(shape) for shape, value in found if value == 1]
    write_shapes(root / "osm.gpkg", shapes, building=["yes"] * len(shapes))
    write_shapes(root / "sites.geojson", [GROUND], site=["here"], date=["2021-06-01"], split=["train"])
    source = config.source
    source.kind, source.root, source.sites, source.cloud, source.only = "archive", str(root), "sites.geojson", (), ()
    source.image, source.label, source.vectors, config.label.rules = "ortho/*.tif", "", ("osm.gpkg",), "osm"
    config.inputs, source.layers.s2, config.warp = ("s2",), ("s2/*.SAFE",), True
    config.split.table.train = ()
    config.patch, config.stride = 6, 6
    return root, config


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def only_gcps(path):
    with rasterio.open(path) as raster:
        stack, profile, place = raster.read(), raster.profile, raster.transform
    corners = ((0, 0), (0, 420), (360, 0), (360, 420))
    points = [rasterio.control.GroundControlPoint(r, c, *(place * (c, r))) for r, c in corners]
    profile.update(crs=None, transform=Affine.identity())
    path.unlink()
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(stack)
        raster.gcps = (points, rasterio.CRS.from_string(toy.CRS))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (truncated, "is damaged near row"),
        (lambda path: toy.rewrite(path, bands=("R", "G")), "has 2 bands, but the image needs 3"),
        (only_gcps, r"1 file cannot be used: .* has control points but no geotransform, .* warp it \(gdalwarp"),
    ],
    ids=["truncated", "two_bands", "only_gcps"],
)
def test_an_orthophoto_that_cannot_serve_is_named(archive, fault, words):
    root, config = archive
    path = root / "ortho" / "a_2021-06-01.tif"
    fault(path)
    with pytest.raises(InputError, match=words) as caught:
        prepare(config, say=toy.quiet)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def south_up(path):
    toy.rewrite(path, values=lambda stack: stack[:, ::-1], transform=Affine(1, 0, LEFT, 0, 1, TOP - 360))


def rotated(path):
    place = Affine.translation(LEFT - 100, TOP) * Affine.rotation(20) * Affine.scale(1, -1)
    with rasterio.open(path) as raster:
        stack, profile = raster.read(), raster.profile
    turned = np.zeros((3, 600, 600), np.uint8)
    source = {"src_transform": profile["transform"], "src_crs": toy.CRS}
    rasterio.warp.reproject(stack, turned, **source, dst_transform=place, dst_crs=toy.CRS, resampling=2)
    profile.update(transform=place, height=600, width=600)
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(turned)
        raster.descriptions = ("R", "G", "B")


@pytest.mark.parametrize("way", [south_up, rotated], ids=lambda f: f.__name__)
def test_an_orthophoto_that_lies_otherwise_is_warped(archive, way):
    """Its ground is found where it is: otherwise image and input would not show the same ground."""
    root, config = archive
    before = prepare(config, say=toy.quiet).scene("here").image.read(Window(0, 0, 240, 300), Handles())[0]
    way(root / "ortho" / "a_2021-06-01.tif")
    values, valid = prepare(config, say=toy.quiet).scene("here").image.read(Window(0, 0, 240, 300), Handles())
    assert valid.all()
    assert np.abs(values - before).mean() < 0.01


def test_a_product_with_a_truncated_band_is_named(archive):
    root, config = archive
    (band,) = (root / "s2").rglob("*_B03_10m.jp2")
    truncated(band)
    with pytest.raises(InputError, match=r"_B03_10m\.jp2 cannot be opened .*: restore the file"):
        prepare(config, say=toy.quiet)


def test_vectors_without_features_are_ground_without_roads_and_the_line_says_so(archive):
    root, config = archive
    write_shapes(root / "osm.gpkg", [], building=[])
    lines = []
    data = prepare(config, say=lines.append)
    assert "; 0 features" in lines[0]
    assert "label: no features" in data.sites["here"].notes
    with rasterio.open(data.root / data.sites["here"].label) as raster:
        assert not raster.read(1).any()


def test_vectors_that_are_not_there_are_named_once(archive):
    _, config = archive
    config.source.vectors = ("osm.gpkg", "more.gpkg")
    with pytest.raises(InputError, match=r"^\S*more\.gpkg of dataset\.source\.vectors does not exist: correct"):
        prepare(config, say=toy.quiet)


def test_a_site_across_the_antimeridian_lies_in_one_zone(one, archive):
    """Its middle in degrees is near Greenwich."""
    (site, _), (root, config) = one, archive
    left, top, crs = 828_720, 1_106_460, "EPSG:32660"  # the antimeridian is 209 m further right
    for name, spacing in (("s2", 10), ("s2_20m", 20), ("scl", 20), ("image", 1)):
        toy.rewrite(site / f"{name}.tif", crs=crs, transform=Affine(spacing, 0, left, 0, -spacing, top))
    shutil.rmtree(root / "s2")
    (root / "s2").mkdir()
    safe_of_site(site, root / "s2")
    shutil.copy(site / "image.tif", root / "ortho" / "a_2021-06-01.tif")
    write_shapes(root / "osm.gpkg", [shapely.box(left + 100, top - 200, left + 150, top - 100)], crs, building=["yes"])
    ground = shapely.box(left + 60, top - 300, left + 360, top - 60)
    write_shapes(root / "sites.geojson", [ground], crs, site=["here"], date=["2021-06-01"], split=["train"])
    found = prepare(config, say=toy.quiet).sites["here"]
    assert (found.crs, found.height, found.width) == (crs, 24, 30)
    with rasterio.open(pathlib.Path(config.path) / found.label) as raster:
        assert (raster.read(1) == 1).sum() == 50 * 100
