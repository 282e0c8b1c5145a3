"""Checkpoints are written off the critical path, and an outage of storage costs nothing that was there."""

import gc
import time

import harness
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jointseg_jax.errors import StorageError
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.saving import Saver
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.set_up import set_up


@pytest.fixture(scope="module")
def experiment(toy_config):
    config = toy_config.copy_and_resolve_references()
    config.unlock()
    return set_up(harness.speck(config))


@pytest.fixture(scope="module")
def state(experiment):
    return experiment.init()


def heavy(state, step, megabytes):
    """A state with an array of noise, which does not compress."""
    noise = np.random.default_rng(step).standard_normal(megabytes * (1 << 18)).astype(np.float32)
    at = jax.device_put(np.int32(step), state.step.sharding)
    made = state.replace(step=at, aux={"noise": jax.device_put(noise, state.step.sharding)})
    return jax.tree.map(jnp.copy, made)  # device_put may lend the host's own memory, which cannot be donated


def test_save_returns_before_the_commit_and_the_state_may_be_consumed_at_once(experiment, state, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    big = heavy(state, 1, 200)
    expected = np.asarray(heavy(state, 1, 200).aux["noise"])
    started = time.perf_counter()
    checkpoints.save(big, experiment.meta(Calibration()))
    returned = time.perf_counter() - started
    assert not (tmp_path / "checkpoints" / "1").exists()
    assert not checkpoints.idle
    consumed = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)(big)
    jax.block_until_ready(consumed)
    checkpoints.wait()
    committed = time.perf_counter() - started
    assert (tmp_path / "checkpoints" / "1").exists()
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), consumed)
    np.testing.assert_array_equal(checkpoints.restore(abstract, 1).aux["noise"], expected)
    checkpoints.close()
    print(f"200 MB: save returned after {returned:.2f} s, committed after {committed:.2f} s")
    assert returned < committed


def test_a_full_disk_costs_no_older_checkpoint_and_the_next_attempt_succeeds(experiment, state, tmp_path):
    meta, said = experiment.meta(Calibration()), []
    with harness.small_disk(tmp_path / "disk", 16) as disk:
        checkpoints = Checkpoints(disk, keep=2)
        saver = Saver(checkpoints, said.append, patience=0.0)
        for step in (1, 2):
            saver.begin(heavy(state, step, 2), meta)
        checkpoints.wait()
        filler = harness.fill(disk, leave=1 << 20)
        saver.begin(heavy(state, 3, 2), meta)
        while not checkpoints.idle:
            time.sleep(0.01)
        assert not said
        saver.poll()
        assert len(said) == 1
        assert "checkpoint 3 could not be written" in said[0]
        assert "no space left on the device" in said[0]
        assert "checkpoints 1, 2 are there; the run continues" in said[0]
        with pytest.raises(StorageError, match="checkpoint 4 could not be written"):
            saver.finish(heavy(state, 4, 2), meta)
        saver.close()
        assert checkpoints.steps == [1, 2]
        for step in (1, 2):
            stored = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), heavy(state, step, 2)
            )
            restored = checkpoints.restore(stored, step)
            np.testing.assert_array_equal(restored.aux["noise"], heavy(state, step, 2).aux["noise"])
        filler.unlink()
        saver.begin(heavy(state, 5, 2), meta)
        saver.finish(heavy(state, 6, 2), meta)
        assert checkpoints.steps == [5, 6]
        checkpoints.close()
        assert sorted(p.name for p in (disk / "checkpoints").iterdir()) == ["5", "6"]
    assert len(said) == 1


def test_a_write_that_fails_in_many_arrays_is_one_sentence(experiment, state, tmp_path):
    """TensorStore reports each failure to an event loop that the first one closed; Python would print them all."""
    many = {f"noise{k}": heavy(state, k, 1).aux["noise"] for k in range(40)}
    with harness.small_disk(tmp_path / "disk", 16) as disk:
        checkpoints = Checkpoints(disk)
        saver = Saver(checkpoints, pytest.fail, patience=0.0)
        with pytest.raises(StorageError, match="checkpoint 0 could not be written"):
            saver.finish(state.replace(aux=many), experiment.meta(Calibration()))
        checkpoints.close()
    gc.collect()  # pytest turns what Python would print into a failure of this test


def test_a_finished_write_is_not_repeated(experiment, state, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    saver = Saver(checkpoints, pytest.fail)
    saver.begin(heavy(state, 1, 1), experiment.meta(Calibration()))
    saver.finish(heavy(state, 1, 1), experiment.meta(Calibration()))
    checkpoints.close()
    assert checkpoints.steps == [1]
