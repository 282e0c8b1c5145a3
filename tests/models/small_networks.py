"""Small networks, their inputs and their parameters."""

import dataclasses
import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from jointseg_jax.models.jointseg import InputSpec, JointSeg, run
from jointseg_jax.models.progressive import Stage

F = Fraction
SMALL = {"blocks": 1, "features": 6, "growth": 4, "tail_features": 4, "subpixel": True}


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
    keys = jax.random.split(jax.random.key(seed), 2 * len(model.inputs))
    modalities = {}
    for spec, key, other in zip(model.inputs, keys[::2], keys[1::2], strict=True):
        shape = (batch, model.dates, height, width)
        values = jnp.asarray(spec.mean) + jnp.asarray(spec.std) * jax.random.normal(key, (*shape, len(spec.mean)))
        modalities[spec.name] = {"values": values, "valid": jax.random.uniform(other, shape) > 0.1}
    return modalities, jax.random.uniform(keys[0], (batch, 10 * height, 10 * width, 3))


@functools.partial(jax.jit, static_argnums=0)
def apply(model, params, modalities, image=None):
    return run(model, params, modalities, image)


@functools.cache
def initialise(model, seed=1):
    """Parameters that are all non-zero, so that nothing hides behind a zero initialisation; no program is compiled."""
    modalities, image = example(model)
    shapes = jax.eval_shape(model.init, jax.random.key(0), modalities, image)["params"]
    rng = np.random.default_rng(seed)

    def leaf(path, shape):
        fan_in = np.prod(shape.shape[:-1]) if len(shape.shape) > 1 else np.inf
        drawn = rng.normal(0, np.hypot(0.05, fan_in**-0.5), shape.shape) + ("scale" in jax.tree_util.keystr(path))
        return drawn.astype(shape.dtype)

    return jax.tree_util.tree_map_with_path(leaf, shapes)
