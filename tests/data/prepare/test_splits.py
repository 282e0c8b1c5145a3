"""Blocks are divided by area, and by name whole sites."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_gap import gap_between

from jointseg_jax.data.prepare import splits

pytestmark = pytest.mark.quick


@settings(max_examples=40, deadline=None)
@given(
    areas=st.lists(st.floats(0.01, 30), min_size=1, max_size=60),
    shares=st.lists(st.sampled_from((0.0, 0.1, 0.2, 0.7)), min_size=2, max_size=5).filter(lambda s: sum(s) > 0.1),
    seed=st.integers(0, 999),
)
def test_parts_are_as_large_as_their_shares_to_some_blocks(areas, shares, seed):
    parts = splits.divide(np.array(areas), shares, np.random.default_rng(seed))
    got = np.bincount(parts, areas, len(shares))
    wanted = np.array(shares) / sum(shares) * sum(areas)
    if len(areas) > 3 * len(shares):
        assert np.abs(got - wanted).max() <= sum(sorted(areas)[-2:]) + 1e-9
    assert (got > 0).sum() == min(len(areas), np.count_nonzero(shares))
    assert not got[np.array(shares) == 0].any()
    np.testing.assert_array_equal(parts, splits.divide(np.array(areas), shares, np.random.default_rng(seed)))


def test_equal_blocks_meet_equal_shares():
    parts = splits.divide(np.ones(100), [0.7, 0.1, 0.2], np.random.default_rng(0))
    assert np.bincount(parts).tolist() == [70, 10, 20]


def test_gap_between_counts_free_pixels():
    codes = np.zeros((5, 12), np.uint8)
    codes[:, :3] = 1
    codes[:, 7:] = 3
    assert gap_between(codes) == 4
    assert gap_between(np.ones((3, 3), np.uint8)) is None
