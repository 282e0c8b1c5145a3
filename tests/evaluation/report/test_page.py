"""The report of an evaluation says what metrics.json says, in one page."""

import json
import re

import pytest

from jointseg_jax.data.dataset import load
from jointseg_jax.evaluation.evaluate import evaluate
from jointseg_jax.evaluation.report import charts
from jointseg_jax.training.train import train
from jointseg_jax.training.trained import load_trained


@pytest.fixture(scope="module")
def evaluated(toy_config, data, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    config = toy_config.copy_and_resolve_references()
    config.unlock()
    config.steps = config.validate_every = config.checkpoint_every = 4
    train(config, workdir)
    folder = tmp_path_factory.mktemp("evaluation")
    metrics = evaluate(
        load_trained(workdir), load(data.root), "test", folder, tile=16, command="python evaluate.py --workdir='a b'",
        say=lambda _: None,
    )  # fmt: skip
    return metrics, folder


def test_the_page_is_whole(evaluated):
    metrics, folder = evaluated
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == len(re.findall(r'src="data:image/png;base64,[A-Za-z0-9+/=]{100,}"', page)) == 4
    assert f"{metrics['overall']['isa']['precision']:.3f}" in page
    assert f"{metrics['overall']['fraction']['probability']['30m']['rmse']:.3f}" in page
    assert f"{metrics['overall']['stages'][0]['spectral_angle_bicubic']:.3f}" in page
    assert f"{metrics['overall']['stages'][0]['opensr_test']['hallucination']:.3f}" in page
    assert f"{metrics['overall']['consistency']['rmse_over_noise']:.2f} times the noise" in page
    assert "python evaluate.py --workdir=&#x27;a b&#x27;" in page
    assert not re.search(r">[^<]*\b(nan|None)\b", page)


def test_markdown_refers_to_files_that_are_there(evaluated):
    _, folder = evaluated
    text = (folder / "report.md").read_text()
    files = re.findall(r"\]\((.+?\.png)\)", text)
    assert files == ["reliability.png", "sizes.png", "scales.png", "d.png"]
    assert all((folder / file).stat().st_size for file in files)
    stored = json.loads((folder / "metrics.json").read_text())
    assert f"| all | {stored['pixels'] / 1e6:.2f} | {stored['overall']['isa']['precision']:.3f}" in text


def test_ground_too_small_or_too_plain_for_any_scale_has_an_empty_chart():
    """A map of one class correlates with nothing at any period, and a small site has no whole cell."""
    empty = {side: {"cells": 0, "rmse": None} for side in ("10m", "30m")}
    overall = {
        "resolution": {"correlation": {"4m": None, "128m": None}},
        "fraction": dict.fromkeys(("map", "probability", "regression_10m"), empty),
    }
    assert charts.scales(overall).png.startswith(b"\x89PNG")
