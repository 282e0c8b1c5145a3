"""A network of several dates: their order, their absence and their number."""

import jax
import numpy as np
from models.small_networks import TINY, apply, example, initialise, network

FIRST_TWO, SECOND = (np.isin(range(3), dates)[:, None, None] for dates in ((0, 1), (1,)))


def test_the_order_of_dates_does_not_matter():
    model = network(dates=3, **TINY)
    params = initialise(model)
    modalities, _ = example(model)
    turned = jax.tree.map(lambda x: x[:, ::-1], modalities)
    first, second = (apply(model, params, m) for m in (modalities, turned))
    np.testing.assert_allclose(first.logits, second.logits, atol=1e-4)
    np.testing.assert_allclose(first.images[-1], second.images[-1], atol=1e-5)


def test_an_absent_date_is_like_none():
    """The same network maps with one, two or five dates; a masked date changes nothing."""
    model = network(dates=3, **TINY)
    params = initialise(model)
    modalities, _ = example(model)
    two = jax.tree.map(lambda x: x[:, :2], modalities)
    masked = {n: {"values": m["values"], "valid": m["valid"] & FIRST_TWO} for n, m in modalities.items()}
    np.testing.assert_allclose(apply(model, params, two).logits, apply(model, params, masked).logits, atol=1e-4)
    more = jax.tree.map(lambda x: np.concatenate([x, x[:, :2]], 1), modalities)
    assert np.isfinite(apply(model, params, more).logits).all()


def test_dates_of_a_second_modality_have_an_order_and_a_number_of_their_own():
    """Radar of other days than the optical dates: turned alone, and absent on one of them."""
    model = network(dates=3, **TINY)
    params = initialise(model)
    modalities, _ = example(model)
    optical, radar = modalities["s2"], modalities["s1"]
    masked = {"values": radar["values"], "valid": radar["valid"] & ~SECOND}
    other = {"values": radar["values"] + np.float32(9) * SECOND[..., None], "valid": masked["valid"]}
    turned = jax.tree.map(lambda x: x[:, ::-1], masked)
    first, second, third = (apply(model, params, {"s2": optical, "s1": m}).logits for m in (masked, other, turned))
    np.testing.assert_allclose(first, second, atol=1e-4)
    np.testing.assert_allclose(first, third, atol=1e-4)
    assert float(np.abs(first - apply(model, params, modalities).logits).max()) > 1e-3


def test_every_date_counts():
    model = network(dates=3, **TINY)
    params = initialise(model)
    modalities, _ = example(model)
    changed = {n: {**m, "values": m["values"] + np.float32(0.3) * SECOND[..., None]} for n, m in modalities.items()}
    first, second = (apply(model, params, m).logits for m in (modalities, changed))
    assert float(np.abs(first - second).max()) > 1e-3
