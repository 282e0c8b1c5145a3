"""The method of a run, network, losses and optimisers, and the fresh state that it starts from."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from jointseg_jax.models.discriminator import init_discriminator
from jointseg_jax.models.jointseg import JointSeg, Params, init_params
from jointseg_jax.training.losses.adversarial_loss import AdversarialLoss
from jointseg_jax.training.losses.objective import Objective
from jointseg_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Method:
    """Network, losses and optimisers of a training run.

    Attributes:
        model: the network.
        objective: the joint objective.
        adversarial: the losses of the adversarial phase; None if there is none.
        optimizers: "generator", and "disc" if the adversarial loss has a discriminator.
        ema: limit of the EMA decay.
        accumulate: pieces of a batch.
        hold: stops the gradients of frozen parameters, which are then not computed.
    """

    model: JointSeg
    objective: Objective
    adversarial: AdversarialLoss | None
    optimizers: Mapping[str, optax.GradientTransformation]
    ema: float
    accumulate: int = 1
    hold: Callable[[Params], Params] = lambda params: params


def fresh_state(method: Method, seed: int, shardings: Any = None) -> TrainState:
    """A fresh state on the devices.

    shardings: of each array; None for the first device.
    """
    # The program runs once and draws many small arrays; with LLVM optimisation it compiles for two minutes instead of
    # seconds. Compilers for GPUs and TPUs may refuse this level.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    program = jax.jit(lambda: init_state(method, seed), out_shardings=shardings, compiler_options=options)
    return cast(TrainState, program())


def init_state(method: Method, seed: int) -> TrainState:
    """A fresh state, to be traced; `fresh_state` runs it."""
    key = jax.random.key(seed)
    params = init_params(method.model, key)
    ema = jax.tree.map(jnp.copy, params)  # a donated state may not hold one buffer twice
    aux: dict[str, Any] = {}
    if method.objective.learned:
        params["loss"] = {name: jnp.zeros((), jnp.float32) for name in method.objective.learned}
    opt = {"generator": method.optimizers["generator"].init(params)}
    adversarial = method.adversarial
    if adversarial and adversarial.net:
        # Steps count up from 0 and never reach this fold.
        disc, aux["disc_sn"] = init_discriminator(
            adversarial.net, jax.random.fold_in(key, 2**32 - 1), adversarial.channels
        )
        params["disc"], opt["disc"] = disc, method.optimizers["disc"].init(disc)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=ema,
        opt=opt,
        aux=aux,
        skipped=jnp.zeros((), jnp.int32),
        streak=jnp.zeros((), jnp.int32),
    )
