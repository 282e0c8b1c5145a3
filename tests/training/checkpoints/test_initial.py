"""Where weights come from and which of them move: --init-from and freezing."""

import dataclasses
import pathlib
import shutil

import jax
import numpy as np
import pytest
import toy
from flax import traverse_util

from jointseg_jax.errors import InputError
from jointseg_jax.models import cost
from jointseg_jax.models.layers import Conv
from jointseg_jax.rasters.contract import Contract, Modality, Statistics
from jointseg_jax.training.checkpoints.initial import for_normalised
from jointseg_jax.training.checkpoints.published import load_rrdbnet
from jointseg_jax.training.checkpoints.reading import Stored
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.method import init_state
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.start import start
from jointseg_jax.training.step import abstract_batch, make_step
from jointseg_jax.training.train import train

PUBLISHED = pathlib.Path(__file__).parents[2] / "data_files" / "rrdbnet_x4.pth"


def light(config):
    """Quick to compile: one device, no trunk in stage 2."""
    config.model = toy.network(blocks=(1, 0))
    config.mesh.data = 1
    config.data.batch = config.steps = config.validate_every = config.checkpoint_every = 2
    config.panels = 0
    return config


@pytest.fixture
def config(config):
    return light(config)


def flat(tree):
    return {name: np.asarray(x) for name, x in traverse_util.flatten_dict(tree, sep="/").items()}


def begun(config, workdir):
    """The state a run begins with, and what it says of its origin."""
    checkpoints = Checkpoints(workdir)
    try:
        found = start(set_up(config), checkpoints, workdir)
    finally:
        checkpoints.close()
    return found.state, found.origin


def weights(config, workdir, step):
    state = Stored(workdir).restore(set_up(config).abstract(), step)
    return flat(state.ema)


@pytest.fixture(scope="module")
def stage1(toy_config, tmp_path_factory):
    """Stage 1 trained alone: the other parts frozen and without loss."""
    config = toy_config.copy_and_resolve_references()
    config.unlock()
    light(config)
    config.loss.update({"stages": (1.0, 0.0), "cross_entropy": 0.0, "dice": 0.0})
    config.optimizer.frozen = ("sr/stage2", "^seg/")
    workdir = tmp_path_factory.mktemp("stage1")
    train(config, workdir)
    return config, workdir


@pytest.mark.slow
def test_frozen_parameters_stay(stage1):
    config, workdir = stage1
    experiment = set_up(config)
    fresh = flat(jax.device_get(experiment.init().params))
    after = weights(config, workdir, 2)
    for name, x in fresh.items():
        moved = not np.array_equal(x, after[name])
        assert moved == name.startswith("sr/stage1/"), name


@pytest.mark.slow
def test_frozen_parameters_have_no_moments_and_no_gradients_to_pay_for(stage1, config):
    frozen, plain = set_up(stage1[0]), set_up(config)
    sizes = [cost.parameters(e.abstract().opt) for e in (frozen, plain)]
    stage = cost.parameters(frozen.abstract().params["sr"]["stage1"])
    assert 2 * stage <= sizes[0] < 2 * stage + 10
    batch = abstract_batch(plain.model, 12, 12, 8)

    def flops(experiment):
        return cost.flops(make_step(experiment.method), experiment.abstract(), batch)

    config.optimizer.frozen = ("sr/stage1/trunk",)
    assert flops(set_up(config)) < flops(plain)


@pytest.mark.slow
def test_a_stage_warms_up_the_whole_network(stage1, config, tmp_path):
    source, workdir = stage1
    config.init_from = str(workdir)
    state, origin = begun(config, tmp_path)
    given = weights(source, workdir, 2)
    for part in (state.params, state.ema):
        for name, x in flat(jax.device_get(part)).items():
            np.testing.assert_array_equal(x, given[name], err_msg=name)
    assert "step 2" in origin
    assert int(state.step) == 0
    train(config, tmp_path)
    shutil.move(workdir, tmp_path / "gone")
    try:
        train(config, tmp_path)  # finished, and the weights are not asked for again
    finally:
        shutil.move(tmp_path / "gone", workdir)


@pytest.mark.slow
def test_other_modalities_keep_what_fits(stage1, config, tmp_path):
    source, workdir = stage1
    config.init_from = f"{workdir}:2"
    config.data.inputs = ("s2",)
    state, origin = begun(config, tmp_path)
    given, fresh = weights(source, workdir, 2), flat(jax.device_get(set_up(config).init().params))
    taken = flat(jax.device_get(state.params))
    differing = {name for name in taken if taken[name].shape != given[name].shape}
    assert "sr/stage1/conv_first/kernel" in differing
    for name, x in taken.items():
        np.testing.assert_array_equal(x, (fresh if name in differing else given)[name], err_msg=name)
    assert "newly initialised because shapes differ" in origin
    assert f"{len(differing)} arrays (such as seg/level2_in/kernel: " in origin


@pytest.mark.slow
def test_a_control_gives_its_segmenter(config, tmp_path):
    bilinear = config.copy_and_resolve_references()
    bilinear.model.control = "bilinear"
    train(bilinear, tmp_path / "bilinear")
    config.init_from = f"{tmp_path / 'bilinear'}:best"
    state, origin = begun(config, tmp_path / "joint")
    given = weights(bilinear, tmp_path / "bilinear", Stored(tmp_path / "bilinear").best())
    np.testing.assert_array_equal(state.params["seg"]["level1_in"]["kernel"], given["seg/level1_in/kernel"])
    assert "newly initialised because the source lacks them" in origin
    assert "sr/stage1" in origin


def test_published_weights_go_into_stage_1(config, tmp_path):
    config.model = toy.network(blocks=(1, 0), features=(2, 6), growth=(1, 4), tail_features=(2, 4))
    config.init_from = str(PUBLISHED)
    state, origin = begun(config, tmp_path)
    given = flat(load_rrdbnet(PUBLISHED))
    found = flat(jax.device_get(state.params["sr"]["stage1"]))
    for name in ("trunk/kernel3", "conv_body/kernel", "conv_up2/bias", "conv_hr/kernel"):
        np.testing.assert_array_equal(found[name], given[name])
    assert not found["conv_last/kernel"].any()  # still exactly the base
    assert "conv_first/kernel: 3x3x3x2 in the source, 3x3x9x2 here" in origin


def test_published_weights_see_what_they_were_trained_on():
    """Red, green, blue from 0 to 1, though the input is normalised and in another order; other units are left."""
    mean, std = np.float32([0.3, 0.4, 0.5]), np.float32([0.1, 0.2, 0.3])
    statistics = Statistics(tuple(mean), tuple(std), (0.0,) * 3, (1.0,) * 3)
    primary = Modality("s2", ("B", "G", "R"), 10.0, "uint8", "display", statistics=statistics)
    contract = Contract((primary,), ("R", "G", "B"))
    first = load_rrdbnet(PUBLISHED)["conv_first"]
    seen = np.random.default_rng(0).random((1, 9, 9, 3), np.float32)
    conv = Conv(first["kernel"].shape[-1])
    expected = conv.apply({"params": first}, seen)
    found = conv.apply({"params": for_normalised(first, contract)}, (seen[..., ::-1] - mean) / std)
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-5)
    other = contract.replace(modalities=(dataclasses.replace(primary, units="reflectance"),))
    assert for_normalised(first, other) is first


@pytest.mark.slow
def test_what_cannot_be_begun_from(config, tmp_path):
    config.init_from = str(tmp_path / "nowhere")
    with pytest.raises(InputError, match="neither a weight file nor the folder of a run"):
        begun(config, tmp_path / "run")
    config.init_from = str(PUBLISHED)
    with pytest.raises(InputError, match="no array with the path and shape"):
        begun(config, tmp_path / "run")
    config.model = toy.network("10", features=(2,), growth=(1,), tail_features=(2,))
    with pytest.raises(InputError, match="factor 4"):
        begun(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("patterns", "words"),
    [(("sr/stage3",), "begin with seg/"), ((".",), "leave at least one"), (("(",), "invalid regular expression")],
)
def test_patterns_that_are_refused(patterns, words, config):
    config.optimizer.frozen = patterns
    with pytest.raises(InputError, match=words):
        set_up(config)


@pytest.mark.slow
def test_discriminator_and_learned_weights_are_not_judged(config, tmp_path):
    """A run with more in its state is evaluated and continued like any other."""
    from jointseg_jax.training.trained import load_trained

    config.loss.weighting = "uncertainty"
    config.model = toy.network("10", blocks=(0,))  # quick to compile
    config.adversarial.update({"weight": 0.1, "features": 4, "crop": 64, "start": 1})
    train(config, tmp_path / "run")
    for which in ("ema", "raw"):
        assert set(load_trained(tmp_path / "run", checkpoint="latest", weights=which).params) == {"sr", "seg"}
    experiment = set_up(config)
    checkpoints = Checkpoints(tmp_path / "run")
    state = checkpoints.restore(experiment.abstract(), 2)
    checkpoints.close()
    assert set(state.params) == {"sr", "seg", "disc", "loss"}
    assert all(float(s) != 0 for s in state.params["loss"].values())
    again = init_state(experiment.method, 0)
    assert jax.tree.structure(again) == jax.tree.structure(state)
