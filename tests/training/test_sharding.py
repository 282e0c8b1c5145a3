"""Any mesh trains the same, and what travels between devices is what should."""

import jax
import numpy as np
import pytest
import toy
from collectives import collectives
from ml_collections import ConfigDict

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
from jointseg_jax.training.method import fresh_state
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.step import make_evaluation, make_step

SPREAD = (("params|ema|opt", "largest"),)


def on_mesh(config, data, space, rules=()):
    changed = ConfigDict(config.to_dict())
    changed.mesh.data, changed.mesh.space, changed.mesh.rules = data, space, rules
    return set_up(changed)


def alone(experiment, batch):
    """State and metrics after a step on one device, and the sums of an evaluation before it."""
    state = fresh_state(experiment.method, 0)
    step = make_step(experiment.method)
    sums = jax.jit(make_evaluation(experiment.model))(state.ema, batch)
    return *jax.jit(step)(state, batch), sums


def compare(experiment, batch, expected):
    """Runs the same on a mesh. Returns the collectives of the training and of the evaluation step."""
    after, metrics, sums = expected
    steps, evaluate_fn = experiment.compile()
    state, spread = experiment.init(), parallel.to_global(batch, experiment.mesh)
    step, evaluate = steps.at(0).lower(state, spread).compile(), evaluate_fn.lower(state.ema, spread).compile()
    for name, value in jax.device_get(evaluate(state.ema, spread)).items():
        # A pixel on the border of two bins of the histogram may fall into either.
        moved = np.abs(np.cumsum(value, -1) - np.cumsum(sums[name], -1)).max() if name == "logits" else 0
        assert moved <= 1e-3 * np.sum(value), name
        np.testing.assert_allclose(np.sum(value), np.sum(sums[name]), rtol=2e-4, err_msg=name)
    there, found = step(state, spread)
    for name in metrics:
        np.testing.assert_allclose(found[name], metrics[name], rtol=2e-4, err_msg=name)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5),
        after.opt["generator"][1][0].mu,
        there.opt["generator"][1][0].mu,
    )
    jax.tree.map(
        lambda x, s: x.sharding.is_equivalent_to(s, x.ndim) or pytest.fail(str(s)), there, experiment.shardings()
    )
    return collectives(step), collectives(evaluate)


def test_each_key_of_a_batch_is_spread_its_own_way(toy_config):
    experiment = on_mesh(toy_config, 4, 2)
    batch = parallel.to_global(toy.batch(experiment.training, 8), experiment.mesh)
    shards = jax.tree.map(lambda x: x.addressable_shards[0].data.shape, batch, is_leaf=lambda x: hasattr(x, "sharding"))
    assert shards["inputs"]["s2"] == {"values": (2, 1, 6, 12, 4), "valid": (2, 1, 6, 12)}
    assert (shards["image"], shards["label"], shards["image_valid"]) == ((2, 60, 120, 3), (2, 60, 120), (2, 60, 120))
    assert (shards["patch"], shards["readable"]) == ((2,), (2,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mesh.space": 3}, r"mesh\.space is 3, but there are 8 devices"),
        ({"mesh.data": 8, "mesh.space": 2}, "8 x 2, but there are 8 devices"),
        ({"mesh.space": 4}, r"12 rows at 10 m .* 4 devices \(mesh.space\) into equal slabs of at least 4 rows"),
        ({"mesh.rules": (("kernel", "smallest"),)}, r"mesh\.rules=.*.smallest., which must be one of largest, whole"),
        ({"mesh.rules": (("(", "largest"),)}, r"mesh\.rules has"),
        ({"mesh.rules": ("kernel",)}, r"mesh\.rules=.* has the entry 'kernel'"),
    ],
    ids=str,
)
def test_meshes_that_do_not_fit_are_refused(config, change, message):
    config.update_from_flattened_dict(change)
    with pytest.raises(InputError, match=message):
        set_up(config).shardings()


@pytest.mark.parametrize(
    ("processes", "given", "expected"),
    [(1, None, "home/jointseg-jax/xla"), (2, None, "run/xla"), (1, "own", "own"), (2, "own", "own")],
)
def test_several_processes_keep_compiled_programs_where_all_see_them(tmp_path, monkeypatch, processes, given, expected):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    before = jax.config.values["jax_compilation_cache_dir"]
    try:
        jax.config.update("jax_compilation_cache_dir", given and str(tmp_path / given))
        use_compilation_cache(tmp_path / "run")
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / expected)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_rules_spread_what_they_name_and_what_divides(toy_config):
    experiment = on_mesh(toy_config, 4, 2, (("head", "whole"), ("(params|mu)/.*kernel", "largest")))
    layout = experiment.shardings()
    of = "sr", "stage1", "trunk", "kernel1"  # [blocks, 3, 3, 3, 6, 4]
    kernel, moment = layout.params, layout.opt["generator"][1][0].mu
    for key in of:
        kernel, moment = kernel[key], moment[key]
    assert kernel == moment
    assert tuple(kernel.spec) == (None, None, None, None, None, "data")
    assert "data" not in layout.params["seg"]["head"]["kernel"].spec
    assert all(s.is_fully_replicated for s in jax.tree.leaves(layout.ema))


@pytest.mark.slow
def test_a_spread_state_restores_onto_any_layout(toy_config, tmp_path):
    toy_config = toy_config.copy_and_resolve_references()
    toy_config.model = toy.network("10", blocks=(0,))
    spread = on_mesh(toy_config, 8, 1, SPREAD)
    state = spread.init()
    assert sum(not x.sharding.is_fully_replicated for x in jax.tree.leaves(state)) > 20
    whole = on_mesh(toy_config, 8, 1).init()
    jax.tree.map(np.testing.assert_array_equal, state, whole)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state, spread.meta(Calibration()))
    checkpoints.wait()
    for other in (on_mesh(toy_config, 2, 2), on_mesh(toy_config, 4, 1, SPREAD), on_mesh(toy_config, 1, 1)):
        restored = checkpoints.restore(other.abstract(), 0)
        jax.tree.map(np.testing.assert_array_equal, restored, whole)
        assert all(x.sharding.mesh == other.mesh for x in jax.tree.leaves(restored))
    checkpoints.close()


@pytest.mark.slow
def test_a_segmenter_over_samples_and_rows(config):
    """The small case: no SR branch, spread state, 4 x 2 devices."""
    config.model.control = "bilinear"
    one = set_up(config)
    batch = toy.batch(one.training, 8)
    trained, _ = compare(on_mesh(config, 4, 2, SPREAD), batch, alone(one, batch))
    assert set(trained) == {"all-reduce", "collective-permute", "all-gather"}
    largest = max(x.size for x in jax.tree.leaves(one.abstract().params))
    assert max(trained["all-gather"]) <= largest


@pytest.fixture(scope="module")
def tall(tmp_path_factory):
    """The toy experiment with patches of 32 rows, for eight devices to share, a batch, and one device's results."""
    root = tmp_path_factory.mktemp("tall")
    toy.write_table(root, height=60, width=42)
    config = toy.config(root, tmp_path_factory.mktemp("tall-dataset"))
    config.dataset.patch, config.dataset.stride = 32, 8
    prepare(config.dataset, say=lambda _: None)
    experiment = on_mesh(config, 1, 1)
    batch = toy.batch(experiment.training, 8)
    return config, batch, alone(experiment, batch)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "rules"),
    # Over rows alone there is nothing to spread over.
    [((8, 1), ()), ((8, 1), SPREAD), ((4, 2), ()), ((4, 2), SPREAD), ((1, 8), ())],
    ids=["8x1 whole", "8x1 spread", "4x2 whole", "4x2 spread", "1x8 whole"],
)
def test_every_mesh_trains_the_same(tall, shape, rules):
    config, batch, expected = tall
    experiment = on_mesh(config, *shape, rules)
    trained, judged = compare(experiment, batch, expected)
    wanted = {"all-reduce"} | ({"collective-permute"} if shape[1] > 1 else set())
    assert set(trained) == wanted | ({"all-gather"} if rules else set())
    if shape[1] == 1:
        assert set(judged) == wanted | ({"all-gather"} if rules else set())
    if rules:  # parameters are gathered, and nothing else: each of them once
        sizes = [x.size for x in jax.tree.leaves(experiment.abstract().params)]
        assert max(trained["all-gather"]) <= max(sizes)
        assert sum(trained["all-gather"]) <= sum(sizes)
