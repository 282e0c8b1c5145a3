"""The step is pure, sharded or not the same, compiled once, and survives what is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from jointseg_jax.training.devices import parallel
from jointseg_jax.training.step import ema_decay, make_step


@pytest.fixture(scope="module")
def programs(experiment):
    """The training steps and the evaluation step, traced and compiled once."""
    return experiment.compile()


@pytest.fixture(scope="module")
def step(experiment):
    return make_step(experiment.method)


@pytest.fixture(scope="module")
def jitted(step):
    return jax.jit(step)


@pytest.fixture(scope="module")
def host_batch(experiment):
    return toy.batch(experiment.training, 8)


@pytest.fixture(scope="module")
def single(fresh):
    """A state on one device."""
    return jax.device_put(fresh, jax.devices()[0])


@pytest.fixture
def placed(experiment, fresh):
    """A state on the mesh, which a step may donate."""
    return jax.device_put(fresh, experiment.shardings())


def test_sharded_step_equals_single_device(experiment, programs, placed, jitted, single, host_batch):
    """Losses and gradients (through the clipped Adam update's direction) agree on 1 and on 8 devices."""
    alone, metrics_1 = jitted(single, host_batch)
    assert experiment.mesh.size == 8
    sharded, metrics_8 = programs[0].at(0)(placed, parallel.to_global(host_batch, experiment.mesh))
    for name in metrics_1:
        np.testing.assert_allclose(metrics_1[name], metrics_8[name], rtol=2e-4, err_msg=name)
    assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(sharded))
    moments_1, moments_8 = (s.opt["generator"][1][0].mu for s in (alone, sharded))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), moments_1, moments_8)


def test_uneven_masks_are_weighed_globally(experiment, programs, placed, jitted, single, host_batch):
    """Half the samples masked: means are over valid pixels of the whole batch, not means of per-device means."""
    masked = dict(host_batch)
    masked["label"] = host_batch["label"].copy()
    masked["label"][::2] = 255
    masked["image_valid"] = host_batch["image_valid"].copy()
    masked["image_valid"][1::2] = False
    _, metrics_1 = jitted(single, masked)
    _, metrics_8 = programs[0].at(0)(placed, parallel.to_global(masked, experiment.mesh))
    for name in metrics_1:
        np.testing.assert_allclose(metrics_1[name], metrics_8[name], rtol=2e-4, err_msg=name)


def test_one_compilation_and_only_all_reduce(experiment, programs, placed, host_batch):
    step_fn, evaluate_fn, state = programs[0].at(0), programs[1], placed
    batch = parallel.to_global(host_batch, experiment.mesh)
    for text in (
        step_fn.lower(state, batch).compile().as_text(),
        evaluate_fn.lower(state.ema, batch).compile().as_text(),
    ):
        assert "all-reduce" in text
        assert "all-gather" not in text
        assert "all-to-all" not in text
    for _ in range(3):
        state, _ = step_fn(state, batch)
    assert step_fn.function._cache_size() == 1
    assert int(state.step) == 3


def test_the_loop_moves_nothing_implicitly(experiment, programs, placed, host_batch):
    step_fn, state = programs[0].at(0), placed
    batch = parallel.to_global(host_batch, experiment.mesh)
    with jax.transfer_guard("disallow"):
        state, metrics = step_fn(state, batch)
    assert np.isfinite(jax.device_get(metrics)["loss"])


def test_updates_that_are_not_finite_are_skipped(jitted, single, host_batch):
    bad = dict(host_batch)
    bad["image"] = host_batch["image"].copy()
    bad["image"][3, 5, 5] = np.nan
    after, metrics = jitted(single, bad)
    assert not np.isfinite(metrics["loss"])
    assert int(after.step) == 1
    assert int(after.skipped) == 1
    for part in ("params", "ema", "opt"):
        jax.tree.map(np.testing.assert_array_equal, getattr(after, part), getattr(single, part))
    again, metrics = jitted(after, host_batch)
    assert int(again.skipped) == 1
    assert int(again.step) == 2
    assert np.isfinite(metrics["loss"])


def test_unreadable_samples_have_no_influence(experiment, jitted, single, host_batch):
    masked = experiment.training.masked()
    batch = jax.tree.map(np.copy, host_batch)
    jax.tree.map(lambda x, m: x.__setitem__(slice(4, 8), m), batch, masked)
    _, metrics = jitted(single, batch)
    wild = jax.tree.map(np.copy, batch)
    wild["image"][4:] = 7.0
    wild["inputs"]["s2"]["values"][4:] = -3.0
    _, other = jitted(single, wild)
    np.testing.assert_array_equal(metrics["l1_stage2"], other["l1_stage2"])
    np.testing.assert_array_equal(metrics["cross_entropy"], other["cross_entropy"])


@pytest.mark.slow
def test_overfits_one_batch(jitted, single, host_batch):
    state = single
    first = None
    pair = jax.tree.map(lambda x: x[:2], host_batch)
    for _ in range(150):
        state, metrics = jitted(state, pair)
        first = metrics if first is None else first
    assert metrics["cross_entropy"] < 0.25 * first["cross_entropy"]
    assert metrics["l1_stage2"] < 0.7 * first["l1_stage2"]


def test_ema_follows_and_lags(jitted, single, host_batch):
    assert ema_decay(jnp.int32(0), 0.999) == pytest.approx(0.1)
    assert ema_decay(jnp.int32(10**6), 0.999) == pytest.approx(0.999)
    after, _ = jitted(single, host_batch)
    jax.tree.map(
        lambda e, p0, p1: np.testing.assert_allclose(e, 0.1 * p0 + 0.9 * p1, atol=1e-6),
        after.ema,
        single.params,
        after.params,
    )


def test_golden_step(jitted, single, host_batch):
    """One step of the toy experiment.

    If you changed network, loss or data on purpose, print and replace the numbers.
    """
    _, metrics = jitted(single, host_batch)
    found = {k: float(v) for k, v in metrics.items()}
    assert found == pytest.approx(GOLDEN, rel=2e-3), found


GOLDEN = {
    "cross_entropy": 0.735990,
    "dice": 0.587909,
    "gradient_norm": 3.618558,
    "l1_stage1": 0.619924,
    "l1_stage2": 0.690223,
    "loss": 5.254335,
    "skipped": 0.0,
}


@pytest.mark.parametrize(("platform", "expected"), [("cpu", {"xla_backend_optimization_level": 0}), ("gpu", None)])
def test_only_the_cpu_is_told_to_optimise_less(platform, expected, monkeypatch):
    from jointseg_jax.training.method import fresh_state

    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(jax, "jit", lambda _, **options: lambda: options)
    assert fresh_state(None, 0)["compiler_options"] == expected
