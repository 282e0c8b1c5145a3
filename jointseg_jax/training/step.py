"""One training step and one evaluation step, as pure functions of state and batch."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jointseg_jax.models.discriminator import power_iteration
from jointseg_jax.models.jointseg import JointSeg, Outputs, run
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.training import pieces
from jointseg_jax.training.critic import Critic, Views
from jointseg_jax.training.losses import stage_targets
from jointseg_jax.training.means import Mean, Weights
from jointseg_jax.training.state import Method, Params, TrainState

Batch = dict[str, Any]
Metrics = dict[str, jax.Array]

LOGIT_LIMIT = 20.0  # histograms of logit differences reach this far on either side
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
    """Short memory at first, `limit` later: min(limit, (1 + t) / (10 + t))."""
    t = step.astype(jnp.float32)
    return jnp.minimum(limit, (1 + t) / (10 + t))


def make_step(method: Method, *, adversarial: bool = False) -> Callable[..., tuple[TrainState, Metrics]]:
    """The training step `(state, batch, vgg=None) -> (state, metrics)` of the pixel or of the adversarial phase.

    The pixel phase runs neither discriminator nor VGG19 and passes the former's state on untouched. The adversarial one
    runs the generator once: what it generated is judged for its own gradient and, held fixed, for the discriminator's.

    An update whose losses or gradients are not finite is skipped inside the step: the old state is kept, `step`
    advances.

    Raises:
        ValueError: the adversarial phase of a method without critic.
    """
    if adversarial and method.critic is None:
        raise ValueError("a method without critic has no adversarial phase")
    losses = _Losses(method, method.critic if adversarial else None)

    def step(state: TrainState, batch: Batch, vgg: Any = None) -> tuple[TrainState, Metrics]:
        params, aux = split(state.params), dict(state.aux)
        if losses.judged:
            aux["disc_sn"] = power_iteration(params["disc"], aux["disc_sn"])
        held = _Held(state.step, params["generator"], params.get("disc"), aux.get("disc_sn"), vgg)
        whole: dict[str, Weights] = {}
        if method.accumulate > 1:
            whole = pieces.add_up(functools.partial(losses.weights, held), batch, method.accumulate)
        gradients, values = pieces.add_up(functools.partial(losses.contribution, held, whole), batch, method.accumulate)
        norms = {name: optax.tree.norm(gradient) for name, gradient in gradients.items()}
        finite = jnp.isfinite(values["loss"] + sum(norms.values()) + values.get("discriminator", 0.0))
        new = _updated(method, state, gradients, aux, finite)
        values |= {f"log_variance_{name}": s for name, s in state.params.get("loss", {}).items()}
        values |= {"gradient_norm" if n == "generator" else f"{n}_gradient_norm": norm for n, norm in norms.items()}
        return new, values | {"skipped": new.skipped.astype(jnp.float32)}

    return step


class _Held(NamedTuple):
    """What a step holds fixed: its number, the parameters at which gradients are taken, the critics, their vectors."""

    step: jax.Array
    own: Params
    disc: Params | None
    vectors: Any
    vgg: Any


class _Losses:
    """The losses of a phase, of a batch or of a piece of one.

    Attributes:
        judged: whether a discriminator takes part.
    """

    def __init__(self, method: Method, critic: Critic | None):
        self._method, self._critic = method, critic
        self.judged = critic is not None and critic.net is not None

    def weights(self, held: _Held, piece: Batch) -> dict[str, Weights]:
        """Of all means; XLA drops the rest of what is computed here, since weights come from masks alone."""
        shapes = jax.eval_shape(lambda: self._run(held.own, piece))
        blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        means, seen = self._generator_means(held, blank, piece)
        if self.judged:
            means |= self._discriminator_means(held, held.disc, seen)
        return {name: mean.weights for name, mean in means.items()}

    def contribution(self, held: _Held, whole: dict[str, Weights], piece: Batch) -> tuple[dict[str, Params], Metrics]:
        """Gradients and losses of a piece, which add up to the batch's."""

        def valued(means: dict[str, Mean]) -> Metrics:
            return {name: mean.value(whole.get(name)) for name, mean in means.items()}

        def generator(params: Params) -> tuple[jax.Array, tuple[Metrics, Views | None]]:
            means, seen = self._generator_means(held, self._run(self._method.hold(params), piece), piece)
            values, share = valued(means), 1 / self._method.accumulate
            total = self._method.objective.total(values, params.get("loss", {}), held.step, share)
            if self._critic:
                total += self._critic.total(values, held.step)
            return total, ({"loss": total, **values}, seen)

        def discriminator(params: Params) -> tuple[jax.Array, Metrics]:
            values = valued(self._discriminator_means(held, params, seen))
            return values["discriminator"], values

        (_, (values, seen)), gradient = jax.value_and_grad(generator, has_aux=True)(held.own)
        gradients = {"generator": gradient}
        if self.judged:
            (_, told), gradients["disc"] = jax.value_and_grad(discriminator, has_aux=True)(held.disc)
            values |= told
        return gradients, values

    def _run(self, params: Params, piece: Batch) -> Outputs:
        with_features = self._method.objective.needs_features
        return run(self._method.model, params, piece["inputs"], piece["image"], piece["image_valid"], with_features)

    def _generator_means(self, held: _Held, outputs: Outputs, piece: Batch) -> tuple[dict[str, Mean], Views | None]:
        means = self._method.objective.means(outputs, piece)
        if self._critic is None:
            return means, None
        seen = self._critic.views(self._method.model, outputs, piece, held.step)
        return means | self._critic.generator_means(held.disc, held.vectors, held.vgg, seen), seen

    def _discriminator_means(self, held: _Held, params: Params | None, seen: Views | None) -> dict[str, Mean]:
        assert self._critic is not None
        assert params is not None
        assert seen is not None
        return self._critic.discriminator_means(params, held.vectors, seen)


def _updated(
    method: Method, state: TrainState, gradients: dict[str, Params], aux: dict[str, Any], finite: jax.Array
) -> TrainState:
    """The state after an update by these gradients, or as it was where they are not finite."""
    params, opt = split(state.params), dict(state.opt)
    for name, gradient in gradients.items():
        updates, opt[name] = method.optimizers[name].update(gradient, state.opt[name], params[name])
        params[name] = optax.apply_updates(params[name], updates)
    joined = params["generator"] | {name: params[name] for name in params if name != "generator"}
    decay = ema_decay(state.step, method.ema)
    # In this form the average of what does not move does not move either, to the bit.
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
    """Parameters by the optimiser that moves them: "generator", and "disc" where there is one."""
    own = {name: part for name, part in params.items() if name != "disc"}
    return {"generator": own} | ({"disc": params["disc"]} if "disc" in params else {})


def make_evaluation(model: JointSeg) -> Callable[[Params, Batch], Metrics]:
    """The evaluation step `(params, batch) -> sums`, which add up over batches.

    The sums: `logits` [2, bins], histograms of (impervious - pervious) logit over pervious and impervious pixels; per
    stage `error_stage<k>` and `pixels_stage<k>`, squared errors (in squared standard deviations of the image) and
    counts; `masked`, the patches that could not be read.
    """
    _, std = model.image_statistics()

    def evaluate(params: Params, batch: Batch) -> Metrics:
        outputs = run(model, params, batch["inputs"], batch["image"], batch["image_valid"])
        unread = ~batch["readable"] & (batch["patch"] >= 0)  # what only fills the last batch is no patch
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
    # Indices keep the shape of the label: flattened, rows on several devices would be gathered.
    counts = jnp.zeros(2 * LOGIT_BINS, jnp.float32).at[slot].add((label != IGNORE).astype(jnp.float32))
    return counts.reshape(2, LOGIT_BINS)
