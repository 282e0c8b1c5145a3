"""Pictures can be read: letters, scale bars, frames."""

import numpy as np
import pytest

from jointseg_jax.rasters.pictures import drawing

pytestmark = pytest.mark.quick
GREY = np.full((100, 100, 3), 90, np.uint8)


def dark_rows(rgb):
    """The heights of the runs of rows that hold dark pixels."""
    rows = np.flatnonzero((rgb < 60).all(-1).any(1))
    return [len(run) for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)]


@pytest.mark.parametrize("columns", [2, 5, 8])
def test_titles_can_be_read_in_a_readme(columns):
    """The height of a capital is 0.7 of the letters' size: at least 10 pixels at a width of 880."""
    grid = drawing.panels([[GREY] * columns], ["MAP"] * columns)
    assert max(dark_rows(grid[:, :260])) * min(1, 880 / grid.shape[1]) >= 9.5


def test_a_long_title_has_lines_and_covers_no_neighbour():
    one = drawing.panels([[GREY] * 6], ["map"] * 6)
    two = drawing.panels([[GREY] * 6], ["label: impervious surface of the year", *["map"] * 5])
    assert two.shape[0] > one.shape[0]
    assert two.shape[1] == one.shape[1]
    np.testing.assert_array_equal(two[:30, 270:], one[:30, 270:])


@pytest.mark.parametrize(("metres", "length"), [(320, 100), (1000, 200), (30_000, 10_000)])
def test_the_bar_is_as_long_as_it_says(metres, length):
    grid = drawing.panels([[GREY, GREY]], ["a", "b"], side=256, metres=[metres])
    white = (grid == 255).all(-1)
    bar = white[-40:-4, 6:258].sum(1).max()  # the row of the bar, without its black ends
    assert bar == pytest.approx(256 * length / metres, abs=3)


def test_a_part_is_framed_and_stays_as_it_was():
    framed = drawing.outlined(GREY, 40, 30, 20, 25)
    np.testing.assert_array_equal(framed[40:60, 30:55], GREY[40:60, 30:55])
    assert (framed[39, 30:55] == 0).all()
    assert (framed[60, 30:55] == 0).all()
    assert (framed[38, 30:55] == 255).all()
    assert (drawing.outlined(GREY, 0, 0, 100, 100) == GREY).all()
