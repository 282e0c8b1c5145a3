"""The training state: one pytree."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jointseg_jax.models.jointseg import JointSeg

Params = dict[str, Any]


@flax.struct.dataclass
class TrainState:
    """Everything that training changes.

    Attributes:
        step: int32, updates tried so far; the position in the data and the source of randomness.
        params: {"sr": {"stage1": ...}, "seg": ...}, float32.
        ema: exponential moving average of `params`, the weights that are judged and mapped with.
        opt: {"generator": optimiser state}.
        aux: state that is no parameter (empty so far).
        skipped: int32, updates that were not finite and left everything else as it was.
        streak: int32, how many of them came one after another up to now.
    """

    step: jax.Array
    params: Params
    ema: Params
    opt: dict[str, Any]
    aux: dict[str, Any]
    skipped: jax.Array
    streak: jax.Array


def init_params(model: JointSeg, key: jax.Array) -> Params:
    """Fresh parameters; their shapes do not depend on the size of the input."""
    size = 10  # the smallest that all lattices divide
    modalities = {
        spec.name: {
            "values": jnp.zeros((1, model.dates, size, size, len(spec.mean))),
            "valid": jnp.ones((1, model.dates, size, size)),
        }
        for spec in model.inputs
    }
    image = jnp.zeros((1, 10 * size, 10 * size, len(model.image_index)))
    return dict(model.init(key, modalities, image)["params"])


def init_state(model: JointSeg, optimizer: optax.GradientTransformation, seed: int) -> TrainState:
    """A fresh state; jit it with the shardings it shall have."""
    params = init_params(model, jax.random.key(seed))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params),  # a donated state may not hold one buffer twice
        opt={"generator": optimizer.init(params)},
        aux={},
        skipped=jnp.zeros((), jnp.int32),
        streak=jnp.zeros((), jnp.int32),
    )
