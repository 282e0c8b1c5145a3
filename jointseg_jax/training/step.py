"""One training step and one evaluation step, as pure functions of state and batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jointseg_jax.models.discriminator import power_iteration
from jointseg_jax.models.jointseg import JointSeg, Params, run
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.training import accumulation
from jointseg_jax.training.losses.basic import stage_targets
from jointseg_jax.training.method import Method
from jointseg_jax.training.state import TrainState

Batch = dict[str, Any]
Metrics = dict[str, jax.Array]

LOGIT_LIMIT = 20.0  # histograms of logit differences range over +-this
LOGIT_BINS = 1600


def abstract_batch(model: JointSeg, height: int, width: int, batch: int) -> Batch:
    """Shapes and dtypes of a batch of patches of height x width 10 m pixels."""

    def array(dtype: str, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((batch, *shape), dtype)

    fine = 10 * height, 10 * width
    return {
        "inputs": {
            spec.name: {
                "values": array("float32", model.dates, height, width, len(spec.mean)),
                "valid": array("bool", model.dates, height, width),
            }
            for spec in model.inputs
        },
        "image": array("float32", *fine, len(model.image_index)),
        "image_valid": array("bool", *fine),
        "label": array("uint8", *fine),
        "patch": array("int32"),
        "readable": array("bool"),
    }


def ema_decay(step: jax.Array, limit: float) -> jax.Array:
    """The EMA decay min(limit, (1 + t) / (10 + t)), which gives a short memory at first."""
    t = step.astype(jnp.float32)
    return jnp.minimum(limit, (1 + t) / (10 + t))


def make_step(method: Method, *, adversarial: bool = False) -> Callable[..., tuple[TrainState, Metrics]]:
    """The training step `(state, batch, vgg=None) -> (state, metrics)` of the pixel or of the adversarial phase.

    The pixel phase runs neither discriminator nor VGG19, and does not change the discriminator's state. The adversarial
    phase runs the generator once: its image serves the generator's gradient and, held fixed, the discriminator's.

    An update with non-finite losses or gradients is skipped: the step keeps the old state and advances `step`.

    Raises:
        ValueError: the method has no adversarial loss.
    """
    if adversarial and method.adversarial is None:
        raise ValueError("a method without an adversarial loss has no adversarial phase")
    model, objective, adversary = method.model, method.objective, method.adversarial if adversarial else None
    judged = adversary is not None and adversary.net is not None

    def step(state: TrainState, batch: Batch, vgg: Any = None) -> tuple[TrainState, Metrics]:
        params, aux = split(state.params), dict(state.aux)
        if judged:
            aux["disc_sn"] = power_iteration(params["disc"], aux["disc_sn"])

        def generator_loss(own: Params, piece: Batch, weights: Metrics) -> tuple[jax.Array, tuple[Metrics, Any]]:
            inputs = (piece["inputs"], piece["image"], piece["image_valid"])
            outputs = run(model, method.hold(own), *inputs, objective.needs_features)
            values, seen = objective.losses(outputs, piece, weights), None
            loss = objective.total(values, own.get("loss", {}), state.step, 1 / method.accumulate)
            if adversary:
                seen = adversary.views(model, outputs, piece, weights["views"], state.step)
                values |= adversary.generator_losses(params.get("disc"), aux.get("disc_sn"), vgg, seen)
                loss += adversary.total(values, state.step)
            return loss, ({"loss": loss, **values}, seen)

        def contribution(part: tuple[Batch, Metrics]) -> tuple[dict[str, Params], Metrics]:
            """Gradients and losses of a piece of the batch, which add up to those of the batch."""
            (_, (values, seen)), own = jax.value_and_grad(generator_loss, has_aux=True)(params["generator"], *part)
            gradients = {"generator": own}
            if adversary and judged:
                judge = jax.grad(adversary.discriminator_loss, has_aux=True)
                gradients["disc"], more = judge(params["disc"], aux["disc_sn"], seen)
                values |= more
            return gradients, values

        weights = objective.weights(batch, model.spacings)
        if adversary:
            weights["views"] = adversary.weight(batch, state.step)
        gradients, values = accumulation.add_up(contribution, (batch, weights), method.accumulate)
        norms = {name: optax.tree.norm(gradient) for name, gradient in gradients.items()}
        finite = jnp.isfinite(values["loss"] + sum(norms.values()) + values.get("discriminator", 0.0))
        new = _updated(method, state, gradients, aux, finite)
        values |= {f"log_variance_{name}": s for name, s in state.params.get("loss", {}).items()}
        values |= {"gradient_norm" if n == "generator" else f"{n}_gradient_norm": norm for n, norm in norms.items()}
        return new, values | {"skipped": new.skipped.astype(jnp.float32)}

    return step


def _updated(
    method: Method, state: TrainState, gradients: dict[str, Params], aux: dict[str, Any], finite: jax.Array
) -> TrainState:
    """The state after an update by these gradients; the old state if they are not finite."""
    params, opt = split(state.params), dict(state.opt)
    for name, gradient in gradients.items():
        updates, opt[name] = method.optimizers[name].update(gradient, state.opt[name], params[name])
        params[name] = optax.apply_updates(params[name], updates)
    joined = params["generator"] | {name: params[name] for name in params if name != "generator"}
    decay = ema_decay(state.step, method.ema)
    # In this form the average of a constant parameter stays constant to the bit.
    averaged = jax.tree.map(
        lambda old, new: old + (new - old) * (1 - decay), state.ema, {name: joined[name] for name in state.ema}
    )

    def choose(new: Any, old: Any) -> Any:
        return jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)

    return TrainState(
        step=state.step + 1,
        params=choose(joined, state.params),
        ema=choose(averaged, state.ema),
        opt=choose(opt, state.opt),
        aux=choose(aux, state.aux),
        skipped=state.skipped + jnp.where(finite, 0, 1),
        streak=jnp.where(finite, 0, state.streak + 1),
    )


def split(params: Params) -> dict[str, Params]:
    """Groups parameters by optimiser: "generator", and "disc" if there is one."""
    own = {name: part for name, part in params.items() if name != "disc"}
    return {"generator": own} | ({"disc": params["disc"]} if "disc" in params else {})


def make_evaluation(model: JointSeg) -> Callable[[Params, Batch], Metrics]:
    """The evaluation step `(params, batch) -> sums`; sums add up over batches.

    The sums: `logits` [2, bins], histograms of (impervious - pervious) logit over pervious and impervious pixels; per
    stage `error_stage<k>` and `pixels_stage<k>`, squared errors (in squared standard deviations of the image) and
    counts; `masked`, the number of unreadable patches.
    """
    _, std = model.image_statistics()

    def evaluate(params: Params, batch: Batch) -> Metrics:
        outputs = run(model, params, batch["inputs"], batch["image"], batch["image_valid"])
        unread = ~batch["readable"] & (batch["patch"] >= 0)  # padding of the last batch does not count
        sums = {"logits": logit_histogram(outputs.logits, batch["label"]), "masked": jnp.sum(unread)}
        valid = batch["image_valid"].astype(jnp.float32)[..., None]
        targets = stage_targets(batch["image"], valid, outputs.spacings)
        for number, (image, (target, seen)) in enumerate(zip(outputs.images, targets, strict=True), start=1):
            sums[f"error_stage{number}"] = jnp.sum(jnp.square((image - target) / std) * seen)
            sums[f"pixels_stage{number}"] = jnp.sum(seen) * image.shape[-1]
        return sums

    return evaluate


def logit_histogram(logits: jax.Array, label: jax.Array) -> jax.Array:
    """Counts [2, LOGIT_BINS] of the logit difference over labelled pixels of each class. logits: [b, h, w, 2]."""
    difference = logits[..., 1] - logits[..., 0]
    scaled = (difference + LOGIT_LIMIT) / (2 * LOGIT_LIMIT) * LOGIT_BINS
    bins = jnp.clip(jnp.floor(scaled), 0, LOGIT_BINS - 1).astype(jnp.int32)
    slot = bins + LOGIT_BINS * (label == 1).astype(jnp.int32)
    # Indices keep the shape of the label, because flattening would gather rows that lie on several devices.
    counts = jnp.zeros(2 * LOGIT_BINS, jnp.float32).at[slot].add((label != IGNORE).astype(jnp.float32))
    return counts.reshape(2, LOGIT_BINS)
