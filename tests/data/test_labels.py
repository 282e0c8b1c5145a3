"""Labels from vectors and from codes."""

import numpy as np
import pytest
import shapely
from affine import Affine

from jointseg_jax.data.labels import map_classes, rasterise
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick

NORTH_UP = Affine(1, 0, 0, 0, -1, 20)


def test_lines_are_buffered_by_half_their_width():
    road = shapely.LineString([(-5, 10), (25, 10)])
    label = rasterise([(road, 4.0)], NORTH_UP, 20, 20)
    assert label[8:12].all()
    assert label.sum() == 4 * 20


def test_pixel_centres_decide():
    square = shapely.box(2.6, 2.4, 5.4, 5.6)  # centres 3.5, 4.5 in x; 2.5 .. 5.5 in y
    label = rasterise([(square, 0.0)], NORTH_UP, 20, 20)
    assert label.sum() == 2 * 4


def test_empty_geometries_are_passed_over():
    label = rasterise([(shapely.Polygon(), 0.0), (shapely.box(0, 0, 5, 20), 0.0)], NORTH_UP, 20, 20)
    assert (label[:, :5] == 1).all()
    assert not label[:, 5:].any()


def test_codes_are_mapped_or_named():
    codes = np.array([[0, 1], [3, 5]], np.uint8)
    mapping = {0: 255, 1: 1, 3: 1, 5: 0}
    np.testing.assert_array_equal(map_classes(codes, mapping, "x.tif"), [[255, 1], [1, 0]])
    with pytest.raises(InputError, match=r"x\.tif holds land-cover codes \[3, 5\]"):
        map_classes(codes, {0: 255, 1: 1}, "x.tif")
