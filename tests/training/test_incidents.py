"""A step that is not finite is dumped, can be run again, and ends the run only when it is one of many in a row."""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
from unittest import mock

import harness
import jax
import numpy as np
import pytest
import toy

from jointseg_jax.errors import Diverged, InputError
from jointseg_jax.training import incidents as dumping
from jointseg_jax.training.devices import consensus
from jointseg_jax.training.reproduce import reproduce
from jointseg_jax.training.train import train

SCALE = 1e30  # of whole numbers whose squares float32 does not hold


def poison(config, folder, rows):
    """A copy of the dataset whose radar is 0, and in some rows of two sites far beyond what can be computed with.

    Floating-point values that large count as absent, so they are whole numbers with an absurd scale.
    """
    shutil.copytree(config.dataset.path, folder)
    for site in ("a", "b", "c", "d"):
        path = folder / "sites" / site / "s1.tif"

        def spoil(stack, of=site):
            made = np.zeros(stack.shape, np.int32)
            if of in ("a", "b"):
                made[:, rows] = 100_000_000
            return made

        toy.rewrite(path, dtype="int32", values=spoil, nodata=None)

    def change(description):
        for modality in description["contract"]["modalities"]:
            if modality["name"] == "s1":
                modality |= {"dtype": "int32", "scale": SCALE}

    toy.edit_dataset(folder, change)
    toy.reseal(folder)
    config.dataset.path = str(folder)
    return config


@pytest.fixture
def speck(config):
    harness.speck(config)
    config.steps, config.validate_every, config.checkpoint_every, config.log_every = 12, 12, 6, 4
    return config


def test_a_dump_reproduces_the_step_and_names_the_patch(speck, tmp_path, capsys):
    poison(speck, tmp_path / "dataset", slice(0, 3))  # only the topmost patches of a site hold them
    speck.incidents = 2
    workdir = tmp_path / "run"
    train(speck, workdir)
    out = capsys.readouterr().out
    skipped = harness.lines(workdir, "skipped")
    assert 2 < len(skipped) < 12
    assert all(line["loss"] in ("nan", "inf") or line["gradient_norm"] in ("nan", "inf") for line in skipped)
    assert harness.lines(workdir, "end")[0]["skipped"] == len(skipped)
    assert f"{len(skipped)} updates were skipped" in out
    incidents = [line["step"] for line in skipped if line["streak"] == 1]
    dumps = sorted(int(p.name) for p in (workdir / "incidents").iterdir())
    assert dumps == incidents[:2]
    assert out.count("to repeat it: jointseg reproduce") == 2

    found = reproduce(workdir / "incidents" / str(dumps[1]))
    assert found.same
    assert found.step == dumps[1]
    assert not np.isfinite(found.found["loss"]) or not np.isfinite(found.found["gradient_norm"])
    assert found.suspects
    assert all(text.startswith(("site a, rows 0-12", "site b, rows 0-12")) for text in found.suspects)


@pytest.mark.slow
def test_mended_data_does_not_reproduce_and_the_command_says_so(speck, tmp_path, toy_config):
    poison(speck, tmp_path / "dataset", slice(0, None))
    speck.max_skipped = 3
    with pytest.raises(Diverged, match=r"steps 0 to 2 were all skipped.*reproduce"):
        train(speck, tmp_path / "run")
    dump = tmp_path / "run" / "incidents" / "0"
    record = json.loads((dump / "incident.json").read_text())
    assert record["seed"] == speck.seed
    assert record["step"] == 0
    command = [sys.executable, "-m", "jointseg_jax.training.reproduce", str(dump)]
    mended = pathlib.Path(toy_config.dataset.path)
    done = subprocess.run([*command, f"--dataset={mended}"], cwd=harness.ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "different" in done.stdout
    again = subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "the same" in again.stdout
    assert "not finite by itself: site" in again.stdout


@dataclasses.dataclass
class Counters:
    """What a dump needs to know of a state."""

    step: int = 6
    skipped: int = 1
    streak: int = 1


@pytest.mark.parametrize(("known", "first_wants"), [("5", True), ("4", False)])
def test_all_processes_dump_what_process_0_dumps(known, first_wants, tmp_path, monkeypatch):
    """Process 1 comes late and finds the folder that process 0 has just made, or too early and finds none."""
    dumps, asked = [], []

    class Stub:
        def __init__(self, folder, keep):
            dumps.append(folder)

        save = wait = close = lambda self, *_: None

    def anywhere(flag):
        asked.append(flag)
        return first_wants

    (tmp_path / "incidents" / known).mkdir(parents=True)
    monkeypatch.setattr(dumping, "Checkpoints", Stub)
    monkeypatch.setattr(consensus, "anywhere", anywhere)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    experiment = mock.Mock()
    experiment.config.incidents, experiment.config.max_skipped = 3, 20
    watched = dumping.Incidents(experiment, tmp_path, mock.Mock())
    watched.watch(Counters(), {"loss": np.nan, "gradient_norm": np.nan})
    assert asked == [False]  # process 0 alone decides
    assert dumps == ([tmp_path / "incidents" / "5"] if first_wants else [])


def test_what_is_no_dump_is_refused(tmp_path):
    with pytest.raises(InputError, match="not the dump of a step"):
        reproduce(tmp_path)
