"""Every config and every ablation builds its network and a training step, without data and without computing."""

import ast
import dataclasses
import pathlib
import re

import jax
import pytest

from jointseg_jax import configs
from jointseg_jax.bounds.config import check_experiment
from jointseg_jax.configs import ablations, demo, dubai, scenes, yreb
from jointseg_jax.data.prepare.recipe import make_recipe
from jointseg_jax.errors import InputError
from jointseg_jax.models import cost
from jointseg_jax.models.jointseg import init_params
from jointseg_jax.rasters.contract import Contract, Statistics
from jointseg_jax.training.build.method import build_method
from jointseg_jax.training.build.network import build_model
from jointseg_jax.training.build.optimizers import build_optimizer, check_frozen
from jointseg_jax.training.method import init_state
from jointseg_jax.training.step import abstract_batch, make_step

CONFIGS = {"demo": demo, "dubai": dubai, "scenes": scenes, "yreb": yreb}


def contract_of(config):
    """The contract a prepared dataset of this config would have, with made-up statistics."""
    recipe = make_recipe(config.dataset)
    modalities = []
    for m in recipe.modalities:
        n = len(m.bands)
        modalities.append(dataclasses.replace(m, statistics=Statistics((0.1,) * n, (0.2,) * n, (0.0,) * n, (1.0,) * n)))
    return Contract(tuple(modalities), recipe.image_bands, label=config.dataset.label.name)


def build_row(name, row):
    """A config with the overrides of a row of the study."""
    config = CONFIGS[name].get_config(row.arguments or None)
    for field in row.overrides(config.steps, "RealESRGAN_x4plus.pth"):
        path, _, value = field.partition("=")
        *groups, key = path.split(".")
        section = config
        for group in groups:
            section = section[group]
        section[key] = value if key == "init_from" else ast.literal_eval(value)
    check_experiment(config)
    return config


# All rows of the study on its own config, and what differs most on the others. A step is traced for each, so what
# differs from these in numbers alone is a slow test.
OFTEN = ("bilinear", "joint", "adversarial")
CASES = [pytest.param("dubai", row, marks=[] if row in OFTEN else pytest.mark.slow) for row in ablations.ROWS] + [
    pytest.param(name, row, marks=[] if row == "joint" and name in ("demo", "yreb") else pytest.mark.slow)
    for name in ("demo", "scenes", "yreb", "paper")
    for row in ("joint", "bilinear", "stages-10")
]


@pytest.mark.parametrize(("name", "row"), CASES)
def test_builds(name, row):
    row = ablations.ROWS[row]
    if name == "paper":
        name, row = "yreb", dataclasses.replace(row, argument=f"network=paper,{row.argument}")
    config = build_row(name, row)
    config.model.scan = True  # unrolled blocks would be traced one by one
    model = build_model(config.model, contract_of(config))
    method = build_method(config, model, config.dataset.patch, (0.8, 0.2))
    state = jax.eval_shape(lambda: init_state(method, config.seed))
    batch = abstract_batch(model, config.dataset.patch, config.dataset.patch, 2)
    after, metrics = jax.eval_shape(make_step(method), state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert metrics["loss"].shape == ()
    assert ("sr" in state.params) == (config.model.control in ("joint", "sequential"))


@pytest.mark.quick
def test_shipped_configs_import_nothing_that_only_a_checkout_has():
    files = sorted(pathlib.Path(configs.__file__).parent.glob("*.py"))
    assert len(files) > 8
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) else ""
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [module or ""]
            assert not [name for name in names if name.split(".")[0] in ("configs", "benchmarks", "tests")], file


def yreb_network(argument):
    """The network of configs/yreb.py and its parameters' shapes."""
    model = build_model(yreb.get_config(argument).model, contract_of(yreb.get_config(argument)))
    model = model.clone(scan=True)
    return model, jax.eval_shape(lambda: init_params(model, jax.random.key(0)))


def test_the_papers_network_has_the_published_size():
    """Two ESRGAN-like stages.

    Stage 1 is RRDBNet x4 exactly; the second differs by its six input channels and its tail.
    """
    _, params = yreb_network("network=paper")
    assert cost.parameters(params["sr"]["stage1"]) == 16_697_987
    extra_input, one_upsampling_less = 9 * 3 * 64, 9 * 64 * 64 + 64
    assert cost.parameters(params["sr"]["stage2"]) == 16_697_987 + extra_input - one_upsampling_less


@pytest.mark.parametrize("network", yreb.NETWORKS)
def test_the_sizes_that_the_config_states_are_those_of_its_networks(network):
    model, params = yreb_network(f"network={network}")
    flops = cost.forward_flops(model, params, 64, 64) / 64**2
    stated = re.findall(r"([\d,]+)\s+parameters,\s+([\d.]+)\s+MFLOP", yreb.__doc__)[yreb.NETWORKS.index(network)]
    assert stated == (f"{cost.parameters(params):,}", f"{flops / 1e6:.1f}")


def test_the_papers_recipe_has_an_adversarial_phase_after_the_pixel_phase():
    phase = yreb.get_config("network=paper").adversarial
    assert (phase.weight, phase.feature_matching, phase.perceptual) == (0.1, 1.0, 0.0)
    assert 0 < phase.start < phase.start + phase.ramp < yreb.get_config().steps
    named = yreb.get_config("network=paper,vgg=vgg19.pth").adversarial
    assert (named.feature_matching, named.perceptual, named.vgg) == (0.0, 1.0, "vgg19.pth")


@pytest.mark.parametrize("argument", ["", "network=paper,control=bilinear", "network=paper,control=capacity"])
def test_without_supervised_images_there_is_none(argument):
    phase = yreb.get_config(argument).adversarial
    assert (phase.weight, phase.feature_matching, phase.perceptual) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("argument", ["network=large", "vgg=vgg19.pth"])
def test_a_network_that_does_not_exist_is_refused(argument):
    with pytest.raises(InputError, match=argument):
        yreb.get_config(argument)


def test_the_study_has_a_stage_of_the_published_size():
    config = build_row("dubai", ablations.ROWS["esrgan-frozen"])
    config.model.scan = True
    model = build_model(config.model, contract_of(config))
    params = jax.eval_shape(lambda: init_params(model, jax.random.key(0)))
    assert cost.parameters(params["sr"]["stage1"]) == 16_697_987
    assert config.init_from == "RealESRGAN_x4plus.pth"
    check_frozen(config.optimizer.frozen, params)
    trained = build_optimizer(config.optimizer, config.steps).init(params)
    assert cost.parameters(trained) < 3 * (cost.parameters(params) - 16_697_987)


def test_the_adversarial_row_begins_with_its_second_half():
    config = build_row("dubai", ablations.ROWS["adversarial"])
    assert config.adversarial.start == config.steps // 2


def test_capacity_is_the_joint_network_without_supervision():
    joint, capacity = dubai.get_config(), dubai.get_config("control=capacity")
    assert joint.model.to_dict() == capacity.model.to_dict()
    assert capacity.loss.sr == 0.0 < joint.loss.sr


def test_dates_have_a_dataset_of_their_own():
    for module, path in ((dubai, "datasets/dubai-scene2"), (scenes, "datasets/scenes")):
        fold = "fold=scene2," if module is dubai else ""
        one, four = module.get_config(f"{fold}dates=1"), module.get_config(f"{fold}dates=4")
        assert (one.dataset.path, four.dataset.path) == (path, f"{path}-dates4")
        assert (contract_of(one).dates, contract_of(four).dates) == (1, 4)
        assert (one.data.date_dropout, four.data.date_dropout) == (0.0, 1.0)
        with pytest.raises(InputError, match="config argument dates=0"):
            module.get_config("dates=0")


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
    "arg", ["contrl=joint", "control", "control=magic", "stages=4xtwo", "stages=0x5", "stages=-4x-2.5", "stages=1x10"]
)
def test_unknown_arguments_are_one_clear_sentence(name, arg):
    with pytest.raises(InputError) as caught:
        CONFIGS[name].get_config(arg)
    assert "\n" not in str(caught.value)


def test_yreb_without_data_says_what_to_put_where(monkeypatch, tmp_path):
    from jointseg_jax.data.prepare.preparation import prepare

    monkeypatch.chdir(tmp_path)  # datasets lie beside the caller
    config = yreb.get_config()
    with pytest.raises(InputError, match=r"sites\.csv.*jointseg prepare --config=yreb"):
        prepare(config.dataset, say=lambda _: None)


def test_dubai_without_data_says_what_to_set(monkeypatch, tmp_path):
    from jointseg_jax.data.prepare.preparation import prepare

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOINTSEG_DATA", raising=False)
    with pytest.raises(InputError, match="JOINTSEG_DATA"):
        prepare(dubai.get_config().dataset, say=lambda _: None)
    monkeypatch.setenv("JOINTSEG_DATA", "/nonexistent")
    with pytest.raises(InputError, match="/nonexistent/dubai is not a folder"):
        prepare(dubai.get_config().dataset, say=lambda _: None)


def test_published_weights_set_the_size_of_stage_1():
    """As the rows of the study do, so that weights and sizes fit."""
    config = dubai.get_config("weights=RealESRGAN_x4plus.pth")
    row = build_row("dubai", ablations.ROWS["esrgan-tuned"])
    assert config.model == row.model
    assert config.init_from == "RealESRGAN_x4plus.pth"
    for arg in ("stages=10", "control=bilinear", "stages=2x5"):
        with pytest.raises(InputError, match="is for a first stage of factor 4"):
            scenes.get_config(f"weights=x.pth,{arg}")


def test_fewer_inputs_of_the_landscape():
    """One dataset for both networks."""
    every, few = demo.get_config(), demo.get_config("inputs=s2")
    assert (tuple(every.data.inputs), tuple(few.data.inputs)) == ((), ("s2",))
    assert every.dataset == few.dataset
    assert tuple(demo.get_config("inputs=s1+s2").data.inputs) == ("s2", "s1")
    for text in ("s1", "s2+radar", ""):
        with pytest.raises(InputError, match=r"must be s2, alone or with others of s2\+s2_20m\+s1\+dem"):
            demo.get_config(f"inputs={text}")


@pytest.mark.parametrize("arg", ["sites=1", "sites=many", "side=0"])
def test_a_landscape_of_no_sense_is_refused(arg):
    with pytest.raises(InputError, match=f"{arg} must be a whole number"):
        demo.get_config(arg)
