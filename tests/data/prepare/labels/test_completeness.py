"""Where another source shows buildings and the vectors show none, nothing is known."""

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
import toy

from jointseg_jax.data.dataset import TRUSTED, load
from jointseg_jax.data.gaps import Gaps
from jointseg_jax.data.prepare.labels.completeness import Completeness, ignore_gaps
from jointseg_jax.data.prepare.labels.rules import parse_rules
from jointseg_jax.data.prepare.labels.site_label import label_from_vectors
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.report.page import write_report
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.storage.files import read_json

pytestmark = pytest.mark.quick

ALL = parse_rules("rules: [{name: all, label: impervious, width: 6}]", "x")
HOUSES = [shapely.box(x + 10, y + 10, x + 30, y + 30) for x in range(0, 400, 50) for y in range(0, 350, 50)]
MAPPED = [house for house in HOUSES if house.bounds[0] < 200]  # the east of the site is not mapped


def test_cells_whose_buildings_are_not_mapped_are_unknown(put, fine):
    """Footprints of another source, shifted by a metre and a half; what is impervious stays so."""
    road = (shapely.LineString([(0, 205), (420, 205)]), {})
    path = put(roads=[road], houses=[(house, {}) for house in MAPPED])
    moved = [(shapely.affinity.translate(house, 1.5, -1.5), {}) for house in HOUSES]
    footprints = put("footprints.gpkg", crs=4326, houses=moved)
    plain = label_from_vectors([path], ALL, fine)
    judged = label_from_vectors([path], ALL, fine, built_up=footprints)
    east = np.s_[:, 200:400]
    np.testing.assert_array_equal(judged.values[:, :200], plain.values[:, :200])
    np.testing.assert_array_equal(judged.values[east], np.where(plain.values[east] == 1, 1, 255))
    assert judged.counts["cells built up"] == 16
    assert judged.counts["cells without vectors"] == 8
    assert "8 cells without vectors" in judged.note


def test_empty_countryside_is_pervious(put, fine):
    footprints = put("footprints.gpkg", houses=[(HOUSES[0], {})])
    values = np.zeros(fine.shape, np.uint8)
    judged = ignore_gaps(values, fine, footprints, Completeness())
    assert judged.counts == {"cells built up": 1, "cells without vectors": 1}
    assert np.flatnonzero(judged.sparse).tolist() == [0]
    assert (values[:100, :100] == 255).all()
    assert (values == 255).sum() == 100 * 100


@pytest.mark.parametrize(
    ("codes", "cell", "sparse"), [((50,), 100, 4), ((50,), 60, 16), ((), 100, 20), ((80,), 100, 0), ((50, 80), 100, 4)]
)
def test_a_built_up_product_in_another_crs(tmp_path, fine, codes, cell, sparse):
    """As ESA WorldCover: codes, 10 m, in degrees; 50 is built-up, and all other numbers mean ground too."""
    product = make_lattice("EPSG:4326", 116.9995, 30.7340, 1e-4, 60, 60)
    rows, cols = np.mgrid[:60, :60]
    to_site = pyproj.Transformer.from_crs(4326, toy.CRS, always_xy=True)
    east, north = to_site.transform(116.9995 + 1e-4 * (cols + 0.5), 30.7340 - 1e-4 * (rows + 0.5))
    x, y = east - toy.LEFT, toy.TOP - north
    classes = np.where((x > 0) & (x < 185) & (y > 0) & (y < 185), 50, 30).astype(np.uint8)
    write_raster(tmp_path / "map.tif", classes[..., None], Layout(product, "uint8", ("map",), 0))
    values = np.zeros(fine.shape, np.uint8)
    found = ignore_gaps(values, fine, tmp_path / "map.tif", Completeness(codes, cell)).counts
    assert found["cells without vectors"] == found["cells built up"] == sparse


def test_a_product_of_another_place(tmp_path, fine):
    lattice = make_lattice(toy.CRS, toy.LEFT + 1e5, toy.TOP, 10, 10, 10)
    write_raster(tmp_path / "map.tif", np.ones((10, 10, 1), np.uint8), Layout(lattice, "uint8", ("map",), 0))
    with pytest.raises(InputError, match=r"map\.tif has no data on the site"):
        ignore_gaps(np.zeros(fine.shape, np.uint8), fine, tmp_path / "map.tif", Completeness())


def test_a_site_says_which_cells_lack_vectors(one, put):
    _, config = one
    config.source.vectors = (str(put(houses=[(house, {}) for house in MAPPED])),)
    config.source.built_up = str(put("footprints.gpkg", houses=[(house, {}) for house in HOUSES]))
    config.source.cloud = ()
    data = prepare(config, say=toy.quiet)
    assert data.sites["a"].label_counts["cells without vectors"] == 8
    assert load(data.root).sites["a"].gaps == Gaps(100, (2, 3, 7, 8, 12, 13, 17, 18))
    patches = data.index.set_index("col")[TRUSTED]  # of 120 m; nothing is trusted from 200 to 400 m
    assert patches.loc[[0, 6]].tolist() == [1.0] * len(patches.loc[[0, 6]])
    np.testing.assert_allclose(patches.loc[12], 1 - 40 / 120, atol=1e-5)
    write_report(data, say=toy.quiet)
    (about,) = read_json(data.root / "report.json")["sites"]
    assert about["trusted"] == pytest.approx(1 - 200 / 420, abs=1e-4)
    assert "Completeness of vectors" in (data.root / "report.html").read_text()
    with rasterio.open(data.root / data.sites["a"].label) as raster:
        label = raster.read(1)
    assert (label[30:, 200:400] == 255).all()
    assert (label[30:, :200] == 1).sum() == (len(MAPPED) - 4) * 400


@pytest.mark.parametrize("cell", [100, 60, 25, 7])
def test_the_share_of_a_pixel_in_cells_without_vectors(cell):
    rng = np.random.default_rng(0)
    rows, cols = -(-90 // cell), -(-130 // cell)
    missing = rng.random((rows, cols)) < 0.4
    fine = np.kron(missing, np.ones((cell, cell)))[:90, :130]
    expected = fine.reshape(9, 10, 13, 10).mean((1, 3))
    numbers = tuple(int(number) for number in np.flatnonzero(missing))
    np.testing.assert_allclose(Gaps(cell, numbers).share(9, 13), expected, atol=1e-12)
