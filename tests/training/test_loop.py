"""The run: resumes to the bit, refuses another experiment, logs, and masks what it cannot read."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import toy

from jointseg_jax.errors import InputError
from jointseg_jax.storage.folders import MARKER
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.devices import multiprocess
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.train import train
from jointseg_jax.training.trained import load_trained


@pytest.fixture
def config(light):
    """A private copy of `light`."""
    return light.copy_and_resolve_references()


@pytest.fixture(scope="module")
def finished(light, tmp_path_factory):
    """A work directory with all four steps done at once."""
    workdir = tmp_path_factory.mktemp("run")
    train(light, workdir)
    return workdir


def final_state(config, workdir):
    checkpoints = Checkpoints(workdir)
    state = checkpoints.restore(set_up(config).abstract(), checkpoints.steps[-1])
    checkpoints.close()
    return jax.device_get(state)


def test_log_and_first_lines(finished, capsys):
    lines = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds[0] == "start"
    assert kinds.count("train") == 4
    assert kinds.count("validation") == 2
    assert all(line["masked"] == 0 for line in lines if line["kind"] == "validation")  # what fills a batch is no patch
    train_lines = [line for line in lines if line["kind"] == "train"]
    assert all(np.isfinite(line["loss"]) and line["patches_per_second"] > 0 for line in train_lines)
    assert json.loads((finished / "config.json").read_text())["name"] == "toy"
    assert "total" in (finished / "parameters.txt").read_text()
    events = list((finished / "tensorboard").glob("events*"))
    assert len(events) == 1
    assert b"validation" in events[0].read_bytes()
    assert multiprocess._stepped.is_set()  # from now on what breaks between processes is a loss of one


def test_a_folder_of_others_is_no_work_directory(light, tmp_path):
    (tmp_path / "config.json").write_text("mine")
    with pytest.raises(InputError, match=r"contains config\.json but no MADE_BY file of this program: choose a new"):
        train(light, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_run_of_before_folders_were_marked_goes_on(light, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / MARKER).unlink()
    train(light, tmp_path / "run")
    assert (tmp_path / "run" / MARKER).exists()


def test_a_finished_run_has_nothing_to_do(light, finished, capsys):
    before = final_state(light, finished)
    train(light, finished)
    jax.tree.map(np.testing.assert_array_equal, before, final_state(light, finished))
    out = capsys.readouterr().out
    for words in ("8 cpu device(s) in 1 process(es), mesh data 8", "global batch 8", "(toy)", "parameters", "4 of 4"):
        assert words in out


@pytest.mark.slow
def test_continuing_from_the_middle_ends_on_the_same_bits(light, finished, tmp_path):
    """Throw the last checkpoint away, run again: the same bits come back."""
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "4")
    train(light, tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, final_state(light, finished), final_state(light, tmp_path / "run"))


@pytest.mark.parametrize(("field", "value"), [("optimizer.learning_rate", 1e-5), ("seed", 3), ("data.batch", 16)])
def test_another_experiment_needs_another_folder(config, finished, field, value):
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=rf"{field}.*another --workdir"):
        train(config, finished)


@pytest.mark.slow
def test_a_finished_run_is_lengthened_where_its_schedule_permits(light, config, finished, tmp_path):
    """A constant learning rate: two steps and then four end on the bits of four at once."""
    config.steps = 2
    train(config, tmp_path / "run")
    train(light, tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, final_state(light, finished), final_state(light, tmp_path / "run"))
    with pytest.raises(InputError, match=r"has already done 4 steps, but this config has steps=2"):
        train(config, tmp_path / "run")


def test_a_dataset_prepared_again_under_other_statistics_is_another(config, finished, tmp_path):
    """The same patches, but the network's normalisation would change under its weights."""
    root = tmp_path / "dataset"
    shutil.copytree(config.dataset.path, root)

    def change(description):
        description["contract"]["modalities"][0]["statistics"]["mean"][0] += 0.01

    toy.edit_dataset(root, change)
    config.dataset.path = str(root)
    with pytest.raises(InputError, match="trained with other bands, units or statistics"):
        train(config, finished)


@pytest.mark.slow
def test_other_threads_are_the_same_experiment(config, finished):
    config.data.threads = 1
    config.log_every = 3
    before = final_state(config, finished)
    train(config, finished)
    jax.tree.map(np.testing.assert_array_equal, before, final_state(config, finished))


def test_a_trained_network_is_loaded_with_its_contract(light, finished):
    trained = load_trained(finished)
    assert trained.step in (2, 4)
    assert trained.meta.contract.primary.name == "s2"
    assert trained.meta.calibration.step == trained.step
    assert all(x.sharding.device_set == {jax.devices()[0]} for x in jax.tree.leaves(trained.params))
    raw = load_trained(finished, checkpoint="latest", weights="raw")
    state = final_state(light, finished)
    jax.tree.map(np.testing.assert_array_equal, raw.params, state.params)


def test_loading_nothing_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="jointseg train"):
        load_trained(tmp_path)
    with pytest.raises(InputError, match="jointseg train"):
        load_trained(pathlib.Path("/nonexistent"))


@pytest.mark.slow
def test_patches_that_become_unreadable_are_counted(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "jointseg_jax.data.site_record.check_rasters", lambda *_, **__: None
    )  # all was well at the start
    root = tmp_path / "dataset"
    shutil.copytree(config.dataset.path, root)
    for site in ("a", "c"):
        path = root / "sites" / site / "image.tif"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    config.dataset.path = str(root)
    train(config, tmp_path / "run")
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    counts = [line["masked"] for line in lines if line["kind"] in ("train", "end")]
    assert len(counts) == 5
    assert 0 < counts[0] < counts[-1] < 32
    assert counts == sorted(counts)
    assert counts[-1] == counts[-2]
    assert f"{counts[-1]} samples since step 0 were masked" in out
    missed = [line["masked"] for line in lines if line["kind"] == "validation"]
    assert missed
    assert all(m == missed[0] > 0 for m in missed)
    assert f"{missed[0]} validation patches could not be read" in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data.batch": 12}, "multiple of the 8 devices"),
        ({"mesh.data": 9}, "there are 8 devices"),
        ({"data.inputs": ("s2", "radar")}, "radar"),
        ({"model.control": "magic"}, "model.control"),
        ({"model.dtype": "float8"}, "model.dtype"),
        ({"model.lattices": ("1", "10")}, "model.lattices"),
        ({"model.stages": ("4", "2")}, "not to 10"),
        ({"model.trunk_spacing": ("10", "4")}, "whole multiple"),
        ({"model.blocks": (1,)}, "model.blocks"),
        ({"loss.stages": (1.0, 1.0, 1.0)}, "loss.stages"),
        ({"optimizer.schedule": "zigzag"}, "optimizer.schedule"),
        ({"dataset.path": "/nonexistent"}, "jointseg prepare"),
    ],
    ids=str,
)
def test_configs_that_contradict_themselves_are_refused(toy_config, tmp_path, change, message):
    config = toy_config.copy_and_resolve_references()
    config.unlock()
    config.update_from_flattened_dict(change)
    with pytest.raises(InputError, match=message):
        train(config, tmp_path)
