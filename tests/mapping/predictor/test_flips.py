"""The symmetry group of the square, and a mean that does not know the order of what it averages."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from jointseg_jax.mapping.predictor.flips import MEMBERS, in_order, mean_and_spread, turn, turn_back


@pytest.fixture
def square():
    return np.random.default_rng(0).normal(size=(2, 3, 7, 7, 4)).astype(np.float32)


def test_eight_different_ones_and_each_has_its_inverse(square):
    members = [turn(square, k, 2) for k in range(MEMBERS)]
    assert len({m.tobytes() for m in members}) == 8
    for k, member in enumerate(members):
        np.testing.assert_array_equal(turn_back(member, k, 2), square)
        np.testing.assert_array_equal(turn_back(jnp.asarray(member), k, 2), square)


def test_they_are_numpys_flips_and_quarter_turns(square):
    wanted = {np.rot90(np.flip(square, 2) if f else square, k, (2, 3)).tobytes() for f in (0, 1) for k in range(4)}
    assert {turn(square, k, 2).tobytes() for k in range(MEMBERS)} == wanted


def test_the_network_of_exchanges_sorts():
    """Enough to try all zeros and ones (Knuth, The Art of Computer Programming 3, 5.3.4)."""
    values = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=8))).T
    np.testing.assert_array_equal(jnp.stack(in_order(list(values))), np.sort(values, axis=0))


def test_mean_and_spread_do_not_know_the_order():
    values = np.random.default_rng(1).uniform(size=(8, 50, 50)).astype(np.float32)
    mean, spread = mean_and_spread(list(jnp.asarray(values)))
    np.testing.assert_allclose(mean, values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(spread, values.std(0), rtol=1e-5)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(8)
        again = mean_and_spread(list(jnp.asarray(values[order])))
        np.testing.assert_array_equal(again[0], mean)
        np.testing.assert_array_equal(again[1], spread)
    assert (values.mean(0) != values[::-1].mean(0)).any()  # a plain mean does know it


def test_what_is_not_finite_stays_visible():
    values = [jnp.full((2,), 0.5)] * 7 + [jnp.asarray([0.5, np.nan])]
    mean, _ = mean_and_spread(values)
    assert np.isfinite(mean).tolist() == [True, False]
