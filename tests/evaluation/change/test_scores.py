"""Kinds of change, and scores of maps of change whose errors are known."""

import itertools

import numpy as np
import pytest

from jointseg_jax.change.flicker import flickers
from jointseg_jax.evaluation.change.kinds import Kinds, filled, majority, thresholded
from jointseg_jax.evaluation.change.scores import ChangeCounts

pytestmark = pytest.mark.quick

KINDS = Kinds(("2017", "2019", "2021", "2023"))


def sequences(*given):
    """States [dates, 1, pixels] of sequences written as text: 0, 1, and . for unknown."""
    values = [[255 if c == "." else int(c) for c in text] for text in given]
    return np.array(values, np.uint8).T[:, None]


def named(*given):
    return [KINDS.names[k] if k != 255 else None for k in KINDS.of(sequences(*given))[0]]


def test_every_sequence_has_its_kind():
    """By an enumeration of all sixteen, with words instead of arrays."""
    for bits in itertools.product("01", repeat=4):
        text = "".join(bits)
        changes = sum(a != b for a, b in itertools.pairwise(text))
        if changes == 0:
            wanted = "stable impervious" if text[0] == "1" else "stable pervious"
        elif changes > 1:
            wanted = "several changes"
        else:
            wanted = "loss" if text[0] == "1" else "gain " + KINDS.periods[text.index("01")]
        assert named(text) == [wanted], text
    assert named("0.11", "....") == [None, None]


def test_gaps_take_what_is_known_around_them():
    assert (
        filled(sequences("0.1.", "..10", "....", "1..0")).tolist() == sequences("0011", "1110", "....", "1110").tolist()
    )


def test_the_majority_of_three_dates_removes_single_ones():
    given = sequences("0100", "1011", "0011", "0001", "1000", "0101")
    assert majority(given).tolist() == sequences("0000", "1111", "0011", "0001", "1000", "0011").tolist()
    two = sequences("01", "10")
    assert majority(two).tolist() == two.tolist()


def test_flicker_is_impervious_twice_with_a_gap():
    assert flickers(sequences("1011", "1001", "0101", "0100", "1100", "1.01")).tolist() == [
        [True, True, True, False, False, True]
    ]


def test_single_maps_show_what_is_above_the_threshold():
    maps = [np.array([[0.2, 0.5]]), np.array([[np.nan, 0.49]])]
    assert thresholded(maps).tolist() == [[[0, 1]], [[255, 0]]]
    assert thresholded(maps, 0.1).tolist() == [[[1, 1]], [[255, 1]]]


def test_the_figures_of_a_map_with_known_errors():
    true = sequences("0000", "0000", "0000", "0001", "0011", "0111", "1111", "1111", "1100", "000.")
    seen = sequences("0000", "0001", "1011", "0001", "0111", "0000", "1111", "1.11", "1000", "0000")
    figures = ChangeCounts.of(seen, true, KINDS).figures(KINDS)
    # Unknown in truth or on the map: the eighth and the last.
    assert figures["pixels"] == 8
    # True change: 4 (three gains, one loss). Mapped: 5. Both: 3.
    assert figures["change"]["precision"] == pytest.approx(3 / 5)
    assert figures["change"]["recall"] == pytest.approx(3 / 4)
    # True gains 3; mapped gains 3: the second, which is stable, and two right ones, one in another period.
    assert figures["gain"]["f1"] == pytest.approx(2 / 3)
    assert figures["right_period"] == pytest.approx(1 / 2)
    assert figures["periods"] == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert figures["loss"]["f1"] == 1.0
    assert figures["false_change"] == pytest.approx(2 / 4)
    assert figures["flicker"] == pytest.approx(1 / 8)
    assert figures["area_m2"]["true"]["gain 2017 to 2019"] == 1
    assert figures["area_m2"]["mapped"]["gain 2017 to 2019"] == 1
    assert figures["area_m2"]["mapped"]["several changes"] == 1


def test_counts_add_up():
    rng = np.random.default_rng(0)
    true, seen = rng.integers(0, 2, (2, 4, 6, 8)).astype(np.uint8)
    whole = ChangeCounts.of(seen, true, KINDS)
    parts = [ChangeCounts.of(seen[:, rows], true[:, rows], KINDS) for rows in (slice(0, 2), slice(2, 6))]
    assert (parts[0] + parts[1]).figures(KINDS) == whole.figures(KINDS)


def test_ground_without_change_has_no_score_of_change():
    quiet = np.zeros((4, 3, 3), np.uint8)
    figures = ChangeCounts.of(quiet, quiet, KINDS).figures(KINDS)
    assert figures["change"]["f1"] is None
    assert figures["false_change"] == 0
    assert figures["right_period"] is None
