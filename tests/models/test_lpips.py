"""LPIPS equals the published package's, and reads its files."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import lpips_weights
import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.models.lpips import ALEXNET, VGG16, lpips
from jointseg_jax.training.checkpoints.published import load_lpips

pytestmark = pytest.mark.quick
CASES = json.loads((pathlib.Path(__file__).parents[1] / "data_files" / "lpips" / "lpips.json").read_text())


def save(path, *parts):
    np.savez(path, **{name: array for part in parts for name, array in part.items()})
    return path


@pytest.mark.parametrize(("name", "seed", "number", "height", "width", "expected"), CASES)
def test_distances_are_those_of_the_package(name, seed, number, height, width, expected, tmp_path):
    trunk = save(tmp_path / "trunk.npz", lpips_weights.backbone(name, seed))
    linear = save(tmp_path / "linear.npz", lpips_weights.linear(name, seed))
    backbone, params = load_lpips([linear, trunk])  # in any order
    assert backbone is {"alex": ALEXNET, "vgg": VGG16}[name]
    target, image = (jnp.asarray(x) for x in lpips_weights.images(seed, number, height, width))
    same, found = jax.jit(functools.partial(lpips, backbone))(params, target, (target, image))
    np.testing.assert_array_equal(same, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_too_small_an_image():
    params = load_params("alex")
    with pytest.raises(ValueError, match="images of 20 x 64 pixels are too small for AlexNet"):
        jax.eval_shape(functools.partial(lpips, ALEXNET), params, jnp.zeros((1, 20, 64, 3)), [])


@functools.cache
def load_params(name):
    backbone = {"alex": ALEXNET, "vgg": VGG16}[name]
    convolutions = [
        {"kernel": jnp.zeros(c.kernel, jnp.float32), "bias": jnp.zeros(c.kernel[-1])} for c in backbone.convolutions
    ]
    return {"convolutions": convolutions, "linear": [jnp.ones(n) for n in backbone.channels]}


def test_one_file_of_the_whole_network(tmp_path):
    """Under the names of `lpips.LPIPS(net="alex").state_dict()`, which holds the linear weights twice."""
    trunk, linear = lpips_weights.backbone("alex", 0), lpips_weights.linear("alex", 0)
    slices = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
    sliced = {
        f"net.slice{slices[int(name.split('.')[1])]}.{name.removeprefix('features.')}": array
        for name, array in trunk.items()
    }
    twice = {name.replace("lin", "lins."): array for name, array in linear.items()}
    path = save(tmp_path / "whole.npz", sliced, linear, twice, {"scaling_layer.shift": np.zeros((1, 3, 1, 1))})
    backbone, params = load_lpips([path])
    assert backbone is ALEXNET
    np.testing.assert_array_equal(
        params["convolutions"][4]["kernel"], trunk["features.10.weight"].transpose(2, 3, 1, 0)
    )
    np.testing.assert_array_equal(params["linear"][1], linear["lin1.model.1.weight"].ravel())
    with pytest.raises(InputError, match=r"whole\.npz holds both parts of LPIPS' weights: give it alone"):
        load_lpips([path, path])


def test_other_files_are_refused(tmp_path):
    trunk, linear = lpips_weights.backbone("alex", 0), lpips_weights.linear("alex", 0)
    good, lin = save(tmp_path / "alexnet.npz", trunk), save(tmp_path / "alex.npz", linear)

    def refused(match, *paths):
        with pytest.raises(InputError, match=match):
            load_lpips(paths)

    refused(r"alexnet\.npz: no entry 'lin0\.model\.1\.weight': give the weights of AlexNet or VGG16", good)
    refused(r"alex\.npz: no entry 'features\.0\.weight'", lin)
    refused(r"from two files, or from one that holds both, not from 3", good, lin, lin)
    other = save(tmp_path / "vgg.npz", lpips_weights.linear("vgg", 0))
    refused(r"vgg\.npz: lin1\.model.* \[1, 128, 1, 1\], not \[1, 192, 1, 1\]: .*LPIPS 0\.1 for AlexNet$", good, other)
    short = save(tmp_path / "short.npz", {k: v for k, v in trunk.items() if ".10." not in k})
    refused(r"short\.npz has no entry 'features\.10\.weight': give the weights of AlexNet", short, lin)
    deep = {"features.0.weight": np.zeros((64, 3, 3, 3)), "features.0.bias": np.zeros(64)}
    refused(
        r"deep\.npz has no entry 'features\.2\.weight': give the weights of VGG16",
        save(tmp_path / "deep.npz", deep),
        lin,
    )
    odd = save(tmp_path / "odd.npz", {"features.0.weight": np.zeros((64, 3, 7, 7))})
    refused(r"odd\.npz: features\.0\.weight has shape \[64, 3, 7, 7\]: give the weights of AlexNet or VGG16", odd, lin)
    broken = save(tmp_path / "nan.npz", {**linear, "lin4.model.1.weight": np.full((1, 256, 1, 1), np.nan)})
    refused(r"nan\.npz: lin4\.model\.1\.weight contains values that are not finite", good, broken)
    (tmp_path / "text.pth").write_text("no weights")
    refused(r"text\.pth contains no weights", good, tmp_path / "text.pth")
