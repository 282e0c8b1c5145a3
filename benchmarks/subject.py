"""The training step under measurement, built from `training.experiment`.

Only `Subject.of` and `Subject.gradients` know how an experiment is compiled.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jointseg_jax.models.attention import ChannelAttention
from jointseg_jax.models.jointseg import JointSeg, run
from jointseg_jax.models.sensor import observed_bicubic
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.experiment import Experiment
from jointseg_jax.training.loader import Loader, open_batches
from jointseg_jax.training.losses.objective import Objective
from jointseg_jax.training.set_up import set_up


@dataclasses.dataclass(frozen=True)
class Subject:
    """An experiment and its jitted, donating training step `(state, batch) -> (state, metrics)`."""

    experiment: Experiment
    step: Any

    @classmethod
    def of(cls, source: Any) -> "Subject":
        """From a config, or from an experiment that was changed."""
        experiment = source if isinstance(source, Experiment) else set_up(source)
        steps, _ = experiment.compile()
        return cls(experiment, steps.at(0))

    def variant(self, **changes: Any) -> "Subject":
        """The same with fields of the network changed, such as remat or dtype."""
        return self._with(model=self.experiment.model.clone(**changes))

    def _with(self, **changes: Any) -> "Subject":
        method = dataclasses.replace(self.experiment.method, **changes)
        return Subject.of(dataclasses.replace(self.experiment, method=method))

    def host_batch(self, samples: int | None = None) -> Any:
        """The first training batch (or its first samples), as NumPy arrays."""
        with contextlib.closing(open_batches(self.experiment, 0, self.experiment.slice_)) as batches:
            batch = next(batches)
        return jax.tree.map(lambda x: np.asarray(x)[:samples], batch)

    def to_device(self, batch: Any) -> Any:
        """A host batch as a global array on the mesh, as the step takes it."""
        return parallel.to_global(batch, self.experiment.mesh)

    def state(self) -> Any:
        """A fresh state with every parameter moved a little, so that no path of the network is dead.

        The last convolutions of an untrained network are zero and would hide all gradients behind them.
        """
        state = self.experiment.init()
        random = np.random.default_rng(0)

        def moved(x: Any) -> np.ndarray:
            spread = 0.3 / np.sqrt(np.prod(x.shape[-4:-1])) if x.ndim >= 4 else 0.05
            return np.asarray(x) + random.normal(0, spread, x.shape).astype(np.float32)

        params = jax.device_put(jax.tree.map(moved, state.params), self.experiment.shardings().params)
        return dataclasses.replace(state, params=params, ema=jax.tree.map(jnp.copy, params))

    def loader(self, first: int) -> Loader:
        """The batches of a run from step `first` on, as the training loop reads them."""
        return Loader(self.experiment, first)

    def gradients(self, batch: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The parameters; and loss, outputs and gradients of the training step on `batch`.

        An optimiser that only stores gradients replaces the step's own. All in true float32 (no TF32). Keys are paths
        such as "gradients/sr/stage1/conv_first/kernel".
        """
        keep = optax.GradientTransformation(
            lambda params: jax.tree.map(jnp.zeros_like, params),
            lambda updates, state, params=None: (jax.tree.map(jnp.zeros_like, updates), updates),
        )
        model = self.experiment.model.clone(dtype=jnp.float32)
        keeping = self._with(model=model, optimizers={"generator": keep})
        with jax.default_matmul_precision("highest"):
            state, given = keeping.state(), self.to_device(batch)
            params = flat("params", jax.device_get(state.params))
            outputs = jax.jit(lambda p, b: run(model, p, b["inputs"], b["image"], b["image_valid"]))(
                state.params, given
            )
            logits, images = jax.device_get((outputs.logits, outputs.images))
            state, metrics = keeping.step(state, given)
        found = {"loss": np.asarray(metrics["loss"]), "outputs/logits": logits}
        found |= {f"outputs/image{k}": image for k, image in enumerate(images, start=1)}
        return params, found | flat("gradients", jax.device_get(state.opt["generator"]))


def flat(prefix: str, tree: Any) -> dict[str, np.ndarray]:
    """A tree of arrays as {"prefix/path": array}."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {f"{prefix}/{jax.tree_util.keystr(k, simple=True, separator='/')}": np.asarray(v) for k, v in leaves}


def describe(subject: Subject) -> dict[str, Any]:
    """The network, loss and optimiser as JSON-ready values, from which a peer builds the same.

    Raises:
        ValueError: a network or an objective that the peers do not know.
    """
    model, config = subject.experiment.model, subject.experiment.config
    method = subject.experiment.method
    objective = method.objective
    known = Objective(
        objective.std, objective.sr, objective.stages, cross_entropy=objective.cross_entropy, dice=objective.dice
    )
    if model.control != "joint":
        raise ValueError(f"the peers implement only the control 'joint', not {model.control!r}")
    if dataclasses.replace(objective, affinity_grid=known.affinity_grid) != known or method.adversarial:
        raise ValueError(
            "the peers implement only L1, cross-entropy and Dice with fixed weights, and no adversarial phase"
        )
    if model.dates > 1 or model.consistent or not (model.attention and model.fusion):
        raise ValueError("the peers implement only one date, attention and fusion, and no consistent images")
    stages = [dataclasses.asdict(stage) | {"factor": str(stage.factor)} for stage in model.stages]
    return {
        "network": {
            "inputs": [dataclasses.asdict(spec) for spec in model.inputs],
            "image_index": list(model.image_index),
            "dates": model.dates,
            "stages": stages,
            "lattices": [str(s) for s in model.lattices],
            "widths": list(model.widths),
            "classes": model.classes,
            "segmenter_blocks": model.segmenter_blocks,
            "dilations": list(model.dilations),
            "sharpening": _sharpening(model),
            "window_levels": ChannelAttention.levels,
            "remat": model.remat != "none",
        },
        "loss": {
            "sr": float(objective.sr),
            "stages": list(objective.stages),
            "cross_entropy": float(objective.cross_entropy),
            "dice": float(objective.dice),
        },
        "optimizer": {
            "learning_rate": float(config.optimizer.learning_rate),
            "betas": list(config.optimizer.betas),
            "clip": float(config.optimizer.clip),
            "ema": float(config.optimizer.ema),
        },
    }


def _sharpening(model: JointSeg) -> dict[str, Any] | None:
    """The deconvolution of the base for a peer: taps [taps, bands] around the centre, iterations, light."""
    if model.sensor is None or not model.back_projections:
        return None
    (taps,) = observed_bicubic(model.sensor.sigma)
    weights = [list(weight) if isinstance(weight, tuple) else [weight] for _, weight in taps]
    return {
        "taps": weights,
        "iterations": model.back_projections,
        "linear_light": model.sensor.linear_light,
    }


def differences(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> Iterator[tuple[str, float]]:
    """The relative difference of each array: the norm of the difference over the norm of ours.

    Raises:
        ValueError: the arrays are not the same set, or one is zero or not finite and cannot be compared.
    """
    if set(ours) != set(theirs):
        raise ValueError(f"only one of the two networks has {', '.join(sorted(set(ours) ^ set(theirs)))}")
    for name, mine in ours.items():
        if mine.shape != theirs[name].shape:
            raise ValueError(f"{name} has shape {mine.shape} here, but {theirs[name].shape} in the peer")
        norm = float(np.linalg.norm(mine.astype(np.float64)))
        if not np.isfinite(norm) or norm == 0:
            raise ValueError(f"{name} has norm {norm} and cannot be compared")
        yield name, float(np.linalg.norm(mine.astype(np.float64) - theirs[name])) / norm
