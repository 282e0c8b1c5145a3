"""The adversarial phase: what it runs, what it leaves alone, and that nothing is lost at its boundary."""

import json
import shutil

import jax
import numpy as np
import pytest
import toy

from jointseg_jax.errors import InputError
from jointseg_jax.models import cost
from jointseg_jax.models.vgg import vgg19_shapes
from jointseg_jax.training import step as steps
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.method import fresh_state, init_state
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.step import abstract_batch, make_step
from jointseg_jax.training.train import train


def adversarial(config, **changes):
    config.model = toy.network("10", blocks=(0,))  # quick to compile
    config.adversarial.update(
        {"weight": 0.1, "feature_matching": 0.5, "features": 4, "crop": 64, "start": 2, "ramp": 2} | changes
    )
    return config


@pytest.fixture(scope="module")
def both(toy_config):
    copied = toy_config.copy_and_resolve_references()
    copied.unlock()
    return set_up(adversarial(copied))


@pytest.fixture(scope="module")
def state(both):
    return fresh_state(both.method, 0)


@pytest.fixture(scope="module")
def batch(both):
    return toy.batch(both.training, 8)


@pytest.fixture(scope="module")
def second(both):
    return jax.jit(make_step(both.method, adversarial=True))


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_the_pixel_phase_leaves_the_discriminator_alone(both, state, batch):
    after, metrics = jax.jit(make_step(both.method))(state, batch)
    for old, new in ((state.params["disc"], after.params["disc"]), (state.opt["disc"], after.opt["disc"])):
        assert same(old, new)
    assert same(state.aux, after.aux)
    assert not same(state.params["sr"], after.params["sr"])
    assert set(after.ema) == {"sr", "seg"}
    assert not {"gan", "discriminator", "feature_matching"} & set(metrics)


@pytest.mark.slow
def test_the_pixel_phase_costs_what_it_costs_without_an_adversarial_one(both, config):
    config.model = toy.network("10", blocks=(0,))
    plain = set_up(config)
    batch = abstract_batch(both.model, 12, 12, 8)

    def flops(experiment, **kind):
        start = jax.eval_shape(lambda: init_state(experiment.method, 0))
        return cost.flops(make_step(experiment.method, **kind), start, batch)

    assert flops(both) == flops(plain)
    assert flops(both, adversarial=True) > 1.1 * flops(plain)
    with pytest.raises(ValueError, match="without an adversarial loss"):
        make_step(plain.method, adversarial=True)


def test_the_adversarial_phase_moves_both_sides(state, batch, second):
    """At the first step of the phase its weight is zero, but the discriminator learns."""
    at = state.replace(step=state.step + 2)
    after, metrics = second(at, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for old, new in ((state.params["disc"], after.params["disc"]), (state.params["seg"], after.params["seg"])):
        assert not same(old, new)
    assert not same(state.aux["disc_sn"], after.aux["disc_sn"])
    for pair in after.aux["disc_sn"].values():
        assert pair["u"].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(pair["u"]), 1, rtol=1e-5)
    assert metrics["discriminator"] == pytest.approx(2 * np.log(2), rel=0.2)
    parts = metrics["cross_entropy"] + metrics["dice"] + 3 * metrics["l1_stage1"]
    assert metrics["loss"] == pytest.approx(float(parts), rel=1e-5)
    _, late = second(state.replace(step=state.step + 4), batch)
    expected = parts + 0.1 * late["gan"] + 0.5 * late["feature_matching"]
    assert late["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert late["gradient_norm"] != metrics["gradient_norm"]


def test_one_forward_of_the_generator_per_step(both, state, batch, monkeypatch):
    seen, forward = [], steps.run
    monkeypatch.setattr(steps, "run", lambda *args: seen.append(1) or forward(*args))
    jax.eval_shape(make_step(both.method, adversarial=True), state, batch)
    assert len(seen) == 1


@pytest.mark.slow
def test_the_discriminator_learns_to_tell(both, state, batch, second):
    at = state.replace(step=state.step + 2)
    for _ in range(60):
        at, metrics = second(at, batch)
    assert metrics["logit_real"] > metrics["logit_fake"]
    assert metrics["discriminator"] < 2 * np.log(2) - 0.02
    assert int(at.skipped) == 0


def test_crops_depend_on_seed_and_step_alone(both, state, batch, second):
    first, again = (second(state.replace(step=state.step + 5), batch)[1] for _ in range(2))
    other = second(state.replace(step=state.step + 6), batch)[1]
    assert first["discriminator"] == again["discriminator"]
    assert first["logit_real"] != other["logit_real"]


def test_ground_without_measurement_does_not_tell(both, state, batch, second):
    """Whatever stands where the image is invalid changes nothing, on either side."""
    masked = jax.tree.map(np.copy, batch)
    masked["image_valid"][:, 40:80] = False
    wild = jax.tree.map(np.copy, masked)
    wild["image"][:, 40:80] = 50.0
    at = state.replace(step=state.step + 4)
    (left, one), (right, other) = second(at, masked), second(at, wild)
    assert one["loss"] == other["loss"]
    assert same(left.params, right.params)


def test_an_update_that_is_not_finite_is_skipped_on_both_sides(state, batch, second):
    bad = jax.tree.map(np.copy, batch)
    bad["image"][...] = np.inf
    after, _ = second(state.replace(step=state.step + 4), bad)
    assert int(after.skipped) == 1
    for part in ("params", "ema", "opt", "aux"):
        assert same(getattr(after, part), getattr(state, part))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "relativistic", "sees_input": True},
        {"weight": 0.0},
        {"feature_matching": 0.0, "crop": 0},
    ],
    ids=str,
)
def test_variants(changes, config, batch):
    experiment = set_up(adversarial(config, **changes))
    start = fresh_state(experiment.method, 0)
    after, metrics = jax.jit(make_step(experiment.method, adversarial=True))(start.replace(step=start.step + 4), batch)
    assert int(after.skipped) == 0
    assert ("gan" in metrics) == bool(experiment.config.adversarial.weight)
    assert ("feature_matching" in metrics) == bool(experiment.config.adversarial.feature_matching)
    assert not same(start.params["disc"], after.params["disc"])
    inputs = 6 if changes.get("sees_input") else 3
    assert start.params["disc"]["conv0"]["kernel"].shape[2] == inputs


@pytest.mark.slow
def test_perceptual_loss_alone_needs_no_discriminator(config, batch, tmp_path):
    rng = np.random.default_rng(0)
    vgg = {
        name: {k: (rng.standard_normal(shape) * 0.05).astype(np.float32) for k, shape in layer.items()}
        for name, layer in vgg19_shapes().items()
        if name in ("conv1_1", "conv1_2")
    }
    adversarial(config, weight=0.0, feature_matching=0.0, perceptual=1.0, layers=(("conv1_2", 2.0),))
    config.adversarial.vgg = str(tmp_path / "vgg.pth")
    with pytest.raises(InputError, match=r"vgg\.pth"):
        set_up(config)
    config.adversarial.perceptual = 0.0
    experiment = set_up(config)
    assert experiment.method.adversarial is None
    from jointseg_jax.training.build.method import build_method

    config.adversarial.perceptual = 1.0
    method = build_method(config, experiment.model, 12, (0.7, 0.3))
    start = fresh_state(method, 0)
    assert "disc" not in start.params
    _, metrics = jax.jit(make_step(method, adversarial=True))(start.replace(step=start.step + 4), batch, vgg)
    parts = metrics["cross_entropy"] + metrics["dice"] + 3 * metrics["l1_stage1"]
    assert metrics["perceptual"] > 0
    assert metrics["loss"] == pytest.approx(float(parts + metrics["perceptual"]), rel=1e-5)


@pytest.mark.slow
def test_a_run_over_the_boundary(config, tmp_path):
    """Each phase has its losses; thrown back before or after the boundary, the run ends on the same bits."""
    adversarial(config, start=2, ramp=1)
    config.mesh.data = config.checkpoint_every = 1
    config.validate_every = config.keep = 4
    train(config, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    told = {row["step"]: "gan" in row for row in rows if row["kind"] == "train"}
    assert told == {1: False, 2: False, 3: True, 4: True}
    for back in (1, 2):
        shutil.copytree(tmp_path / "run", tmp_path / f"back{back}")
        for step in range(back + 1, 5):
            shutil.rmtree(tmp_path / f"back{back}" / "checkpoints" / str(step))
        train(config, tmp_path / f"back{back}")
        assert same(final(config, tmp_path / "run"), final(config, tmp_path / f"back{back}")), back


def final(config, workdir):
    checkpoints = Checkpoints(workdir)
    state = jax.device_get(checkpoints.restore(set_up(config).abstract(), 4))
    checkpoints.close()
    return state


@pytest.mark.slow
def test_each_phase_is_compiled_once(both, batch):
    from jointseg_jax.training.devices import parallel

    programs, _ = both.compile()
    state, there = both.init(), parallel.to_global(batch, both.mesh)
    for step in range(5):
        state, _ = programs.at(step)(state, there)
    assert [p.function._cache_size() for p in programs.phases().values()] == [1, 1]
    text = programs.adversarial.lower(state, there).compile().as_text()
    assert "all-reduce" in text
    assert "all-gather" not in text
    assert "all-to-all" not in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop": 60}, "multiple of 8"),
        ({"crop": 500}, "120 pixels"),
        ({"perceptual": 1.0}, "vgg19-dcbb9e9d.pth"),
        ({"perceptual": 1.0, "vgg": "x.pth", "layers": (("conv9_9", 1.0),)}, "conv9_9"),
    ],
)
def test_what_the_config_refuses(changes, words, config):
    with pytest.raises(InputError, match=words):
        set_up(adversarial(config, **changes))


def test_relativistic_and_pieces_do_not_go_together(config):
    config.mesh.data = 1
    config.optimizer.accumulate = 2
    adversarial(config, kind="relativistic")
    with pytest.raises(InputError, match=r"'vanilla', or optimizer.accumulate to 1"):
        set_up(config)


def test_without_super_resolution_there_is_nothing_to_judge(config):
    adversarial(config).model.control = "bilinear"
    with pytest.raises(InputError, match="'bilinear' has no SR branch"):
        set_up(config)
