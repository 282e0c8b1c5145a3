"""Ramps and learned uncertainties."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jointseg_jax.training.losses.weighting import ramp, uncertainty_weighted

pytestmark = pytest.mark.quick

PARTS = {"sr": jnp.float32(0.2), "seg": jnp.float32(3.0)}


def test_ramp_rises_from_its_start_over_its_length():
    steps = np.arange(0, 40)
    found = np.array(jax.jit(jax.vmap(lambda s: ramp(s, 10, 20)))(steps))
    assert (found[:11] == 0).all()
    assert (found[30:] == 1).all()
    assert (np.diff(found[10:31]) > 0).all()
    np.testing.assert_allclose(found[10:31], np.sin(np.pi * np.arange(21) / 40) ** 2, atol=1e-6)


def test_ramp_of_python_and_of_late_steps():
    assert ramp(15, 10, 10) == pytest.approx(0.5)
    assert ramp(15, 10, 10).dtype == jnp.float32
    late = 2**24 + 1  # not a float32
    assert ramp(jnp.int32(late), late - 1, 2) == pytest.approx(0.5)
    assert ramp(2**30, 0, 7) == 1


def test_ramp_of_no_length_is_a_jump():
    assert [float(ramp(s, 5, 0)) for s in (4, 5, 6)] == [0, 1, 1]
    assert float(ramp(0, 0, 0)) == 1


def test_what_ramps_refuse():
    with pytest.raises(ValueError, match="0 or more"):
        ramp(0, 0, -1)


@pytest.mark.parametrize("names", [("sr",), ("sr", "seg", "dice")])
def test_names_must_match(names):
    with pytest.raises(ValueError, match=r"\['seg', 'sr'\]"):
        uncertainty_weighted(PARTS, dict.fromkeys(names, jnp.float32(0)))


def test_uncertainties_by_hand():
    s = {"sr": jnp.float32(-1.0), "seg": jnp.float32(0.5)}
    expected = np.e * 0.2 - 1.0 + np.exp(-0.5) * 3 + 0.5
    assert uncertainty_weighted(PARTS, s) == pytest.approx(expected, rel=1e-6)
    start = dict.fromkeys(PARTS, jnp.float32(0))
    assert uncertainty_weighted(PARTS, start) == pytest.approx(3.2)


def test_uncertainty_is_least_where_it_is_the_log_of_its_part():
    best = jax.tree.map(jnp.log, PARTS)
    gradient = jax.grad(uncertainty_weighted, 1)(PARTS, best)
    np.testing.assert_allclose(list(gradient.values()), 0, atol=1e-6)
    for name in PARTS:
        for step in (-0.1, 0.1):
            assert uncertainty_weighted(PARTS, best | {name: best[name] + step}) > uncertainty_weighted(PARTS, best)
    # Every part pulls with 1 / part: a relative change of any weighs alike.
    pull = jax.grad(uncertainty_weighted)(PARTS, best)
    np.testing.assert_allclose([pull[k] * PARTS[k] for k in PARTS], 1, rtol=1e-6)


def test_uncertainties_are_learned_by_descent():
    optimizer = optax.adam(0.1)
    s = dict.fromkeys(PARTS, jnp.float32(0))

    @jax.jit
    def update(carry):
        s, state = carry
        updates, state = optimizer.update(jax.grad(uncertainty_weighted, 1)(PARTS, s), state)
        return optax.apply_updates(s, updates), state

    carry = (s, optimizer.init(s))
    for _ in range(200):
        carry = update(carry)
    for name, part in PARTS.items():
        assert carry[0][name] == pytest.approx(np.log(part), abs=1e-2)


def test_uncertainties_of_pieces_add_up():
    logs = {"sr": jnp.float32(0.3), "seg": jnp.float32(-0.7)}
    piece = uncertainty_weighted({name: 0.25 * part for name, part in PARTS.items()}, logs, 0.25)
    np.testing.assert_allclose(4 * piece, uncertainty_weighted(PARTS, logs), rtol=1e-6)
