"""Optimisers from a config: learning rate schedules, clipping, frozen parameters."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax

from jointseg_jax.errors import InputError
from jointseg_jax.models.jointseg import Params
from jointseg_jax.training.losses.adversarial_loss import AdversarialLoss


def build_schedule(config: Any, steps: int) -> optax.Schedule:
    """Learning rate over steps: linear warm-up, then constant or a cosine to `end_factor` of the peak."""
    peak, warmup = config.learning_rate, config.warmup
    if config.schedule == "constant":
        after = optax.constant_schedule(peak)
    else:
        after = optax.cosine_decay_schedule(peak, max(1, steps - warmup), config.end_factor)
    return (
        optax.join_schedules([optax.linear_schedule(0.0, peak, max(1, warmup)), after], [warmup]) if warmup else after
    )


def build_optimizer(config: Any, steps: int) -> optax.GradientTransformation:
    """Adam with the schedule; gradients are clipped by their global norm (0: no clipping).

    Parameters with a path that matches a pattern of `config.frozen` have no moments and do not count in that norm.
    """
    clip = optax.clip_by_global_norm(config.clip) if config.clip else optax.identity()
    adam = optax.chain(clip, optax.adam(build_schedule(config, steps), b1=config.betas[0], b2=config.betas[1]))
    if not config.frozen:
        return adam
    frozen = _is_frozen(config.frozen)

    def labels(params: Params) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, _: "frozen" if frozen(path) else "trained", params)

    return optax.partition({"trained": adam, "frozen": optax.set_to_zero()}, labels)


def build_hold(patterns: Sequence[str]) -> Callable[[Params], Params]:
    """Returns a function that stops the gradients of the parameters with paths that match a pattern."""
    frozen = _is_frozen(patterns)

    def hold(params: Params) -> Params:
        return jax.tree_util.tree_map_with_path(lambda path, x: jax.lax.stop_gradient(x) if frozen(path) else x, params)

    return hold if patterns else lambda params: params


def check_frozen(patterns: Sequence[str], params: Params) -> None:
    """Checks the patterns of `optimizer.frozen`.

    Raises:
        InputError: a pattern matches no parameter, or all parameters are frozen.
    """
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in patterns:
        if not any(map(_is_frozen((pattern,)), paths)):
            known = ", ".join(sorted({"/".join(_name(path).split("/")[:2]) for path in paths}))
            raise InputError(
                f"optimizer.frozen: {pattern!r} matches no parameter; the paths of parameters begin with {known}"
            )
    if patterns and all(map(_is_frozen(patterns), paths)):
        raise InputError("optimizer.frozen freezes all parameters: leave at least one of them to train")


def _is_frozen(patterns: Sequence[str]) -> Callable[[Any], bool]:
    try:
        compiled = [re.compile(pattern) for pattern in patterns]
    except (re.error, TypeError) as error:
        raise InputError(
            f"optimizer.frozen {tuple(patterns)} has an invalid regular expression ({error}): correct it"
        ) from error
    return lambda path: any(pattern.search(_name(path)) for pattern in compiled)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def build_optimizers(config: Any, adversarial: AdversarialLoss | None) -> dict[str, optax.GradientTransformation]:
    """The optimisers of the generator and, if there is one, of the discriminator.

    The discriminator uses the same schedule over its phase, from `adversarial.learning_rate`, without warm-up.
    """
    built = {"generator": build_optimizer(config.optimizer, config.steps)}
    if adversarial and adversarial.net:
        own = config.optimizer.copy_and_resolve_references()
        own.learning_rate, own.warmup, own.frozen = config.adversarial.learning_rate, 0, ()
        built["disc"] = build_optimizer(own, max(1, config.steps - adversarial.start))
    return built
