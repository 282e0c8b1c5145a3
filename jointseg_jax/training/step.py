"""One training step and one evaluation step, as pure functions of state and batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jointseg_jax.models.jointseg import JointSeg, run
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.training.losses import LossWeights, joint_loss, stage_targets
from jointseg_jax.training.state import Params, TrainState

Batch = dict[str, Any]
Metrics = dict[str, jax.Array]

LOGIT_LIMIT = 20.0  # histograms of logit differences reach this far on either side
LOGIT_BINS = 1600


def ema_decay(step: jax.Array, limit: float) -> jax.Array:
    """Short memory at first, `limit` later: min(limit, (1 + t) / (10 + t))."""
    t = step.astype(jnp.float32)
    return jnp.minimum(limit, (1 + t) / (10 + t))


def make_step(
    model: JointSeg, weights: LossWeights, optimizer: optax.GradientTransformation, ema: float
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The training step `(state, batch) -> (state, metrics)`.

    An update whose loss or gradients are not finite is skipped inside the step: the old state is kept, `step` advances.
    """
    _, std = model.image_statistics()

    def loss(params: Params, batch: Batch) -> tuple[jax.Array, Metrics]:
        outputs = run(model, params, batch["inputs"], batch["image"], batch["image_valid"])
        return joint_loss(outputs, batch, weights, std)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        (value, parts), gradients = jax.value_and_grad(loss, has_aux=True)(state.params, batch)
        norm = optax.tree.norm(gradients)
        finite = jnp.isfinite(value) & jnp.isfinite(norm)
        updates, opt = optimizer.update(gradients, state.opt["generator"], state.params)
        params = optax.apply_updates(state.params, updates)
        decay = ema_decay(state.step, ema)
        averaged = jax.tree.map(lambda old, new: old * decay + new * (1 - decay), state.ema, params)

        def choose(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)

        new = TrainState(
            step=state.step + 1,
            params=choose(params, state.params),
            ema=choose(averaged, state.ema),
            opt={"generator": choose(opt, state.opt["generator"])},
            aux=state.aux,
            skipped=state.skipped + jnp.where(finite, 0, 1),
            streak=jnp.where(finite, 0, state.streak + 1),
        )
        return new, {"loss": value, **parts, "gradient_norm": norm, "skipped": new.skipped.astype(jnp.float32)}

    return step


def make_evaluation(model: JointSeg) -> Callable[[Params, Batch], Metrics]:
    """The evaluation step `(params, batch) -> sums`, which add up over batches.

    The sums: `logits` [2, bins], histograms of (impervious - pervious) logit over pervious and impervious pixels; per
    stage `error_stage<k>` and `pixels_stage<k>`, squared errors (in squared standard deviations of the image) and
    counts.
    """
    _, std = model.image_statistics()

    def evaluate(params: Params, batch: Batch) -> Metrics:
        outputs = run(model, params, batch["inputs"], batch["image"], batch["image_valid"])
        sums = {"logits": logit_histogram(outputs.logits, batch["label"])}
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
    # Indices keep the shape of the label: flattened, rows on several devices would be gathered.
    counts = jnp.zeros(2 * LOGIT_BINS, jnp.float32).at[slot].add((label != IGNORE).astype(jnp.float32))
    return counts.reshape(2, LOGIT_BINS)
