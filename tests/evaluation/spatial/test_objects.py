"""Objects by size: what is drawn is what is counted."""

import numpy as np
import pytest

from jointseg_jax.evaluation.spatial.objects import AREAS, WIDTHS, ObjectScore, _local_width


def test_buildings_by_area():
    reference, mapped = np.zeros((2, 200, 200), np.uint8)
    reference[10:14, 10:14] = 1  # 16 m2, missed
    reference[10:18, 40:48] = mapped[10:18, 40:44] = 1  # 64 m2, half of it: found
    reference[50:80, 50:80] = mapped[50:80, 50:80] = 1  # 900 m2, found
    reference[0:20, 100:120] = 1  # touches the edge: its size is not known
    mapped[120:130, 120:130] = 1  # 100 m2, false
    figures = ObjectScore.of(mapped, reference).figures()
    rows = {row["from_m2"]: row for row in figures["by_area"]}
    assert [(k, rows[k]["objects"], rows[k]["recall"]) for k in (0, 50, 500)] == [
        (0, 1, 0.0),
        (50, 1, 1.0),
        (500, 1, 1.0),
    ]
    assert rows[100]["mapped"] == 1
    assert rows[100]["false_share"] == 1.0
    assert sum(row["objects"] for row in rows.values()) == 3
    assert figures["smallest_area_m2"] == 50


def test_what_touches_the_unknown_is_left_out():
    reference, mapped = np.zeros((2, 60, 60), np.uint8)
    reference[10:20, 10:20] = mapped[10:20, 10:20] = 1
    reference[10:20, 20] = 255
    assert ObjectScore.of(mapped, reference).objects.sum() == 0


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 9, 14, 15, 30, 50])
def test_a_straight_road_has_its_width(width):
    reference = np.zeros((160, 160), np.uint8)
    reference[:, 60 : 60 + width] = 1
    wanted = np.searchsorted(WIDTHS, width, side="right") - 1
    assert set(_local_width(reference == 1)[reference == 1].tolist()) == {wanted}


def test_recall_by_width():
    reference, mapped = np.zeros((2, 160, 160), np.uint8)
    reference[:, 20:24] = 1  # 4 m, missed
    reference[:, 60:70] = mapped[:, 60:70] = 1  # 10 m, found
    figures = ObjectScore.of(mapped, reference).figures()
    rows = {row["from_m"]: row for row in figures["by_width"]}
    assert (rows[3]["pixels"], rows[3]["recall"]) == (640, 0.0)
    assert (rows[9]["pixels"], rows[9]["recall"]) == (1600, 1.0)
    assert figures["smallest_width_m"] == 9


def test_scores_add_up_and_nothing_claims_nothing():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2, (40, 40)).astype(np.uint8) for _ in range(2))
    twice = ObjectScore.of(a, b) + ObjectScore.of(a, b)
    assert twice.figures()["by_width"][0]["pixels"] == 2 * ObjectScore.of(a, b).pixels[0]
    nothing = ObjectScore().figures()
    assert len(nothing["by_area"]) == len(AREAS)
    assert nothing["smallest_area_m2"] is None
    full = np.ones((40, 40), np.uint8)
    assert ObjectScore.of(full, full).pixels[-1] == 1600
