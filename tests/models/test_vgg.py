"""VGG19's activations against a float64 reference with the network written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from jointseg_jax.models import cost, vgg

# Configuration E of the paper.
PAPER = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512)


def narrow_weights(share=16, seed=0):
    """Random weights of all layers, channels divided by `share`; the functions take widths from the arrays."""
    rng = np.random.default_rng(seed)
    params, inputs = {}, 3
    for name, shape in vgg.vgg19_shapes().items():
        outputs = shape["bias"][0] // share
        kernel = rng.normal(0, (2 / 9 / inputs) ** 0.5, (3, 3, inputs, outputs)).astype(np.float32)
        params[name] = {"kernel": kernel, "bias": rng.normal(0, 0.2, outputs).astype(np.float32)}
        inputs = outputs
    return params


def activations(params, image):
    """Every convolution's output before ReLU. image: [h, w, 3] in 0..1."""
    y = (image - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    found = []
    layers = iter(params.values())
    for entry in PAPER:
        y = np.maximum(y, 0) if found else y
        if entry == "M":
            h, w = (n // 2 * 2 for n in y.shape[:2])
            y = np.maximum.reduce([y[i:h:2, j:w:2] for i in (0, 1) for j in (0, 1)])
        else:
            layer = next(layers)
            y = reference.conv(y, layer["kernel"], layer["bias"])
            found.append(y)
    return found


@pytest.mark.quick
def test_shapes_are_those_of_the_paper():
    shapes = vgg.vgg19_shapes()
    assert [shape["bias"][0] for shape in shapes.values()] == [n for n in PAPER if n != "M"]
    assert tuple(shapes) == vgg.LAYERS
    assert (vgg.LAYERS[0], vgg.LAYERS[4], vgg.LAYERS[-1]) == ("conv1_1", "conv3_1", "conv5_4")
    total = sum(int(np.prod(s)) for shape in shapes.values() for s in shape.values())
    assert total == 20_024_384  # torchvision's vgg19().features


def test_activations_are_the_reference():
    """Odd sides too: half a pair of rows is dropped by a pool."""
    params = narrow_weights()
    images = np.random.default_rng(1).random((2, 18, 23, 3))
    found = jax.jit(lambda p, x: vgg.vgg19_activations(p, x, vgg.LAYERS))(params, jnp.asarray(images, jnp.float32))
    for number, image in enumerate(images):
        for name, expected in zip(vgg.LAYERS, activations(params, image), strict=True):
            assert (expected < 0).any()  # before ReLU
            np.testing.assert_allclose(found[name][number], expected, atol=1e-5 * np.abs(expected).max(), err_msg=name)


def test_only_what_is_asked_for_is_computed():
    params = narrow_weights()
    x = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    shallow = {name: params[name] for name in ("conv1_1", "conv1_2", "conv2_1")}
    found = jax.eval_shape(lambda p, x: vgg.vgg19_activations(p, x, ("conv2_1", "conv1_1")), shallow, x)
    assert {name: a.shape for name, a in found.items()} == {"conv2_1": (1, 8, 8, 8), "conv1_1": (1, 16, 16, 4)}
    assert cost.flops(lambda x: vgg.vgg19_activations(params, x, ("conv1_2",)), x) == 2 * 9 * 16 * 16 * (3 * 4 + 4 * 4)
    assert vgg.vgg19_activations(params, jnp.zeros((1, 1, 1, 3)), ()) == {}


def test_bfloat16_stays_close_and_gradients_reach_the_image():
    params = narrow_weights()
    x = jax.random.uniform(jax.random.key(0), (1, 16, 16, 3))
    run = jax.jit(vgg.vgg19_activations, static_argnums=(2, 3))
    exact, rounded = (run(params, x, vgg.PERCEPTUAL_LAYERS, dtype) for dtype in (jnp.float32, jnp.bfloat16))
    for name in vgg.PERCEPTUAL_LAYERS:
        assert rounded[name].dtype == jnp.bfloat16
        error = np.abs(np.asarray(rounded[name], np.float32) - exact[name]).max()
        assert 0 < error < 0.05 * np.abs(exact[name]).max()
    gradient = jax.jit(jax.grad(lambda x: vgg.vgg19_activations(params, x, ("conv3_4",))["conv3_4"].sum()))(x)
    at, along = np.asarray(x[0], np.float64), np.asarray(jax.random.normal(jax.random.key(1), x.shape[1:]), np.float64)
    up, down = (activations(params, at + step * along)[7].sum() for step in (1e-6, -1e-6))
    np.testing.assert_allclose(np.vdot(gradient, along), (up - down) / 2e-6, rtol=2e-3)


@pytest.mark.quick
def test_what_cannot_be_asked_for():
    x = jnp.zeros((1, 15, 40, 3))
    with pytest.raises(ValueError, match=r"no layer 'relu1_2': use conv1_1, conv1_2, .*conv5_4$"):
        vgg.vgg19_activations({}, x, ("conv1_1", "relu1_2"))
    with pytest.raises(ValueError, match=r"conv5_4 of VGG19 needs images of 16 x 16 pixels or more, not 15 x 40"):
        vgg.vgg19_activations({}, x)
