"""The compiled programs of a run: one training step per phase, and the evaluation step, on a mesh."""

import dataclasses
from typing import Any, cast

import jax
import optax

from jointseg_jax.models.jointseg import Params
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.method import Method
from jointseg_jax.training.state import TrainState
from jointseg_jax.training.step import Batch, Metrics, make_evaluation, make_step


@dataclasses.dataclass(frozen=True)
class Program:
    """A jitted step `(state, batch) -> (state, metrics)`.

    Attributes:
        function: takes state, batch and the fixed arrays.
        fixed: arrays that never change.
    """

    function: Any
    fixed: tuple[Any, ...] = ()

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        """Runs the step, which donates the state."""
        return cast(tuple[TrainState, Metrics], self.function(state, batch, *self.fixed))

    def lower(self, state: Any, batch: Any) -> Any:
        """Lowers the step for arguments of these shapes."""
        return self.function.lower(state, batch, *self.fixed)


@dataclasses.dataclass(frozen=True)
class Steps:
    """The training steps of a run's phases.

    Attributes:
        pixel: before the adversarial phase; None if that begins at step 0.
        adversarial: None if there is no such phase.
        start: first step of the adversarial phase.
    """

    pixel: Program | None
    adversarial: Program | None
    start: int

    def at(self, step: int) -> Program:
        """The program of a step."""
        chosen = self.adversarial if self.adversarial and step >= self.start else self.pixel
        assert chosen is not None
        return chosen

    def phases(self) -> dict[str, Program]:
        """The programs by the name of their phase, in order."""
        both = {"pixel": self.pixel, "adversarial": self.adversarial}
        return {name: program for name, program in both.items() if program}


def compile_programs(
    method: Method, vgg: Any, mesh: parallel.Mesh, layout: TrainState, spread: Any
) -> tuple[Steps, Any]:
    """Jits the programs; each compiles at first use.

    Args:
        method: network, losses and optimisers.
        vgg: weights of VGG19, or their shapes if the programs are only lowered; None without a perceptual loss.
        mesh: devices.
        layout: shardings of the state.
        spread: shardings of a batch.

    Returns:
        The training steps, which donate their state, and the evaluation step `(params, batch) -> sums`.
    """
    everywhere = parallel.replicated(mesh)

    def whole_gradients(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        """Sums gradients whole before they are sharded; for sharded gradients XLA would move activations instead."""
        return optax.GradientTransformation(
            optimizer.init,
            lambda updates, state, params=None: optimizer.update(parallel.whole(updates, mesh), state, params),
        )

    optimizers = {name: whole_gradients(optimizer) for name, optimizer in method.optimizers.items()}
    method = dataclasses.replace(method, optimizers=optimizers)

    def program(adversarial: bool, *fixed: Any) -> Program:
        pure = make_step(method, adversarial=adversarial)

        def step(state: TrainState, batch: Batch, *fixed: Any) -> tuple[TrainState, Metrics]:
            return pure(dataclasses.replace(cast(Any, state), params=parallel.whole(state.params, mesh)), batch, *fixed)

        jitted = jax.jit(
            parallel.in_slabs(step, mesh),
            in_shardings=(layout, spread, *(everywhere for _ in fixed)),
            out_shardings=(layout, everywhere),
            donate_argnums=0,
        )
        return Program(jitted, fixed)

    judge = make_evaluation(method.model)

    def evaluate(params: Params, batch: Batch) -> Metrics:
        return judge(parallel.whole(params, mesh), batch)

    adversarial = method.adversarial
    # Passed as arguments: XLA would spend minutes folding weights that are closed over as constants.
    fixed = () if vgg is None else (_placed(vgg, everywhere),)
    steps = Steps(
        program(False) if adversarial is None or adversarial.start else None,
        program(True, *fixed) if adversarial else None,
        adversarial.start if adversarial else 0,
    )
    judged = jax.jit(parallel.in_slabs(evaluate, mesh), in_shardings=(layout.ema, spread), out_shardings=everywhere)
    return steps, judged


def _placed(tree: Any, where: parallel.NamedSharding) -> Any:
    """Puts arrays on the devices; returns shapes unchanged."""
    abstract = any(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(tree))
    return tree if abstract else jax.device_put(tree, where)
