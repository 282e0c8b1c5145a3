"""--plan says what a step costs, and finds a batch that fits and beyond which none does."""

import re
from unittest import mock

import jax
import pytest
import toy

from jointseg_jax.training.planning import step_cost as planning
from jointseg_jax.training.planning.step_cost import plan


def lines(config, *, exact=True):
    said = []
    plan(config, said.append, exact=exact)
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
    measure = planning.step_memory

    def remember(program, config, method, mesh, batch):
        needs[batch] = measure(program, config, method, mesh, batch)
        return needs[batch]

    copied = toy_config.copy_and_resolve_references()
    copied.unlock()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(planning, "step_memory", remember)
        patched.setattr(planning, "device_memory", lambda: (LIMIT, "a small device"))
        return lines(small(copied)), needs


@pytest.mark.slow
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
def test_an_estimate_compiles_one_size_and_is_not_too_large(planned, single, monkeypatch):
    """Beside the batch found by compiling: close, and never above it."""
    needs = planned[1]
    compiled = []

    def known(program, config, method, mesh, batch):
        compiled.append(batch)
        return needs[batch]  # measured before, by compiling

    monkeypatch.setattr(planning, "step_memory", known)
    monkeypatch.setattr(planning, "device_memory", lambda: (LIMIT, "a small device"))
    said = lines(single, exact=False)
    exact = int(re.search(r"a small device: (\d+)", "\n".join(planned[0]))[1])
    found = int(re.search(r"a small device: about (\d+), estimated from 8; --plan_exact", said[-1])[1])
    assert 0.8 * exact <= found <= exact
    assert compiled == [8]


@pytest.mark.slow
def test_a_batch_that_the_compiler_refuses_does_not_fit(single, monkeypatch):
    """As a TPU's compiler does; the plan says so and goes on with smaller ones."""
    measure = planning.step_memory

    class Refusing:
        def __init__(self, program):
            self.program = program

        def lower(self, state, batch):
            if batch["label"].shape[0] > 1:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm.")
            return self.program.lower(state, batch)

    monkeypatch.setattr(planning, "step_memory", lambda program, *rest: measure(Refusing(program), *rest))
    said = lines(single)
    assert any(re.search(r"^pixel .* 8 patches of 12 x 12, more than is available per device", line) for line in said)
    assert re.search(r": 1 \(.* per device when compiled\)$", said[-1])


def test_other_failures_of_the_compiler_are_no_lack_of_memory(single):
    from jointseg_jax.training.set_up import set_up

    class Broken:
        def lower(self, *_):
            raise jax.errors.JaxRuntimeError("INTERNAL: no such kernel")

    experiment = set_up(single)
    with pytest.raises(jax.errors.JaxRuntimeError, match="no such kernel"):
        planning.step_memory(Broken(), single, experiment.method, experiment.mesh, 8)


@pytest.mark.parametrize(
    ("batch", "unit", "refused", "room", "expected"),
    [
        (64, 8, 64, 1000, 56),  # the card is said to hold more than the compiler gives
        (64, 8, 24, 1000, 16),
        (64, 8, 24, 12, 8),
        (64, 8, 16, 1000, 8),
        (8, 8, 8, 1000, 0),
        (64, 8, 8, 1000, 0),
        (8, 8, 200, 1000, 120),  # the line leads far beyond, and halving leads back
        (8, 8, 16, 1000, 8),
        (24, 8, 16, 1000, 8),
        (64, 8, 10**9, 100, 96),
        (8, 8, 10**9, 4, 0),
    ],
)
def test_the_largest_batch_below_those_that_are_refused(batch, unit, refused, room, expected):
    """A sample needs a byte."""
    compiled = []

    def measure(size):
        compiled.append(size)
        return float("inf") if size >= refused else float(size)

    need = float("inf") if batch >= refused else float(batch)
    limit = int(room / planning.MEMORY_SHARE) + 1
    found, bytes_ = planning.largest_batch(measure, batch, need, unit, limit)
    assert (found, bytes_) == (expected, expected)
    assert len(compiled) == len(set(compiled)) <= 8


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_what_jax_sets_aside_of_a_card_is_not_called_the_card(platform, monkeypatch):
    device = mock.Mock(platform=platform, device_kind="a device")
    device.memory_stats.return_value = {"bytes_limit": 60 << 30}
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    limit, whose = planning.device_memory()
    assert limit == 60 << 30
    assert ("XLA_PYTHON_CLIENT_MEM_FRACTION" in whose) == (platform == "gpu")


@pytest.mark.slow
def test_a_phase_more_costs_more(single):
    single.adversarial.update({"weight": 0.1, "features": 4, "crop": 64, "start": 2})
    said = [line for line in lines(single) if line.startswith(("pixel", "adversarial"))]
    flops = [float(re.search(r"([\d.e-]+) TFLOP", line)[1]) for line in said]
    assert len(flops) == 2
    assert flops[1] > flops[0]


@pytest.mark.slow
def test_no_batch_fits(single, monkeypatch):
    monkeypatch.setattr(planning, "device_memory", lambda: (1 << 20, "a tiny device"))
    said = lines(single, exact=False)
    assert said[-1].endswith("perhaps not even 1, estimated from 8; --plan_exact compiles others to find it")


def test_without_a_dataset_the_config_tells(single, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "device_memory", lambda: (1 << 20, "a tiny device"))  # one program less to compile
    single.dataset.path = str(tmp_path / "nothing")
    said = lines(single, exact=False)
    assert "no dataset is prepared" in said[1]
    assert any("seg/" in line for line in said)


@pytest.mark.slow
def test_operations_are_those_of_forward_and_backward(single, planned):
    """Between two and a bit more than three times a forward pass."""
    from jointseg_jax.models.cost import forward_flops
    from jointseg_jax.training.set_up import set_up

    experiment = set_up(single)
    forward = 8 * forward_flops(experiment.model, jax.device_get(experiment.init().params), 12, 12)
    said = next(line for line in planned[0] if line.startswith("pixel"))
    step = float(re.search(r"([\d.e-]+) TFLOP", said)[1]) * 1e12
    assert 2 * forward < step < 3.2 * forward
