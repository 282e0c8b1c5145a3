"""Shapes, parameter counts, exact bicubic at the start, controls, masks, translation by input pixels."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models.small_networks import TINY, F, apply, drawn, example, initialise, network, stages

from jointseg_jax.models import cost
from jointseg_jax.models.jointseg import CONTROLS, run
from jointseg_jax.models.progressive import ProgressiveSR, Stage, StageNet, image_resample, stage_spacings
from jointseg_jax.models.rrdb import REMAT, Trunk
from jointseg_jax.models.sensor import SensorModel

CHAINS = [
    ("4", "2.5"),
    ("10",),
    ("2", "2", "2.5"),
    *(pytest.param(c, marks=pytest.mark.slow) for c in (("2", "5"), ("5", "2"))),
]


def test_parameters_of_the_published_generator():
    """RRDBNet x4 with 23 blocks, 64 features, growth 32 has 16,697,987 parameters (BasicSR)."""
    net = StageNet(Stage(F(4)))
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3))))
    assert cost.parameters(shapes) == 16_697_987


ZERO = ("conv_last", "conv_subpixel")  # the layers that add detail


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def resolve(net, params, inputs, base):
    return net.apply({"params": params}, inputs, base).images


enlarged = jax.jit(image_resample, static_argnums=1)


@pytest.mark.parametrize("factors", CHAINS, ids=lambda factors: "x".join(factors))
def test_an_untrained_network_is_exactly_its_base(factors):
    net = ProgressiveSR(stages(factors))
    inputs, base = normal(1, 6, 7, 5), normal(1, 6, 7, 3, seed=1)
    out = resolve(net, drawn(net, inputs, base, fresh=ZERO), inputs, base)
    for image, spacing in zip(out, stage_spacings(stages(factors), F(10)), strict=True):
        np.testing.assert_array_equal(image, enlarged(base, 10 / spacing))
        assert image.dtype == jnp.float32
    assert out[-1].shape == (1, 60, 70, 3)


def test_a_stage_adds_to_what_the_one_before_it_added():
    """A second stage that adds nothing hands on the detail of the first."""
    net = ProgressiveSR(stages(("4", "2.5")))
    inputs, base = normal(1, 6, 7, 5), normal(1, 6, 7, 3, seed=1)
    params = drawn(net, inputs, base)
    params["stage2"]["conv_last"] = jax.tree.map(np.zeros_like, params["stage2"]["conv_last"])
    first, second = resolve(net, params, inputs, base)
    detail = first - enlarged(base, F(4))
    assert float(np.abs(detail).mean()) > 0.01
    np.testing.assert_allclose(second - enlarged(base, F(10)), enlarged(detail, F(5, 2)), atol=1e-5)


def test_stages_must_multiply_to_ten():
    with pytest.raises(ValueError, match="not to 10"):
        stage_spacings(stages(("4", "2")), F(10))
    with pytest.raises(ValueError, match="whole parts"):
        stage_spacings(stages(("2.5", "4")), F(10))


SEEN = normal(1, 8, 8, 6)


@pytest.mark.parametrize("remat", REMAT)
def test_scanned_equals_unrolled(remat):
    scanned = Trunk(2, 6, 4, scan=True, remat=remat)
    params, expected = unrolled()
    assert jax.tree.structure(params) == jax.tree.structure(jax.eval_shape(scanned.init, jax.random.key(1), SEEN))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), expected, squares(scanned, params)
    )


@functools.cache
def unrolled():
    net = Trunk(2, 6, 4, scan=False)
    params = {"params": drawn(net, SEEN)}
    return params, squares(net, params)


def squares(net, params):
    """The sum of squares of an output, and its gradient."""
    return jax.jit(jax.value_and_grad(lambda p: jnp.sum(net.apply(p, SEEN) ** 2)))(params)


def test_recomputing_needs_less_memory():
    x = jnp.zeros((2, 48, 48, 8))
    needs = {}
    for remat in REMAT:
        net = Trunk(6, 8, 8, scan=True, remat=remat)  # unrolled, XLA on CPUs undoes it
        params = jax.eval_shape(lambda net=net: net.init(jax.random.key(1), x))
        gradient = jax.jit(jax.grad(lambda p, net=net: jnp.sum(net.apply(p, x) ** 2)))
        needs[remat] = gradient.lower(params).compile().memory_analysis().temp_size_in_bytes
    assert needs["dense"] < 0.5 * needs["none"], needs
    assert needs["blocks"] < 0.5 * needs["none"], needs


def test_dense_initialisation_is_a_tenth_of_kaiming():
    params = jax.jit(Trunk(2, 64, 32).init)(jax.random.key(0), jnp.zeros((1, 4, 4, 64)))["params"]
    for i, inputs in enumerate((64, 96, 128, 160, 192), start=1):
        assert params[f"kernel{i}"].std() == pytest.approx(0.1 * np.sqrt(2 / (9 * inputs)), rel=0.03)


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_returns_the_same_shapes(control):
    model = network(control)
    params = initialise(model)
    modalities, image = example(model)
    out = jax.eval_shape(functools.partial(run, model), params, modalities, image)
    assert out.logits.shape == (2, 60, 80, 2)
    assert out.logits.dtype == jnp.float32
    assert len(out.images) == (2 if control in ("joint", "sequential") else 0)
    assert set(params) == ({"sr", "seg"} if control in ("joint", "sequential") else {"seg"})


def test_controls_share_the_segmenter_but_for_projections():
    def names(control):
        flat = jax.tree_util.tree_flatten_with_path(initialise(network(control))["seg"])[0]
        return {jax.tree_util.keystr(path): leaf.shape for path, leaf in flat}

    joint, bilinear = names("joint"), names("bilinear")
    extra = {k for k in joint if k not in bilinear}
    assert extra
    assert all("project" in k for k in extra)
    assert {k: joint[k] for k in bilinear} == bilinear
    assert names("fine") == names("coarse") == names("sequential") == names("deconvolved") == bilinear


def test_sequential_stops_segmentation_gradients():
    model = network("sequential", **TINY)
    params = initialise(model)
    modalities, image = example(model)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(run(model, p, modalities, image).logits ** 2)))(params)
    assert all(not np.any(g) for g in jax.tree.leaves(gradient["sr"]))
    assert any(np.any(g) for g in jax.tree.leaves(gradient["seg"]))


def test_coarse_is_constant_within_an_input_pixel():
    model = network("coarse")
    modalities, image = example(model)
    logits = np.asarray(apply(model, initialise(model), modalities, image).logits)
    cells = logits.reshape(2, 6, 10, 8, 10, 2)
    np.testing.assert_allclose(cells, np.broadcast_to(cells[:, :, :1, :, :1], cells.shape), atol=1e-6)


def test_fine_needs_an_image():
    model = network("fine")
    modalities, _ = example(model)
    with pytest.raises(ValueError, match="no image is given"):
        run(model, initialise(model), modalities)


@pytest.mark.parametrize("control", ["joint", "bilinear"])
def test_invalid_values_do_not_matter(control):
    """Whatever stands under an invalid mask, the output is the same."""
    model = network(control)
    params = initialise(model)
    modalities, image = example(model)
    changed = {
        name: {"values": np.where(m["valid"][..., None], m["values"], np.float32(1e3)), "valid": m["valid"]}
        for name, m in modalities.items()
    }
    np.testing.assert_array_equal(
        apply(model, params, modalities, image).logits, apply(model, params, changed, image).logits
    )


@pytest.mark.parametrize("control", ["joint", "bilinear", "coarse"])
def test_moving_the_input_moves_the_output(control):
    """Translation by any number of input pixels: no operator sees the whole tile or the position in it."""
    model = network(control, lattices=(F(1), F(2), F(10)))
    params = initialise(model)
    modalities, _ = example(model, batch=1, height=56, width=12, seed=3)
    first = apply(model, params, jax.tree.map(lambda x: x[:, :, :53], modalities)).logits
    second = apply(model, params, jax.tree.map(lambda x: x[:, :, 3:], modalities)).logits
    # Equal where neither sees an edge: far from the top of the second and from the bottom of the first.
    inner = 22 * 10
    np.testing.assert_allclose(first[:, 30 + inner : -inner], second[:, inner : -inner - 30], atol=1e-4)


def test_bfloat16_computes_but_keeps_float32_where_it_matters():
    model = network(dtype=jnp.bfloat16)
    params = initialise(model)
    modalities, image = example(model)
    out = apply(model, params, modalities, image)
    assert out.logits.dtype == out.images[-1].dtype == jnp.float32
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
    exact = apply(network(), params, modalities, image)
    assert float(jnp.max(jnp.abs(out.logits - exact.logits))) < 0.3 * float(jnp.std(exact.logits)) + 0.05


def test_an_untrained_joint_network_is_the_sensors_inverse():
    sensor = SensorModel((0.43, 0.41, 0.45))
    model = network(sensor=sensor, back_projections=3)
    modalities, image = example(model)
    modalities["s2"]["valid"] = np.ones_like(modalities["s2"]["valid"])
    params = drawn(model, modalities, image, fresh=ZERO)
    seen = modalities["s2"]["values"][:, 0][..., list(model.image_index)]
    sharp = jax.jit(sensor.sharpen, static_argnums=1)(seen, 3)
    images = jax.jit(lambda: run(model, params, modalities).images)()
    for out, spacing in zip(images, model.spacings, strict=True):
        np.testing.assert_allclose(out, enlarged(sharp, 10 / spacing), atol=1e-5)


def test_the_control_deconvolved_sees_that_inverse():
    plain = network("deconvolved", **TINY)
    modalities, image = example(plain)
    params = initialise(plain)
    sharp = network("deconvolved", sensor=SensorModel((0.43, 0.41, 0.45)), back_projections=3, **TINY)
    assert jax.tree.structure(initialise(sharp)) == jax.tree.structure(params)
    before, after = (apply(model, params, modalities, image).logits for model in (plain, sharp))
    assert float(jnp.abs(before - after).max()) > 1e-3


@pytest.mark.slow
def test_consistent_images_show_the_sensor_the_input():
    sensor = SensorModel((0.43, 0.41, 0.45))
    model = network(sensor=sensor, back_projections=8)
    modalities, _ = example(model, height=12, width=12)
    values = modalities["s2"]["values"]
    smooth = jax.image.resize(values[:, :, ::4, ::4], values.shape, "cubic")
    modalities["s2"] = {"values": smooth, "valid": jnp.ones(smooth.shape[:-1], bool)}
    params = initialise(model)
    seen = modalities["s2"]["values"][:, 0][..., list(model.image_index)]

    def residual(consistent):
        images = apply(dataclasses.replace(model, consistent=consistent), params, modalities).images
        return [float(jnp.abs(sensor.observe(i, i.shape[1] // 12) - seen)[:, 4:-4, 4:-4].max()) for i in images]

    assert all(after < 0.1 * before for after, before in zip(residual(True), residual(False), strict=True))
    with pytest.raises(ValueError, match="MTF"):
        apply(network(consistent=True), params, modalities)


@pytest.mark.parametrize("switch", ["attention", "fusion"])
def test_attention_and_fusion_can_be_left_out(switch):
    model = network(**{switch: False})
    paths = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(initialise(model)["seg"])[0]
    ]
    left_out = {"attention": ("channels", "places"), "fusion": ("project",)}[switch]
    assert not any(name in path for path in paths for name in left_out)


def test_a_fresh_map_has_no_pattern_of_blocks():
    """Depth to space starts with equal pixels in a block (ICNR): what varies in a block comes from the 1 m image."""
    model = network("coarse", lattices=(F(1), F(10)), widths=(4, 8))
    modalities, image = example(model)
    kernel = drawn(model, modalities, image, fresh=("exit_shuffle",))["seg"]["exit_shuffle"]["kernel"]
    np.testing.assert_array_equal(kernel, np.tile(kernel[..., :4], 100))


def test_flops_by_hand():
    def net(x, kernel, other):
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        y, _ = jax.lax.scan(lambda c, _: (c @ other, None), y, None, length=5)
        return y

    x, kernel, other = jnp.zeros((2, 6, 7, 3)), jnp.zeros((3, 3, 3, 4)), jnp.zeros((4, 4))
    pixels = 2 * 6 * 7
    assert cost.flops(jax.jit(net), x, kernel, other) == pixels * (2 * 9 * 3 * 4 + 5 * 2 * 4 * 4)


def test_flops_of_scanned_and_unrolled_agree():
    x = jnp.zeros((1, 8, 8, 6))
    counts = []
    for scan in (False, True):
        net = Trunk(3, 6, 4, scan=scan)
        params = jax.eval_shape(net.init, jax.random.key(0), x)
        counts.append(cost.flops(net.apply, params, x))
    one_rdb = sum((6 + 4 * i) * (4 if i < 4 else 6) for i in range(5))
    assert counts[0] == counts[1] == 2 * 9 * 64 * 3 * 3 * one_rdb
