"""--plan says what a step costs, and finds a batch that fits and beyond which none does."""

import re

import jax
import pytest
import toy

from jointseg_jax.training import plan as planning
from jointseg_jax.training.plan import plan


def lines(config):
    said = []
    plan(config, said.append)
    return said


@pytest.fixture
def single(config):
    config.model = toy.network("10", blocks=(0,))  # quick to compile
    config.mesh.data = 1
    return config


def test_what_a_plan_says(single, monkeypatch):
    needs = {}
    measure = planning._memory

    def remember(program, config, method, mesh, batch):
        needs[batch] = measure(program, config, method, mesh, batch)
        return needs[batch]

    monkeypatch.setattr(planning, "_memory", remember)
    limit = 400 << 20
    monkeypatch.setattr(planning, "_limit", lambda: (limit, "a small device"))
    said = "\n".join(lines(single))
    assert re.search(r"parameters  total +[\d,]+", said)
    assert re.search(r"pixel +[\d.e-]+ TFLOP per step of 8 patches of 12 x 12", said)
    found = int(re.search(r"a small device: (\d+)", said)[1])
    assert found > 8
    assert needs[found] <= 0.9 * limit
    grown = max(found + 1, round(found * 1.06))
    experiment_need = needs[found] / found * grown
    assert experiment_need > 0.9 * limit, needs


def test_a_phase_more_costs_more(single):
    single.adversarial.update({"weight": 0.1, "features": 4, "crop": 64, "start": 2})
    said = [line for line in lines(single) if line.startswith(("pixel", "adversarial"))]
    flops = [float(re.search(r"([\d.e-]+) TFLOP", line)[1]) for line in said]
    assert len(flops) == 2
    assert flops[1] > flops[0]


def test_no_batch_fits(single, monkeypatch):
    monkeypatch.setattr(planning, "_limit", lambda: (1 << 20, "a tiny device"))
    assert lines(single)[-1].endswith("none, not even 1")


def test_without_a_dataset_the_config_tells(single, tmp_path):
    single.dataset.path = str(tmp_path / "nothing")
    said = lines(single)
    assert "no dataset being prepared" in said[1]
    assert any("seg/" in line for line in said)


def test_operations_are_those_of_forward_and_backward(single):
    """Between two and a bit more than three times a forward pass."""
    from jointseg_jax.training.experiment import forward_flops, set_up

    experiment = set_up(single)
    forward = 8 * forward_flops(experiment.model, jax.device_get(experiment.init().params), 12, 12)
    said = next(line for line in lines(single) if line.startswith("pixel"))
    step = float(re.search(r"([\d.e-]+) TFLOP", said)[1]) * 1e12
    assert 2 * forward < step < 3.2 * forward
