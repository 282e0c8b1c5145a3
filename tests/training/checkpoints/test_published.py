"""Published weights land where they belong: the networks return what PyTorch's do."""

import pathlib
import re
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from torch_writer import Storage, Tensor, save_zip, tensor

from jointseg_jax.errors import InputError
from jointseg_jax.models.progressive import Stage, StageNet
from jointseg_jax.models.vgg import LAYERS, vgg19_activations, vgg19_shapes
from jointseg_jax.training.checkpoints.published import load_rrdbnet, load_vgg19
from jointseg_jax.training.checkpoints.torch_files import read_arrays

pytestmark = pytest.mark.quick
FILES = pathlib.Path(__file__).parents[2] / "data_files"
# Of torchvision's vgg19().features.
VGG_INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


def rrdbnet_names(blocks):
    yield from ("conv_first", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
    for block in range(blocks):
        for dense in (1, 2, 3):
            for conv in range(1, 6):
                yield f"body.{block}.rdb{dense}.conv{conv}"


def rrdbnet_weights(bands=5, blocks=2, features=4, growth=3, out=3, seed=0):
    """Random weights under BasicSR's names, kernels [out, in, 3, 3]."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name in rrdbnet_names(blocks):
        inputs, outputs = features, features
        if name.startswith("body"):
            conv = int(name[-1])
            inputs, outputs = features + (conv - 1) * growth, growth if conv < 5 else features
        elif name == "conv_first":
            inputs = bands
        elif name == "conv_last":
            outputs = out
        weights[f"{name}.weight"] = rng.normal(0, (9 * inputs) ** -0.5, (outputs, inputs, 3, 3)).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, outputs).astype(np.float32)
    return weights


def rrdbnet(weights, x):
    """BasicSR's RRDBNet x4 in NumPy. x: [h, w, bands]."""
    blocks = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("body"))

    def conv(name, x):
        return reference.conv(x, weights[f"{name}.weight"].transpose(2, 3, 1, 0), weights[f"{name}.bias"])

    first = conv("conv_first", x)
    y = first
    for block in range(blocks):
        entered = y
        for dense in (1, 2, 3):
            name = f"body.{block}.rdb{dense}.conv"
            seen = y
            for i in range(1, 5):
                seen = np.concatenate([seen, reference.leaky(conv(f"{name}{i}", seen))], -1)
            y = y + 0.2 * conv(f"{name}5", seen)
        y = entered + 0.2 * y
    y = first + conv("conv_body", y)
    y = reference.leaky(conv("conv_up1", reference.nearest(y)))
    y = reference.leaky(conv("conv_up2", reference.nearest(y)))
    return conv("conv_last", reference.leaky(conv("conv_hr", y)))


def older(name):
    """ESRGAN's name for BasicSR's."""
    name = re.sub(r"^body\.(\d+)\.rdb(\d)", r"RRDB_trunk.\1.RDB\2", name)
    for new, old in (("conv_body", "trunk_conv"), ("conv_up", "upconv"), ("conv_hr", "HRconv")):
        name = name.replace(new, old)
    return name


def save_weights(path, weights):
    save_zip(path, {name: tensor(array) for name, array in weights.items()})
    return path


def rrdbnet_stage(params):
    """The stage whose parameters `load_rrdbnet` returned."""
    blocks, _, _, _, features, growth = params["trunk"]["kernel1"].shape
    return Stage(Fraction(4), blocks, features, growth, params["conv_up1"]["kernel"].shape[-1])


def evaluate(params, x, bands=3):
    return jax.jit(StageNet(rrdbnet_stage(params), bands).apply)({"params": params}, jnp.asarray(x, jnp.float32))[0]


def test_rrdbnet_is_what_pytorch_computed():
    """The file holds what PyTorch's own network returned for its input."""
    path = FILES / "rrdbnet_x4.pth"
    example = {name: array.transpose(0, 2, 3, 1) for name, array in read_arrays(path).items() if "example" in name}
    params = load_rrdbnet(path)
    assert rrdbnet_stage(params) == Stage(Fraction(4), blocks=1, features=2, growth=1, tail_features=2)
    found = evaluate(params, example["example.input"])
    np.testing.assert_allclose(found, example["example.output"], atol=1e-6)
    assert np.ptp(example["example.output"]) > 1e-2


def test_rrdbnet_is_the_reference_and_its_tree_is_ours(tmp_path):
    weights = rrdbnet_weights()
    params = load_rrdbnet(save_weights(tmp_path / "a.pth", weights))
    stage = rrdbnet_stage(params)
    assert stage == Stage(Fraction(4), blocks=2, features=4, growth=3, tail_features=4)
    x = np.random.default_rng(1).random((1, 5, 7, 5))
    ours = jax.eval_shape(StageNet(stage).init, jax.random.key(0), x)["params"]
    assert jax.tree.map(lambda a: (a.shape, a.dtype), params) == jax.tree.map(lambda a: (a.shape, a.dtype), ours)
    expected = rrdbnet(weights, x[0])
    np.testing.assert_allclose(evaluate(params, x)[0], expected, atol=2e-6)
    # Every weight is heard: a network that ignores one would not tell two files apart.
    changed = {name: array + np.float32(0.01) for name, array in weights.items() if name.endswith("bias")}
    for name, array in changed.items():
        assert np.abs(rrdbnet({**weights, name: array}, x[0]) - expected).max() > 2e-5, name


@pytest.mark.parametrize("rename", [str, older], ids=["new", "old"])
@pytest.mark.parametrize("prefix", ["", "params.", "params_ema.", "generator.module."])
def test_rrdbnet_under_every_name(rename, prefix, tmp_path):
    weights = rrdbnet_weights(blocks=1)
    np.savez(tmp_path / "a.npz", **{prefix + rename(name): array for name, array in weights.items()})
    found, expected = load_rrdbnet(tmp_path / "a.npz"), load_rrdbnet(save_weights(tmp_path / "b.pth", weights))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_rrdbnet_prefers_the_averaged_weights(tmp_path):
    both = {}
    for seed, prefix in enumerate(("params.", "params_ema.")):
        both |= {prefix + name: array for name, array in rrdbnet_weights(seed=seed).items()}
    found = load_rrdbnet(save_weights(tmp_path / "a.pth", both))
    np.testing.assert_array_equal(found["conv_hr"]["bias"], both["params_ema.conv_hr.bias"])


def test_rrdbnet_says_what_does_not_fit(tmp_path):
    path = tmp_path / "a.pth"

    def refused(match, changed, **more):
        kept = {name: array for name, array in {**weights, **changed, **more}.items() if array is not None}
        with pytest.raises(
            InputError, match=rf"a\.pth.*{match}.*give the weights of an RRDBNet x4 in the format of BasicSR"
        ):
            load_rrdbnet(save_weights(path, kept))

    weights = rrdbnet_weights()
    for name in ("conv_first.weight", "conv_first.bias", "conv_up1.weight", "body.0.rdb1.conv1.weight"):
        refused(rf"has no entry '{name}'", {name: None})
    refused(r"has no entry 'body\.0\.rdb3\.conv4\.bias'", {"body.0.rdb3.conv4.bias": None})
    refused(r"has no entry 'body\.2\.rdb1\.conv1\.weight'", {"body.3.rdb1.conv1.weight": weights["conv_hr.weight"]})
    refused(r"conv_hr\.weight has shape \[4, 3, 3, 3\], not \[4, 4, 3, 3\]", {"conv_hr.weight": np.zeros((4, 3, 3, 3))})
    refused(r"conv_first\.weight has 2 dimensions, not 4", {"conv_first.weight": np.zeros((4, 3))})
    refused(r"has an entry 'conv_up3\.bias' that this network does not use \(2 such entries\)", {
        f"conv_up3.{kind}": weights[f"conv_up2.{kind}"] for kind in ("weight", "bias")
    })  # fmt: skip
    with pytest.raises(InputError, match=r"conv_hr\.bias contains values that are not finite: download"):
        load_rrdbnet(save_weights(path, {**weights, "conv_hr.bias": np.float32([0, np.nan, 0, 0])}))
    with pytest.raises(
        InputError, match=r"contains several networks \(a\., b\.\): save one of them in a file of its own"
    ):
        load_rrdbnet(save_weights(path, {prefix + n: a for prefix in ("a.", "b.") for n, a in weights.items()}))


def vgg_entries(scale=1e-3):
    """Entries of torchvision's shapes and names, small files: views whose value tells output, input, row and column."""
    entries = {}
    for index, shape in zip(VGG_INDICES, vgg19_shapes().values(), strict=True):
        height, width, inputs, outputs = shape["kernel"]
        strides = (1, 1, 40, 7)
        values = np.arange(outputs + inputs + 2 * 40 + 2 * 7 - 1, dtype=np.float32) * np.float32(scale) + index
        entries[f"features.{index}.weight"] = Tensor(Storage(values), (outputs, inputs, height, width), strides)
        entries[f"features.{index}.bias"] = tensor(np.arange(outputs, dtype=np.float16))
    return entries


def test_vgg19_has_torchvisions_names_and_our_axes(tmp_path):
    entries = {**vgg_entries(), "classifier.0.bias": tensor(np.zeros(3, np.float32))}
    save_zip(tmp_path / "a.pth", entries)
    params = load_vgg19(tmp_path / "a.pth")
    assert tuple(params) == LAYERS
    for name, index in zip(LAYERS, VGG_INDICES, strict=True):
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        assert (kernel.shape, bias.shape) == tuple(vgg19_shapes()[name].values())
        assert kernel.dtype == bias.dtype == np.float32
        y, x, i, o = (np.arange(n, dtype=np.float32) for n in kernel.shape)
        steps = 40 * y[:, None, None, None] + 7 * x[:, None, None] + i[:, None] + o
        np.testing.assert_allclose(kernel, steps * np.float32(1e-3) + index, rtol=1e-6)
        np.testing.assert_array_equal(bias, o)
    found = vgg19_activations(params, jnp.zeros((1, 4, 4, 3)), ("conv1_1",))
    assert found["conv1_1"].shape == (1, 4, 4, 64)


def test_vgg19_says_what_does_not_fit(tmp_path):
    path = tmp_path / "a.pth"
    entries = vgg_entries()
    save_zip(path, {"state_dict": {name: entry for name, entry in entries.items() if name != "features.34.bias"}})
    with pytest.raises(InputError, match=r"a\.pth has no entry 'features\.34\.bias': give the weights of VGG19"):
        load_vgg19(path)
    # The third convolution of VGG11 and VGG13 is narrower or elsewhere.
    save_zip(path, {**entries, "features.5.weight": tensor(np.zeros((64, 64, 3, 3), np.float32))})
    with pytest.raises(
        InputError, match=r"features\.5\.weight has shape \[64, 64, 3, 3\], not \[128, 64, 3, 3\]: give"
    ):
        load_vgg19(path)
    save_zip(path, {**entries, "features.0.bias": tensor(np.full(64, np.inf, np.float32))})
    with pytest.raises(InputError, match=r"features\.0\.bias contains values that are not finite"):
        load_vgg19(path)
