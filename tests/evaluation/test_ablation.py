"""A study trains, evaluates, resumes and reports."""

import json
import pathlib

import harness
import pytest
import toy

from jointseg_jax.commands import study
from jointseg_jax.configs.ablations import Row
from jointseg_jax.evaluation.study import programs, runs

TESTS = pathlib.Path(__file__).parents[1]
CONFIG = """
import sys

sys.path.insert(0, {tests!r})
import harness
import toy

from jointseg_jax.configs import common

FOLDS = ("c", "d")


def get_config(arg=None):
    given = common.parse_arg(arg, fold="d", control="bilinear")
    config = harness.speck(toy.config({raw!r}, "unset"))
    config.dataset.inputs = ("s2", "s1")
    config.dataset.split.by = "mixed"
    config.dataset.split.table = {{"train": ("a",), "validation": ("b",), "test": (given.fold,)}}
    config.dataset.split.shares = {{"train": 1.0, "validation": 0.0, "test": 0.0}}
    config.dataset.split.gap = config.dataset.split.halo = 1
    config.steps, config.validate_every, config.checkpoint_every = 2, 2, 2
    common.apply_control(config, given.control)
    return config
"""
ROWS = """
from jointseg_jax.configs.ablations import Row

ROWS = {"bilinear": Row("control=bilinear"), "coarse": Row("control=coarse", ("optimizer.clip=0.5",))}
"""
DATED_ROWS = """
from jointseg_jax.configs.ablations import Row

ROWS = {"dates-2": Row("control=bilinear", dates=2, judged=(1, 3))}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    toy.write_table(folder / "raw", 24, 24)
    (folder / "ablations.py").write_text(ROWS)
    path = folder / "experiment.py"
    path.write_text(CONFIG.format(tests=str(TESTS), raw=str(folder / "raw")))
    return path


@pytest.mark.slow
def test_a_study_from_end_to_end(config, capfd):
    folder = config.parent / "out"
    cut = folder / "runs" / "bilinear" / "d" / "seed0"  # a training that was stopped before it began
    cut.mkdir(parents=True)
    (cut / "train.log").write_text("stopped")
    (cut / programs.COST).write_text(json.dumps({"seconds": 1000.0}))
    command = [str(config), str(folder), "--names=bilinear,coarse", "--folds=d", "--workers=2"]
    assert study.main(command) == 0
    results = json.loads((folder / "study.json").read_text())
    assert [(r["row"], r["fold"], r["seed"], r["steps"]) for r in results] == [
        ("bilinear", "d", 0, 2),
        ("coarse", "d", 0, 2),
    ]
    assert [r["seconds"] > 1000 for r in results] == [True, False]
    assert all(0 <= r["f1"] <= 1 and r["seconds"] > 1 and r["parameters"] > 100 for r in results)
    assert all(0 < r["fraction_rmse_10m"] < 1 for r in results)
    assert [[step for step, _, _ in r["curve"]] for r in results] == [[2], [2]]
    assert all(0 < r["curve"][0][1] <= r["seconds"] for r in results)
    row = json.loads((folder / "runs" / "coarse" / "d" / "seed0" / "config.json").read_text())
    assert (row["optimizer"]["clip"], row["model"]["control"]) == (0.5, "coarse")
    assert "| bilinear | 1 |" in (folder / "report.md").read_text()
    capfd.readouterr()
    before = (folder / "study.json").stat().st_mtime_ns
    kept = folder / "runs" / "coarse" / "d" / "seed0" / "checkpoints" / "2"
    at = kept.stat().st_mtime_ns
    assert study.main(command) == 0  # nothing is left to do
    assert kept.stat().st_mtime_ns == at
    assert (folder / "study.json").stat().st_mtime_ns > before
    other = config.parent / "moved"
    other.mkdir()
    (other / "study.json").write_bytes((folder / "study.json").read_bytes())
    assert study.main([str(config), str(other), *command[2:]]) == 0
    assert not (other / "runs").exists()


@pytest.mark.slow
def test_a_network_of_several_dates_has_a_row_for_every_number(tmp_path, capfd):
    path = harness.study(tmp_path, DATED_ROWS)
    folder = tmp_path / "out"
    assert study.main([str(path), str(folder)]) == 0, capfd.readouterr().err
    results = json.loads((folder / "study.json").read_text())
    assert [r["row"] for r in results] == ["dates-2", "dates-2 on 1", "dates-2 on 3"]
    evaluations = folder / "runs" / "dates-2" / "three" / "seed0" / "evaluation"
    found = [json.loads((evaluations / k / "metrics.json").read_text()) for k in ("test", "dates1", "dates3")]
    assert [m["dates"] for m in found] == [2, 1, 3]
    assert len({m["overall"]["calibration_error"] for m in found}) == 3
    assert sorted(p.name for p in (folder / "datasets").iterdir() if "log" not in p.name) == [
        "three-dates2",
        "three-dates3",
    ]
    report = (folder / "report.md").read_text()
    assert "1 runs" in report
    assert "| dates-2 on 3 | 1 |" in report
    at = (evaluations / "dates3" / "metrics.json").stat().st_mtime_ns
    assert study.main([str(path), str(folder)]) == 0
    assert (evaluations / "dates3" / "metrics.json").stat().st_mtime_ns == at


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_are_done(config, capfd):
    folder = config.parent / "failing"
    command = [str(config), str(folder), "--names=bilinear", "--folds=c,d", "--config.optimizer.learning_rate=1e30"]
    assert study.main([*command, "--config.max_skipped=1"]) == 4
    message = capfd.readouterr().err
    assert "2 of 2 runs failed, first bilinear, c, seed 0: train ended with status 3" in message
    assert "train.log" in message


def test_an_evaluation_of_before_is_still_a_record(tmp_path):
    overall = {"isa": {"f1": 0.6, "precision": 0.7, "recall": 0.5}, "stages": [], "macro_f1": 0.7, "area_ratio": 1.0}
    metrics = {"overall": {**overall, "fraction": {"map": {"10m": {"rmse": 0.2}}}}, "parameters": 5, "step": 2}
    metrics["mega_flops_per_input_pixel"] = 1.5
    (tmp_path / "evaluation" / "test").mkdir(parents=True)
    (tmp_path / "evaluation" / "test" / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "config.json").write_text(json.dumps({"steps": 2}))
    (tmp_path / programs.COST).write_text(json.dumps({"seconds": 3}))
    record = runs.result_of(runs.Run("joint", "c", 0), tmp_path)
    assert (record["f1"], record["f1_best"], record["average_precision"]) == (0.6, None, None)


def test_runs_of_another_length_are_not_compared(config, capfd):
    folder = config.parent / "longer"
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps([{"row": "bilinear", "fold": "c", "seed": 0, "steps": 300}]))
    assert study.main([str(config), str(folder)]) == 2
    assert "has runs of 300 steps, but these would have 2: use another folder" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--names=magic"], "--names=magic: 'magic' is unknown; known: bilinear, coarse"),
        (["--folds=e"], "--folds=e: 'e' is unknown; known: c, d"),
        (["--seeds=x"], "--seeds=x"),
        (["--workers=0"], "--workers=0"),
        (["--steps=3"], "--steps=3 is unknown: overrides of the config look like --config.steps=1200"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, sentence, config, capfd):
    assert study.main([str(config), str(config.parent / "none"), *arguments]) == 2
    assert sentence in capfd.readouterr().err
    assert not (config.parent / "none").exists()


def test_published_weights_are_asked_for(config, tmp_path, capfd):
    path = harness.study(
        tmp_path, "from jointseg_jax.configs.ablations import Row\n\nROWS = {'warm': Row('', ('init_from={weights}',))}"
    )
    assert study.main([str(path), str(tmp_path / "out"), "--names=warm"]) == 2
    assert "row 'warm' begins with the weights of Real-ESRGAN x4plus: give their file with" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
    assert Row(fields=("a={half}", "b={weights}")).overrides(9, "w.pth") == ("a=4", "b=w.pth")


def test_a_config_without_folds_is_refused(tmp_path, capfd):
    (tmp_path / "plain.py").write_text("")
    (tmp_path / "ablations.py").write_text("ROWS = {}")
    assert study.main([str(tmp_path / "plain.py"), str(tmp_path / "out")]) == 2
    assert "has no FOLDS" in capfd.readouterr().err
