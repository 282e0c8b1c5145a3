"""Checkpoints are whole, restore onto other devices, and are found again."""

import jax
import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.training import parallel
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints import Checkpoints, choose_step
from jointseg_jax.training.experiment import set_up


@pytest.fixture(scope="module")
def experiment(toy_config):
    return set_up(toy_config)


@pytest.fixture(scope="module")
def state(experiment):
    return experiment.init()


def at(state, step):
    return state.replace(step=jax.device_put(np.int32(step), state.step.sharding))


def scored(step, f1):
    return Calibration(temperature=1.5, threshold=0.4, step=step, scores={"f1": f1})


def test_round_trip_onto_another_mesh(experiment, state, tmp_path):
    written = Checkpoints(tmp_path)
    written.save(at(state, 7), experiment.meta(scored(7, 0.5)))
    written.close()
    narrow = parallel.make_mesh(2)
    again = Checkpoints(tmp_path)
    restored = again.restore(parallel.abstract(state, parallel.replicated(narrow)), 7)
    meta = again.meta(7)
    again.close()
    assert int(restored.step) == 7
    jax.tree.map(np.testing.assert_array_equal, restored.params, state.params)
    assert all(x.sharding.mesh == narrow for x in jax.tree.leaves(restored))
    assert meta.contract == experiment.contract
    assert meta.calibration == scored(7, 0.5)
    assert meta.config == experiment.plain


def test_last_and_best_are_kept(experiment, state, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step, f1 in ((1, 0.3), (2, 0.9), (3, 0.5)):
        checkpoints.save(at(state, step), experiment.meta(scored(step, f1)))
        checkpoints.wait()
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path, keep=2)  # a restart remembers what was best
    for step, f1 in ((4, 0.6), (5, 0.4)):
        checkpoints.save(at(state, step), experiment.meta(scored(step, f1)))
        checkpoints.wait()
    assert checkpoints.steps == [2, 4, 5]
    assert checkpoints.best() == 2
    assert choose_step(checkpoints, "best", tmp_path) == 2
    assert choose_step(checkpoints, "latest", tmp_path) == 5
    assert choose_step(checkpoints, "4", tmp_path) == 4
    with pytest.raises(InputError, match=r"no checkpoint '3'"):
        choose_step(checkpoints, "3", tmp_path)
    checkpoints.close()


def test_a_stale_calibration_is_no_score(experiment, state, tmp_path):
    """A checkpoint between two validations carries the last calibration but does not compete for best."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(at(state, 4), experiment.meta(scored(4, 0.4)))
    checkpoints.save(at(state, 6), experiment.meta(scored(4, 0.4)))
    checkpoints.wait()
    assert checkpoints.best() == 4
    assert checkpoints.meta(6).calibration.step == 4
    checkpoints.close()


def test_only_the_weights(experiment, state, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    other = state.replace(ema=jax.tree.map(lambda x: x + 1, state.params))
    checkpoints.save(at(other, 1), experiment.meta(Calibration()))
    checkpoints.wait()
    shapes = parallel.abstract(state.params, parallel.replicated(parallel.make_mesh(1)))
    ema = checkpoints.restore_weights(shapes, 1, "ema")
    raw = checkpoints.restore_weights(shapes, 1, "params")
    checkpoints.close()
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, np.asarray(b) + 1), ema, state.params)
    jax.tree.map(np.testing.assert_array_equal, raw, state.params)


def test_another_network_is_refused(experiment, state, tmp_path, config):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(at(state, 1), experiment.meta(Calibration()))
    checkpoints.wait()
    config.model.widths = (4, 6, 10)
    other = set_up(config).abstract()
    with pytest.raises(InputError, match=r"of another network: params/seg/.* is \(.*8.*\) there and \(.*10.*\) here"):
        checkpoints.restore(other, 1)
    with pytest.raises(InputError, match="of another network: ema/seg/"):
        checkpoints.restore_weights(other.params, 1, "ema")
    checkpoints.close()


@pytest.mark.parametrize("what", ["state/_METADATA", "meta/metadata"])
def test_a_damaged_checkpoint_is_named_with_the_way_out(experiment, state, tmp_path, what):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(at(state, step), experiment.meta(Calibration()))
    checkpoints.close()
    path = tmp_path / "checkpoints" / "2" / what
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    checkpoints = Checkpoints(tmp_path)
    read = (
        checkpoints.meta if what.startswith("meta") else lambda step: checkpoints.restore(experiment.abstract(), step)
    )
    with pytest.raises(InputError, match=r"checkpoints/2 is damaged .*: delete that folder to use step 1"):
        read(2)
    assert int(checkpoints.restore(experiment.abstract(), 1).step) == 1
    checkpoints.close()


def test_an_empty_folder_says_what_to_run(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(InputError, match=r"train\.py"):
        choose_step(checkpoints, "best", tmp_path)
    checkpoints.close()
