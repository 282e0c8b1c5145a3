"""Small networks, their inputs and their parameters."""

import dataclasses
import functools
from fractions import Fraction

import jax
import numpy as np
import toy

from jointseg_jax.models.jointseg import InputSpec, JointSeg, run
from jointseg_jax.models.progressive import Stage

F = Fraction
SMALL = {"blocks": 1, "features": 6, "growth": 4, "tail_features": 4, "subpixel": True}
# One stage, two lattices: compiled in a fraction of the time.
TINY = {"factors": ("10",), "lattices": (F(1), F(10)), "widths": (4, 8), "dilations": (1,)}


def stages(factors, **changes):
    return tuple(Stage(F(f), **{**SMALL, **changes}) for f in factors)


def network(control="joint", factors=("4", "2.5"), inputs=2, **changes):
    specs = (InputSpec("s2", (0.2, 0.3, 0.25, 0.4), (0.1, 0.12, 0.15, 0.2)), InputSpec("s1", (-12.0,), (4.0,)))
    unshuffled = tuple(
        dataclasses.replace(s, unshuffle=2 if i and f == "2.5" else 1)
        for i, (s, f) in enumerate(zip(stages(factors), factors, strict=True))
    )
    fields = {
        "stages": unshuffled,
        "lattices": (F(1), F(5), F(10)),
        "widths": (4, 6, 8),
        "dilations": (1, 2),
        **changes,
    }
    return JointSeg(inputs=specs[:inputs], image_index=(2, 1, 0), control=control, **fields)


def example(model, batch=2, height=6, width=8, seed=0):
    rng = np.random.default_rng(seed)
    modalities = {}
    for spec in model.inputs:
        shape = (batch, model.dates, height, width)
        values = rng.normal(spec.mean, spec.std, (*shape, len(spec.mean))).astype(np.float32)
        modalities[spec.name] = {"values": values, "valid": rng.uniform(size=shape) > 0.1}
    return modalities, rng.uniform(size=(batch, 10 * height, 10 * width, 3)).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def apply(model, params, modalities, image=None):
    return run(model, params, modalities, image)


@functools.cache
def initialise(model, seed=1):
    """Parameters that are all non-zero, so that nothing hides behind a zero initialisation; no program is compiled."""
    return drawn(model, *example(model), seed=seed)


def drawn(net, *inputs, fresh=(), seed=1):
    """The same for any module, but layers named in `fresh` keep the values that the module itself begins with."""
    rng = np.random.default_rng(seed)
    shapes = {}

    def named(path):
        return any(name in jax.tree_util.keystr(path) for name in fresh)

    def begin(key, *inputs):
        params = net.init(key, *inputs)["params"]
        shapes.update(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params))
        return {jax.tree_util.keystr(p): x for p, x in jax.tree_util.tree_flatten_with_path(params)[0] if named(p)}

    # Compiled, the initialisers of a whole network take longer than anything else: those not asked for are dropped.
    own = (jax.jit(begin) if fresh else functools.partial(jax.eval_shape, begin))(jax.random.key(0), *inputs)
    assert fresh == () or own

    def leaf(path, shape):
        if named(path):
            return np.array(own[jax.tree_util.keystr(path)])
        return toy.drawn(path, shape, rng, 0.05, 1.0)

    return jax.tree_util.tree_map_with_path(leaf, shapes)
