"""Lattices, windows, and the sentences that refuse a raster off its lattice."""

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import lattice as lattices
from jointseg_jax.rasters.lattice import Window, make_lattice

pytestmark = pytest.mark.quick

BASE = make_lattice("EPSG:32650", 500_000, 3_400_020, 10, 30, 40)
ints = st.integers(-50, 50)


@given(ints, ints, st.integers(0, 60), st.integers(0, 60))
def test_clip_stays_inside(row, col, height, width):
    part = Window(row, col, height, width).clip(30, 40)
    assert 0 <= part.row <= part.row + part.height <= 30
    assert 0 <= part.col <= part.col + part.width <= 40
    inside = {(r, c) for r in range(row, row + height) for c in range(col, col + width) if 0 <= r < 30 and 0 <= c < 40}
    assert part.height * part.width == len(inside)


def test_refine_keeps_the_ground():
    fine = lattices.refine(BASE, 10)
    assert fine.shape == (300, 400)
    assert fine.boundingbox.bbox == BASE.boundingbox.bbox
    assert lattices.spacing_of(fine) == 1


def test_crop_moves_the_corner():
    part = lattices.crop(BASE, Window(2, 3, 4, 5))
    assert (part.affine.c, part.affine.f) == (500_030, 3_400_000)
    assert part.shape == (4, 5)


def test_offset_between_lattices():
    inner = make_lattice("EPSG:32650", 500_030, 3_400_000, 10, 5, 5)
    assert lattices.offset_in(inner, BASE, "x.tif") == (2, 3)
    with pytest.raises(InputError, match="fraction of a pixel"):
        lattices.offset_in(make_lattice("EPSG:32650", 500_033, 3_400_000, 10, 5, 5), BASE, "x.tif")
    with pytest.raises(InputError, match="EPSG:32651"):
        lattices.offset_in(make_lattice("EPSG:32651", 500_030, 3_400_000, 10, 5, 5), BASE, "x.tif")


def test_coarsening_covers_the_ground():
    coarse = lattices.coarsen(make_lattice("EPSG:32650", 0, 0, 10, 35, 41), 2)
    assert coarse.shape == (18, 21)
    assert coarse.affine[:6] == (20, 0, 0, 0, -20, 0)


DEGREES = GeoBox((30, 40), Affine(9e-5, 0, 10, 0, -1.2e-4, 50), "EPSG:4326")


@pytest.mark.parametrize(
    ("own", "expected", "message"),
    [
        (BASE, BASE, None),
        (DEGREES, DEGREES, None),
        (make_lattice("EPSG:32651", 500_000, 3_400_020, 10, 30, 40), BASE, "warp both to one CRS"),
        (
            make_lattice("EPSG:32650", 500_000, 3_400_020, 20, 30, 40),
            BASE,
            "pixels of 20 x 20, but 10 x 10 are expected",
        ),
        (make_lattice("EPSG:32650", 500_010, 3_400_020, 10, 30, 40), BASE, r"\+1.00 columns"),
        (make_lattice("EPSG:32650", 500_000, 3_400_018, 10, 30, 40), BASE, r"\+0.20 rows"),
        (make_lattice("EPSG:32650", 500_000, 3_400_020, 10, 30, 39), BASE, "39 x 30 pixels"),
        (GeoBox((30, 40), Affine(9e-5, 0, 10, 0, -9e-5, 50), "EPSG:4326"), DEGREES, "pixels of 9e-05 x 9e-05"),
        (GeoBox((30, 40), Affine(9e-5, 0, 10.001, 0, -1.2e-4, 50), "EPSG:4326"), DEGREES, "corner"),
    ],
)
def test_partners_lie_on_one_lattice(own, expected, message):
    if message is None:
        lattices.check_same_ground(own, expected, "here.tif")
        return
    with pytest.raises(InputError, match=message) as caught:
        lattices.check_same_ground(own, expected, "here.tif")
    assert "here.tif" in str(caught.value)


def test_crs_text():
    assert lattices.crs_text(BASE) == "EPSG:32650"
    with pytest.raises(InputError, match="CRS"):
        lattices.crs_text(GeoBox((3, 3), Affine(10, 0, 0, 0, -10, 0), None))
