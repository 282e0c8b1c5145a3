"""Footprints of rectangles in a UTM zone, also across 180 degrees."""

import pytest
from geodesic import GEOD, rectangle_area

from jointseg_jax.geo.antimeridian import bbox, union_bbox
from jointseg_jax.geo.footprints import footprint


def test_footprints_across_the_antimeridian():
    """Zone 1 begins there; a tile that reaches beyond is cut in two, and its area stays what it is."""
    bounds = (160000.0, 3400000.0, 300000.0, 3410240.0)
    ground = footprint(32601, bounds)
    assert ground.geom_type == "MultiPolygon"
    assert ground.is_valid
    west, south, east, north = bbox(ground)
    assert west > 179 > 0 > -179 > east
    area = sum(GEOD.geometry_area_perimeter(p)[0] for p in ground.geoms)
    assert area == pytest.approx(rectangle_area(32601, bounds), rel=2e-4)
    assert union_bbox([[west, south, east, north], [-179.0, 0, -178.0, 1]]) == pytest.approx([west, 0, -178.0, north])
    plain = footprint(32650, (500000.0, 3400000.0, 510240.0, 3410240.0))
    assert bbox(plain) == pytest.approx(list(plain.bounds))
    assert union_bbox([[1, 2, 3, 4], [0, 3, 2, 9]]) == [0, 2, 3, 9]
