"""Blocks of different splits never come closer than the gap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_gap import gap_between

from jointseg_jax.data.prepare import splits
from jointseg_jax.errors import InputError

pytestmark = pytest.mark.quick


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(20, 120),
    width=st.integers(20, 120),
    block=st.integers(8, 50),
    gap=st.integers(0, 12),
    seed=st.integers(0, 999),
)
def test_gap_holds(height, width, block, gap, seed):
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    codes = splits.blocks(height, width, block, shares, gap, (seed,))
    assert codes.shape == (height, width)
    found = gap_between(codes)
    assert found is None or found >= gap
    np.testing.assert_array_equal(codes, splits.blocks(height, width, block, shares, gap, (seed,)))


def test_test_ground_keeps_its_blocks():
    shares = {"train": 0.5, "validation": 0.25, "test": 0.25}
    loose = splits.blocks(100, 100, 20, shares, 0, (1,))
    tight = splits.blocks(100, 100, 20, shares, 5, (1,))
    np.testing.assert_array_equal(loose == 3, tight == 3)
    assert (tight == 1).sum() < (loose == 1).sum()


def test_shares_are_met_to_a_block():
    codes = splits.blocks(100, 100, 10, {"train": 0.7, "validation": 0.1, "test": 0.2}, 0, (0,))
    assert [(codes == c).sum() for c in (1, 2, 3)] == [7000, 1000, 2000]


def test_a_block_of_any_size_costs_no_more_than_the_site():
    huge, large = (splits.blocks(30, 40, block, {"train": 1.0}, 0, (0,)) for block in (10**6, 40))
    np.testing.assert_array_equal(huge, large)


def test_no_share_is_an_error():
    with pytest.raises(InputError, match="shares"):
        splits.blocks(10, 10, 5, {}, 0, (0,))


def test_gap_between_counts_free_pixels():
    codes = np.zeros((5, 12), np.uint8)
    codes[:, :3] = 1
    codes[:, 7:] = 3
    assert gap_between(codes) == 4
    assert gap_between(np.ones((3, 3), np.uint8)) is None
