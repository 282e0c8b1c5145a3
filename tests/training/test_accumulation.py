"""Accumulated over pieces of a batch, gradients and losses are those of the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from jointseg_jax.errors import InputError
from jointseg_jax.training import accumulation
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.method import fresh_state
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.step import make_step


@pytest.fixture
def everything(config):
    """All losses that can be accumulated, with a weight each."""
    config.mesh.data = 1
    config.model = toy.network("10", blocks=(0,))  # quick to compile
    config.loss.update(
        {"boundary": 0.5, "class_balance": 0.5, "affinity": 0.3, "affinity_grid": 12, "shift": 1.0}
        | {"weighting": "uncertainty"}
    )
    config.adversarial.update({"weight": 0.1, "feature_matching": 1.0, "features": 4, "crop": 64})
    return config


def uneven(experiment):
    """A batch whose samples are labelled and valid to different degrees, one not at all."""
    batch = jax.tree.map(np.copy, toy.batch(experiment.training, 8))
    for k in range(8):
        batch["label"][k, : 15 * k] = 255
        batch["image_valid"][k, :, : 15 * (7 - k)] = False
    batch["label"][3] = 255
    return batch


def outcome(config, count, adversarial):
    config.optimizer.accumulate = count
    experiment = set_up(config)
    state = fresh_state(experiment.method, 0)
    step = jax.jit(make_step(experiment.method, adversarial=adversarial))
    return step(state, uneven(experiment))


@pytest.mark.slow
@pytest.mark.parametrize(("adversarial", "count"), [(False, 4), (True, 2)])
def test_pieces_equal_the_whole(everything, adversarial, count):
    whole, metrics = outcome(everything, 1, adversarial)
    after, found = outcome(everything, count, adversarial)
    assert set(found) == set(metrics)
    for name, value in metrics.items():
        np.testing.assert_allclose(found[name], value, rtol=3e-4, err_msg=name)
    for a, b in zip(jax.tree.leaves(whole.opt), jax.tree.leaves(after.opt), strict=True):
        np.testing.assert_allclose(a, b, atol=3e-5)
    assert ("gan" in metrics) == adversarial


def test_every_sample_is_in_one_piece():
    x = jnp.arange(24.0).reshape(12, 2)
    found = accumulation.add_up(lambda p: {"sum": p["x"].sum(0), "first": p["x"][0]}, {"x": x}, 3)
    np.testing.assert_array_equal(found["sum"], x.sum(0))
    np.testing.assert_array_equal(found["first"], x[:3].sum(0))  # dealt out: samples 0, 1 and 2 begin a piece each


@pytest.mark.slow
def test_pieces_move_no_samples_between_devices(config):
    config.model = toy.network("10", blocks=(0,))
    config.data.batch, config.optimizer.accumulate = 16, 2
    experiment = set_up(config)
    batch = parallel.to_global(toy.batch(experiment.training, 16), experiment.mesh)
    text = experiment.compile()[0].at(0).lower(experiment.abstract(), batch).compile().as_text()
    assert "all-reduce" in text
    for word in ("all-gather", "all-to-all", "collective-permute"):
        assert word not in text


@pytest.mark.slow
def test_less_memory(config):
    """A step in four pieces needs well under what the whole needs beside state and batch."""
    config.mesh.data = 1
    config.model = toy.network("10", blocks=(0,))
    needs = []
    for count in (1, 4):
        config.optimizer.accumulate = count
        experiment = set_up(config)
        batch = parallel.to_global(toy.batch(experiment.training, 8), experiment.mesh)
        compiled = experiment.compile()[0].at(0).lower(experiment.abstract(), batch).compile()
        needs.append(compiled.memory_analysis().temp_size_in_bytes)
    assert needs[1] < 0.7 * needs[0], needs


@pytest.mark.parametrize(("batch", "count"), [(8, 3), (8, 2)])
def test_what_does_not_divide_is_refused(batch, count, config):
    config.data.batch, config.optimizer.accumulate = batch, count
    with pytest.raises(InputError, match=r"multiple of optimizer.accumulate .* times the 8 device"):
        set_up(config)
