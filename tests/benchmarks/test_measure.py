"""A whole measurement of a tiny network, without a peer; and what it is made of."""

import contextlib
import dataclasses
import json

import jax
import numpy as np
import pytest

from benchmarks import measure, presets, report, roofline
from benchmarks.peaks import Sizes
from benchmarks.subject import Subject, describe, differences
from jointseg_jax.errors import InputError
from jointseg_jax.models.jointseg import run

SIZES = Sizes(64, ((1, 16, 8),), 1 << 12)


@pytest.mark.slow
def test_a_whole_measurement(tiny):
    said = []
    result = measure.measure(tiny, rounds=2, sizes=SIZES, data_steps=3, peers=None, say=said.append, aim=0.01)
    ours, data = result["ours"], result["data"]
    assert json.loads(json.dumps(result))["ours"] == ours
    seconds = ours["step_seconds"]["median"]
    assert ours["step_seconds"]["count"] == 2
    assert ours["patches_per_second"] == pytest.approx(2 / seconds)
    assert ours["flops_per_second"] == pytest.approx(ours["flops_per_step"] / seconds)
    for dtype, share in ours["share_of_matmul_peak"].items():
        assert share == pytest.approx(ours["flops_per_second"] / result["peaks"]["matmul"][dtype])
    assert ours["roofline"]["share"] == pytest.approx(ours["roofline"]["seconds"] / seconds)
    assert ours["memory"]["total"] > 4 * 4 * result["parameters"]  # parameters, their average, two moments
    assert ours["seconds_to_compile"]["compile"] > 0
    assert 0 <= data["wait_share"] < 1
    assert data["patches_per_second_reading_alone"] > 0
    text = report.table(result)
    assert "peers: none (give" in text
    assert f"{result['parameters']:,} parameters" in text


@pytest.mark.slow
def test_every_step_that_is_timed_was_done_once(tiny):
    subject = Subject.of(tiny)
    ours = measure.Ours(subject, subject.host_batch())
    assert ours.turn(3).steps == 3
    assert int(ours.state.step) == 4  # the first one told the loss
    ours.steps += 1
    with pytest.raises(measure.Failed, match="counts 5 steps instead of 6"):
        ours.turn(1)


@pytest.mark.slow
def test_the_gradients_are_those_of_the_joint_loss(tiny):
    subject = Subject.of(tiny)
    batch = subject.host_batch()
    model = subject.experiment.model
    _, found = subject.gradients(batch)
    objective = subject.experiment.method.objective

    def loss(params):
        outputs = run(model, params, batch["inputs"], batch["image"], batch["image_valid"])
        values = objective.losses(outputs, batch, objective.weights(batch, model.spacings))
        return objective.total(values, {}, 0)

    value, gradients = jax.jit(jax.value_and_grad(loss))(subject.state().params)
    assert float(found["loss"]) == pytest.approx(float(value), rel=1e-5)
    leaves, _ = jax.tree_util.tree_flatten_with_path(gradients)
    for path, leaf in leaves:
        name = "gradients/" + jax.tree_util.keystr(path, simple=True, separator="/")
        assert np.linalg.norm(leaf) > 0, f"no gradient reaches {name}: nothing would be compared there"
        # By the norm: a rectifier near zero may fall to the other side in another program.
        assert np.linalg.norm(found[name] - leaf) < 2e-3 * np.linalg.norm(leaf), name


@pytest.mark.slow
def test_remat_is_not_counted_as_work(tiny):
    tiny.model.remat = "blocks"
    subject = Subject.of(tiny)
    ours = dataclasses.make_dataclass("Ours", ["batch"])(subject.to_device(subject.host_batch()))
    shapes = (subject.experiment.abstract(), ours.batch)
    executed = roofline.flops(roofline.layers(subject.step, *shapes))
    needed = roofline.flops(roofline.layers(subject.variant(remat="none").step, *shapes))
    trunks = sum(
        2 * 9 * (3 * sum(k[-1] * k[-2] for k in kernels) - kernels[-1][-1] * kernels[-1][-2]) * places * 2
        for kernels, places in ((_kernels(subject, 1), 12 * 12), (_kernels(subject, 2), 24 * 24))
    )
    assert executed - needed == pytest.approx(
        trunks, rel=0.02
    )  # each trunk once more, but for what its last convolution makes


def _kernels(subject, stage):
    trunk = subject.experiment.abstract().params["sr"][f"stage{stage}"]["trunk"]
    return [v.shape for k, v in trunk.items() if k.startswith("kernel")]


@pytest.mark.quick
def test_another_network_is_told_from_rounding():
    ours = {"loss": np.float32(2.0), "outputs/logits": np.ones((2, 3)), "gradients/a": np.full(4, 1e-3)}
    near = {k: v * (1 + 1e-6) for k, v in ours.items()}
    assert measure.compared(ours, near)["gradients"]["array"] == "gradients/a"
    with pytest.raises(InputError, match="gradients/a differs by"):
        measure.compared(ours, near | {"gradients/a": np.full(4, 1.1e-3)})
    with pytest.raises(InputError, match="outputs/logits differs by nan"):
        measure.compared(ours, near | {"outputs/logits": np.full((2, 3), np.nan)})
    with pytest.raises(InputError, match="at most 1e-07 is allowed"):
        measure.compared(ours, near, dict.fromkeys(measure.TOLERANCE, 1e-7))
    with pytest.raises(ValueError, match="only one of the two networks has gradients/a"):
        list(differences(ours, {k: v for k, v in ours.items() if k != "gradients/a"}))
    with pytest.raises(ValueError, match=r"norm 0\.0 and cannot be compared"):
        list(differences({"a": np.zeros(3)}, {"a": np.zeros(3)}))
    with pytest.raises(ValueError, match="norm nan"):
        list(differences({"a": np.full(3, np.nan)}, {"a": np.zeros(3)}))


def test_controls_have_no_peer(tiny):
    tiny.model.control = "bilinear"
    with pytest.raises(ValueError, match="bilinear"):
        describe(Subject.of(tiny))
    tiny.model.control, tiny.loss.boundary = "joint", 1.0
    with pytest.raises(ValueError, match="fixed weights"):
        describe(Subject.of(tiny))


@pytest.mark.quick
def test_presets(tmp_path):
    paper = presets.preset("paper", tmp_path)
    assert (paper.model.blocks, paper.model.features, paper.model.remat) == ((23, 23), (64, 64), "blocks")
    assert (paper.model.dtype, paper.data.batch, paper.dataset.patch, paper.mesh.data) == ("bfloat16", 16, 64, 1)
    assert paper.adversarial.weight == paper.adversarial.feature_matching == 0  # the peers have no discriminator
    assert presets.preset("default", tmp_path).model.blocks == (12, 8)
    small = presets.preset("small", tmp_path, batch=2, dtype="bfloat16")
    assert (small.model.stages, small.model.trunk_spacing) == (paper.model.stages, paper.model.trunk_spacing)
    assert (small.data.batch, small.model.dtype) == (2, "bfloat16")
    with pytest.raises(InputError, match="'large' is unknown"):
        presets.preset("large", tmp_path)
    given = presets.preset("small", tmp_path, dataset=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere"):
        presets.ready(given, lambda _: None)


def test_a_dataset_that_is_given_is_read_and_not_made(data, tmp_path):
    config = presets.preset("small", tmp_path, dataset=str(data.root))
    presets.ready(config, lambda _: pytest.fail("nothing is to be prepared"))
    with contextlib.suppress(InputError):  # whatever else the toy dataset lacks, its first modality is read
        assert Subject.of(config).experiment.training.size == (12, 12)
    assert not any(tmp_path.iterdir())
