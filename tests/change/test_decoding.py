"""The decoder beside the enumeration of all sequences."""

import itertools

import numpy as np
import pytest

from jointseg_jax.change.decoding import LEAST_PROBABILITY, decode
from jointseg_jax.change.transitions import Transitions

pytestmark = pytest.mark.quick

YEARS = (2017.0, 2019.0, 2020.5, 2023.0)
CHAIN = Transitions(YEARS, (0.2, 0.6), (0.03, 0.1), (0.01, 0.05))


def powers(chain, kind):
    """Matrices [from, to] of each interval, by numeric powers of the yearly one."""
    g, low = chain.gain[kind], chain.loss[kind]
    values, vectors = np.linalg.eig(np.array([[1 - g, g], [low, 1 - low]]))
    return [np.real(vectors @ np.diag(values**t) @ np.linalg.inv(vectors)) for t in chain.intervals]


def enumerated(p, prior, chain, kind, doubt):
    """States, marginals, first change, confidence and expected count of one pixel, from all sequences."""
    steps, total = powers(chain, kind), {}
    for path in itertools.product((0, 1), repeat=len(p)):
        weight = chain.initial[kind] if path[0] else 1 - chain.initial[kind]
        for before, after, matrix in zip(path[:-1], path[1:], steps, strict=True):
            weight *= matrix[before, after]
        for state, value, d in zip(path, p, doubt, strict=True):
            if np.isfinite(value):
                likely = value / prior if state else (1 - value) / (1 - prior)
                weight *= (1 - d) * likely + d
        total[path] = weight
    evidence = sum(total.values())
    best = max(total, key=total.get)
    marginals = [sum(w for path, w in total.items() if path[t]) / evidence for t in range(len(p))]
    changes = {path: sum(a != b for a, b in itertools.pairwise(path)) for path in total}
    none = sum(w for path, w in total.items() if not changes[path]) / evidence
    index = next((t for t in range(1, len(p)) if best[t] != best[t - 1]), 0)
    count = sum(w * changes[path] for path, w in total.items()) / evidence
    return best, marginals, index, 1 - none if index else none, count


@pytest.mark.parametrize("irreversible", [False, True])
@pytest.mark.parametrize("doubts", [None, (0.0, 0.3, 0.05, 0.1)])
def test_equals_the_enumeration_of_all_sequences(irreversible, doubts):
    """Four dates at unequal intervals, any of them without data, two classes of ground."""
    rng = np.random.default_rng(3)
    p = rng.uniform(0.01, 0.99, (4, 30, 7)).astype(np.float32)
    p[rng.uniform(size=p.shape) < 0.2] = np.nan
    p[:, 0, 0] = np.nan
    kinds = rng.integers(0, 2, p.shape[1:])
    priors = np.array([0.2, 0.5])
    found = decode(p, priors, CHAIN, irreversible, classes=kinds, doubt=doubts)
    chain = CHAIN.irreversible() if irreversible else CHAIN
    for at in np.ndindex(*p.shape[1:]):
        if not np.isfinite(p[:, *at]).any():
            assert (found.states[:, *at] == 255).all()
            assert found.year_index[at] == 255
            assert np.isnan([*found.marginals[:, *at], found.confidence[at], found.expected_count[at]]).all()
            continue
        states, marginals, index, confidence, count = enumerated(
            p[:, *at].astype(float), priors[kinds[at]], chain, kinds[at], doubts or (0,) * 4
        )
        assert tuple(found.states[:, *at]) == states
        assert found.year_index[at] == index
        np.testing.assert_allclose(found.marginals[:, *at], marginals, atol=2e-6)
        np.testing.assert_allclose(found.confidence[at], confidence, atol=2e-6)
        np.testing.assert_allclose(found.expected_count[at], count, atol=5e-6)
    assert {0, 1, 2, 3} <= set(found.year_index.ravel())  # else the enumeration compared little


def test_irreversible_growth_never_goes_back():
    p = np.array([0.9, 0.1, 0.9, 0.02], np.float32)[:, None, None]
    assert (np.diff(decode(p, 0.3, CHAIN, True, classes=np.zeros((1, 1), int)).states[:, 0, 0].astype(int)) >= 0).all()


def test_one_date_gives_back_its_probability():
    """Where the chain starts from the prior that the probabilities assume."""
    p = np.linspace(0.01, 0.99, 12, dtype=np.float32).reshape(1, 3, 4)
    found = decode(p, 0.3, Transitions((2021.0,), (0.3,), (0.01,), (0.01,)))
    np.testing.assert_allclose(found.marginals, p, rtol=1e-5)
    assert (found.states == (p > 0.5)).all()
    assert not found.year_index.any()
    np.testing.assert_allclose(found.confidence, 1, rtol=1e-6)


def test_a_date_in_doubt_says_nothing():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, (4, 9, 9)).astype(np.float32)
    without = p.copy()
    without[1] = np.nan
    doubted = decode(p, 0.3, CHAIN, doubt=(0, 1, 0, 0))
    for name, values in vars(decode(without, 0.3, CHAIN)).items():
        np.testing.assert_allclose(getattr(doubted, name), values, rtol=1e-6)


def test_neither_certainty_nor_many_pixels_change_the_result(monkeypatch):
    """A stored 0 or 1 is a rounded number; the pieces that bound the memory cannot be seen."""
    from jointseg_jax.change import decoding

    rng = np.random.default_rng(1)
    p = np.round(rng.uniform(0, 1, (4, 20, 31)) * 4).astype(np.float32) / 4
    whole = decode(p, 0.3, CHAIN)
    clipped = decode(np.clip(p, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY), 0.3, CHAIN)
    monkeypatch.setattr(decoding, "_CHUNK", 64)
    for name, values in vars(decode(p, 0.3, CHAIN)).items():
        np.testing.assert_array_equal(values, getattr(whole, name))
        np.testing.assert_array_equal(values, getattr(clipped, name))


def test_rates_of_unequal_intervals_are_powers_of_the_yearly_ones():
    gain, loss = CHAIN.steps()
    for kind in (0, 1):
        for step, matrix in enumerate(powers(CHAIN, kind)):
            np.testing.assert_allclose([gain[step, kind], loss[step, kind]], [matrix[0, 1], matrix[1, 0]], rtol=1e-9)
    still = Transitions(YEARS, (0.2,), (0.0,), (0.0,))
    assert not np.any(still.steps())


@pytest.mark.parametrize("years", [(2019.0, 2017.0), (2017.0, 2017.0), ()])
def test_years_ascend(years):
    with pytest.raises(ValueError, match="ascend"):
        Transitions(years, (0.2,), (0.01,), (0.01,))


def test_what_does_not_fit_is_refused():
    p = np.full((4, 2, 2), 0.5, np.float32)
    with pytest.raises(ValueError, match="3 dates were given for the 4 years"):
        decode(p[:3], 0.3, CHAIN)
    with pytest.raises(ValueError, match="prior"):
        decode(p, 0.0, CHAIN)
    with pytest.raises(ValueError, match="classes"):
        decode(p, 0.3, CHAIN, classes=np.full((2, 2), 2))
    with pytest.raises(ValueError, match="doubts"):
        decode(p, 0.3, CHAIN, doubt=(0.5,))
