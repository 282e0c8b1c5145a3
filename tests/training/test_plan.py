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


def small(config):
    """Makes a config quick to compile, in place."""
    config.model = toy.network("10", blocks=(0,), lattices=("1", "10"), widths=(4, 8))
    config.mesh.data = 1
    return config


@pytest.fixture
def single(config):
    return small(config)


LIMIT = 400 << 20


@pytest.fixture(scope="module")
def planned(toy_config):
    """What is said of a device of `LIMIT` bytes, and the bytes that each batch that was compiled needs."""
    needs = {}
    measure = planning._memory

    def remember(program, config, method, mesh, batch):
        needs[batch] = measure(program, config, method, mesh, batch)
        return needs[batch]

    copied = toy_config.copy_and_resolve_references()
    copied.unlock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(planning, "_memory", remember)
        patched.setattr(planning, "_limit", lambda: (LIMIT, "a small device"))
        return lines(small(copied)), needs


def test_what_a_plan_says(planned):
    said, needs = "\n".join(planned[0]), planned[1]
    assert re.search(r"parameters  total +[\d,]+", said)
    assert re.search(r"pixel +[\d.e-]+ TFLOP per step of 8 patches of 12 x 12", said)
    found = int(re.search(r"a small device: (\d+)", said)[1])
    assert found > 8
    assert needs[found] <= 0.9 * LIMIT
    grown = max(found + 1, round(found * 1.06))
    experiment_need = needs[found] / found * grown
    assert experiment_need > 0.9 * LIMIT, needs


@pytest.mark.slow
def test_a_phase_more_costs_more(single):
    single.adversarial.update({"weight": 0.1, "features": 4, "crop": 64, "start": 2})
    said = [line for line in lines(single) if line.startswith(("pixel", "adversarial"))]
    flops = [float(re.search(r"([\d.e-]+) TFLOP", line)[1]) for line in said]
    assert len(flops) == 2
    assert flops[1] > flops[0]


def test_no_batch_fits(single, monkeypatch):
    monkeypatch.setattr(planning, "_limit", lambda: (1 << 20, "a tiny device"))
    assert lines(single)[-1].endswith("none, not even 1")


def test_without_a_dataset_the_config_tells(single, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_limit", lambda: (1 << 20, "a tiny device"))  # one program less to compile
    single.dataset.path = str(tmp_path / "nothing")
    said = lines(single)
    assert "no dataset being prepared" in said[1]
    assert any("seg/" in line for line in said)


def test_operations_are_those_of_forward_and_backward(single, planned):
    """Between two and a bit more than three times a forward pass."""
    from jointseg_jax.training.experiment import forward_flops, set_up

    experiment = set_up(single)
    forward = 8 * forward_flops(experiment.model, jax.device_get(experiment.init().params), 12, 12)
    said = next(line for line in planned[0] if line.startswith("pixel"))
    step = float(re.search(r"([\d.e-]+) TFLOP", said)[1]) * 1e12
    assert 2 * forward < step < 3.2 * forward
