"""Checkpoints are whole, restore onto other devices, and are found again."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.storage import digests, formats
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.reading import Stored
from jointseg_jax.training.checkpoints.records import choose_step
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.trained import load_trained


@pytest.fixture(scope="module")
def experiment(light):
    return set_up(light)


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


def test_another_network_is_refused(experiment, state, tmp_path, light):
    config = light.copy_and_resolve_references()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(at(state, 1), experiment.meta(Calibration()))
    checkpoints.wait()
    config.model.widths = (4, 10)
    other = set_up(config).abstract()
    with pytest.raises(
        InputError, match=r"to another network: params/seg/.* is \(.*6.*\) there, but \(.*10.*\) in this one"
    ):
        checkpoints.restore(other, 1)
    with pytest.raises(InputError, match="to another network: ema/seg/"):
        checkpoints.restore_weights(other.params, 1, "ema")
    checkpoints.close()


def saved(experiment, state, folder, *steps):
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(at(state, step), experiment.meta(scored(step, 0.1 * step)))
    checkpoints.close()
    return folder / "checkpoints"


def files(folder):
    """Files whose bytes decide what is loaded."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ("commit_success.txt", META))


META = "_CHECKPOINT_METADATA"


def test_a_damaged_checkpoint_is_named_with_the_way_out(experiment, state, tmp_path):
    """Whatever file of it is cut short, empty or gone."""
    folder = saved(experiment, state, tmp_path, 1, 2)
    for path in files(folder / "2"):
        whole = path.read_bytes()
        for content in (whole[: len(whole) // 2], b"", None):
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(InputError, match=r"checkpoints/2 is damaged \(.*\): use another step \(--checkpoint=1"):
                Stored(tmp_path).meta(2)
            path.write_bytes(whole)
    path.write_bytes(b"")
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(InputError, match=r"remove that folder to continue from step 1"):
        checkpoints.restore(experiment.abstract(), 2)
    assert int(checkpoints.restore(experiment.abstract(), 1).step) == 1
    checkpoints.close()


def test_damage_of_another_step_stops_nobody(experiment, state, tmp_path, capsys):
    folder = saved(experiment, state, tmp_path, 1, 2)
    (folder / "2" / META).write_bytes(b"{")
    for path in files(folder / "2"):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        best = Stored(tmp_path).best()
        assert best == (1 if path.parent.name == "meta" or path.name == "digests.json" else 2)
        assert ("it cannot be chosen as the best checkpoint" in capsys.readouterr().out) == (best == 1)
        path.write_bytes(whole)
    for path in files(folder / "2"):
        path.write_bytes(b"")
    assert int(Stored(tmp_path).restore(experiment.abstract(), 1).step) == 1
    # And training goes on beside it.
    saved(experiment, state, tmp_path, 3, 4)
    assert Stored(tmp_path).steps == [3, 4]


def test_every_flipped_bit_is_noticed(experiment, state, tmp_path):
    """In any file that decides what is loaded."""
    folder = saved(experiment, state, tmp_path, 1)
    rng = np.random.default_rng(0)
    for path in files(folder / "1"):
        whole = path.read_bytes()
        for bit in rng.choice(8 * len(whole), 12, replace=False):
            torn = bytearray(whole)
            torn[bit // 8] ^= 1 << bit % 8
            path.write_bytes(torn)
            try:
                Stored(tmp_path).meta(1)
            except InputError as error:
                assert "checkpoints/1 is damaged" in str(error)  # noqa: PT017
            else:  # a blank of the list of digests
                assert path.name == "digests.json"
        path.write_bytes(whole)
    Stored(tmp_path).meta(1)


def rewritten(folder, change, version=formats.CHECKPOINT.version):
    """The record of a checkpoint as another program would have written it, at another version of the format."""
    path = folder / "1" / "meta" / "metadata"
    record = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("format", "checksum")}
    change(record)
    kind = dataclasses.replace(formats.CHECKPOINT, version=version)
    path.write_text(json.dumps(formats.seal(record, kind)))
    digests.write(folder / "1", besides=("commit_success.txt",))


@pytest.mark.parametrize("place", ["", "calibration", "contract", "modality", "model"])
def test_a_checkpoint_of_a_newer_version_is_not_called_damaged(experiment, state, tmp_path, place):
    folder = saved(experiment, state, tmp_path, 1)

    def change(record):
        inside = {
            "": record,
            "calibration": record["calibration"],
            "contract": record["contract"],
            "modality": record["contract"]["modalities"][0],
            "model": record["config"]["model"],
        }
        inside[place]["sun_angle"] = None

    rewritten(folder, change)
    with pytest.raises(formats.Newer, match=r"checkpoints/1 .*sun_angle.* newer version, upgrade jointseg-jax"):
        Stored(tmp_path).meta(1)


def test_a_newer_format_is_named(experiment, state, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "CHECKPOINT", formats.Format("checkpoint", 9, ""))
    monkeypatch.setattr(formats, "__version__", "7.1")
    saved(experiment, state, tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(
        formats.Newer,
        match=r"written by jointseg-jax 7\.1 \(checkpoint format 9\), which is newer than this .*: upgrade",
    ):
        Stored(tmp_path).best()


@pytest.mark.parametrize("version", [1, 2])
def test_a_checkpoint_of_the_earlier_network_is_refused(experiment, state, tmp_path, version):
    folder = saved(experiment, state, tmp_path, 1)
    rewritten(folder, lambda record: None, version)
    with pytest.raises(InputError, match=r"checkpoints/1 was made by an earlier version .*train again"):
        load_trained(tmp_path)


def test_a_list_of_digests_that_is_gone_is_missed(experiment, state, tmp_path):
    folder = saved(experiment, state, tmp_path, 1)
    (folder / "1" / "digests.json").unlink()
    with pytest.raises(InputError, match=r"damaged \(digests\.json is missing\)"):
        load_trained(tmp_path)


def test_an_empty_folder_says_what_to_run(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(InputError, match="jointseg train"):
        choose_step(checkpoints, "best", tmp_path)
    checkpoints.close()
