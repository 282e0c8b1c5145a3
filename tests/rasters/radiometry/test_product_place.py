"""Places of rasters and products: read, compared, and unknown where they are not told."""

import pytest

from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.radiometry.product_place import ground_of, meet, parse_footprint

pytestmark = pytest.mark.quick

TILE = ((179.0, -17.0), (-179.5, -17.0), (-179.5, -18.0), (179.0, -18.0), (179.0, -17.0))  # over the antimeridian


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("30 117 31 117 31 118 30 117", (117.0, 30.0)),
        ("30 117 0 31 117 0 31 118 0 30 117 0", (117.0, 30.0)),
        ("117 30 117 31 118 31 117 30", None),  # longitude first
        ("30 117 31 117", None),
        ("30 117 31 117 31 118 30", None),
        ("", None),
        ("north", None),
    ],
)
def test_what_a_product_says_of_its_place(text, first):
    found = parse_footprint(text)
    assert (found and found[0]) == first
    assert found is None or len(found) == 4


@pytest.mark.parametrize(
    ("crs", "left", "there"),
    [
        ("EPSG:32760", 760_000, True),
        ("EPSG:32701", 200_000, True),
        ("EPSG:32701", 400_000, False),
        ("EPSG:32760", 500_000, False),
    ],
)
def test_rasters_beside_the_antimeridian(crs, left, there):
    ground = ground_of(make_lattice(crs, left, 8_080_000, 10, 90, 90))
    assert meet(ground, TILE) == meet(TILE, ground) == there


@pytest.mark.parametrize("crs", [None, 'LOCAL_CS["site grid",UNIT["metre",1]]'])
def test_a_raster_of_no_known_place(crs):
    assert ground_of(make_lattice(crs, 0, 0, 10, 9, 9)) is None
