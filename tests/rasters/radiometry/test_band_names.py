"""Names that people's files give their bands."""

import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Modality
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.opening import open_raster
from jointseg_jax.rasters.radiometry.band_names import band_of, match_names, rgb_order
from jointseg_jax.rasters.radiometry.find_bands import bands_note, check_bands, find_bands
from jointseg_jax.rasters.writer import Layout, write_raster

pytestmark = pytest.mark.quick

S2 = Modality("s2", ("B02", "B03", "B04", "B08"), 10.0, "uint16", "reflectance", 0.0, 1e-4, -1000.0)
FORCE = ("BLUE", "GREEN", "RED", "REDEDGE1", "REDEDGE2", "REDEDGE3", "BROADNIR", "NIR", "SWIR1", "SWIR2")
SITS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
GEE = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12")
STAC = ("coastal", "blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08", "nir09", "swir16")
EOREADER = ("BLUE", "GREEN", "RED", "VEGETATION_RED_EDGE_1", "VEGETATION_RED_EDGE_2", "NIR", "NARROW_NIR")
SEN2R = ("Band 2 -- Blue (490 nm)", "Band 3 -- Green (560 nm)", "Band 4 -- Red (665 nm)", "Band 8 -- NIR (842 nm)")


@pytest.fixture
def file(tmp_path):
    def make(*names):
        path = tmp_path / "s.tif"
        layout = Layout(make_lattice("EPSG:32650", 0, 0, 10, 4, 4), "uint16", names)
        write_raster(path, np.ones((4, 4, len(names)), np.uint16), layout)
        return open_raster(path)

    return make


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("B04", "B04"),
        ("b4", "B04"),
        ("R (B4)", "B04"),
        ("S2A_B8A_20m", "B8A"),
        ("NIR narrow (B8A)", "B8A"),
        ("nir narrow", "B8A"),
        ("Red edge 1", "B05"),
        ("red_edge_2", "B06"),
        ("Red-edge 3 (783 nm)", "B07"),
        ("Red edge", None),
        ("vegetation red edge (B5)", "B05"),
        ("red", "B04"),
        ("nir", "B08"),
        ("nir08", "B8A"),
        ("swir", None),
        ("swir 1", "B11"),
        ("water_vapour", "B09"),
        ("b3 red", None),  # the third band of some file
        ("B04 mask", None),
        ("B4/B3", None),
        ("R", "B04"),
        ("VV", None),
        ("B13", None),
        ("Band 4", None),
        ("", None),
    ],
)
def test_what_a_name_stands_for(text, band):
    assert band_of(text) == band


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (FORCE, (1, 2, 3, 7)),
        (SITS, (2, 3, 4, 8)),
        (GEE, (2, 3, 4, 8)),
        (STAC, (2, 3, 4, 8)),
        (EOREADER, (1, 2, 3, 6)),
        (SEN2R, (1, 2, 3, 4)),
        (("blue", "green", "red", "red_edge_1", "nir"), (1, 2, 3, 5)),
        (("nir", "red", "green", "blue", "B08"), (4, 3, 2, 5)),  # a number before words
        (("B8", "B04 of", "B04", "B03", "B02"), (5, 4, 3, 1)),  # called just so before all
    ],
)
def test_the_conventions_of_others(file, names, numbers):
    with file(*names) as raster:
        assert find_bands(raster, S2) == numbers


def test_forces_nir_is_the_narrow_one():
    assert match_names(FORCE, "B8A") == [7]
    assert match_names(FORCE, "B08") == [6]
    assert match_names(("BLUE", "GREEN", "RED", "NIR"), "B08") == [3]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("B2", "B3", "B4", "NIR narrow (B8A)"), "no band B08 .* give a file that has it"),
        (("blue", "green", "red edge", "nir"), "no band B04 .* give a file that has it"),
        (("blue", "green", "red", "red", "nir"), "more than one band B04"),
    ],
)
def test_neighbours_are_not_taken(file, names, message):
    with file(*names) as raster, pytest.raises(InputError, match=message):
        find_bands(raster, S2)


@pytest.mark.parametrize(
    ("names", "bands", "message"),
    [
        (SITS, (4, 3, 2, 8), r"band 4 of .* as B02, but the file calls it 'B04' and band 2 'B02'"),
        (("B2", "B3", "B4", "B8A"), (1, 2, 3, 4), "band 4 of .* as B08, but the file calls it 'B8A'"),
        (("blue", "green", "red edge", "nir"), (1, 2, 3, 4), "band 3 of .* as B04, but the file calls it 'red edge'"),
        (("", "", "", ""), (1, 1, 1, 1), "twice"),
        (SITS, (2, 3, 4), "must give the numbers of 4 of the 12 bands"),
        (SITS, (2, 3, 4, 13), "must give the numbers of 4 of the 12 bands"),
        (SITS, (0, 3, 4, 8), "must give the numbers of 4 of the 12 bands"),
    ],
)
def test_flags_do_not_overrule_the_file(file, names, bands, message):
    with file(*names) as raster, pytest.raises(InputError, match=message) as caught:
        check_bands(bands, raster, S2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        (("", "", "", ""), (4, 3, 2, 1)),
        (("Band 1", "Band 2", "Band 3", "Band 4"), (4, 3, 2, 1)),
        (("b1 red", "b2 green", "b3 blue", "b4 nir"), (3, 2, 1, 4)),
        (("blue", "green", "red", "red", "nir"), (1, 2, 4, 5)),  # which of two
        (SITS, (2, 3, 4, 8)),
    ],
)
def test_flags_tell_where_the_file_does_not(file, names, bands):
    with file(*names) as raster:
        check_bands(bands, raster, S2)


def test_the_bands_used_are_told():
    said = bands_note((3, 2, 1, 4), ("red", "green", None, "nir"), S2)
    assert said == "B02: band 3, B03: band 2 (green), B04: band 1 (red), B08: band 4 (nir)"


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("B02", "B03", "B04"), (2, 1, 0)),
        (("B04", "B03", "B02"), (0, 1, 2)),
        (("G", "B", "R", "NIR"), (2, 0, 1)),
        (("x", "y", "z"), (0, 1, 2)),
        (("B04", "B04", "B02"), (0, 1, 2)),
        (("B08", "B04", "B03"), (0, 1, 2)),
    ],
)
def test_colours_of_a_picture(names, order):
    assert rgb_order(names) == order
