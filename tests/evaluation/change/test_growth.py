"""Areas and rates of growth whose values are known."""

import numpy as np
import pytest

from jointseg_jax.evaluation.change.growth import Growth, by_region

pytestmark = pytest.mark.quick


def test_areas_and_rates():
    """Four pixels of 2 m2 and one of unknown state: built early, built later, cleared, never."""
    states = np.array([[1, 0, 1, 0, 1], [1, 1, 1, 0, 255], [1, 1, 0, 0, 1]], np.uint8)[:, None]
    growth = Growth.of(states, 2.0)
    assert (growth.known, growth.impervious.tolist()) == (8.0, [4.0, 6.0, 4.0])
    assert (growth.gained.tolist(), growth.lost.tolist()) == ([2.0, 0.0], [0.0, 2.0])
    first, second = by_region({"all": growth}, ("2017", "2019", "2023"), (2017.0, 2019.0, 2023.0))["all"]["periods"]
    assert first["rate_per_year"] == pytest.approx(1.5**0.5 - 1)
    assert second["net_m2_per_year"] == -0.5
    assert (1 + second["rate_per_year"]) ** 4 == pytest.approx(4 / 6)


def test_pixels_of_different_area():
    states = np.array([[[0, 0]], [[1, 1]]], np.uint8)
    assert Growth.of(states, np.array([1.0, 3.0])).gained.tolist() == [4.0]


def test_parts_add_up_and_empty_ground_has_no_rate():
    rng = np.random.default_rng(1)
    states = rng.integers(0, 2, (3, 8, 4)).astype(np.uint8)
    whole, parts = Growth.of(states), [Growth.of(states[:, rows]) for rows in (slice(0, 3), slice(3, 8))]
    added = parts[0] + parts[1]
    assert by_region({"": added}, "abc", (0, 1, 2)) == by_region({"": whole}, "abc", (0, 1, 2))
    nothing = by_region({"": Growth.of(np.zeros((2, 2, 2), np.uint8))}, "ab", (0, 1))
    assert nothing[""]["periods"][0]["rate_per_year"] is None
