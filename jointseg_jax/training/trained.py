"""Loads a trained network from a work directory, for evaluation and mapping."""

import dataclasses
import os
import pathlib

import jax
import ml_collections

from jointseg_jax.errors import InputError
from jointseg_jax.models.jointseg import JointSeg, Params, init_params
from jointseg_jax.storage import formats
from jointseg_jax.training.build.network import build_model
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.reading import FOLDER, Stored, choose_step
from jointseg_jax.training.devices import parallel


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network with its weights and the metadata of its training.

    Attributes:
        workdir: of the training run.
        step: of the checkpoint.
        weights: "ema" or "raw".
    """

    workdir: pathlib.Path
    step: int
    weights: str
    model: JointSeg
    params: Params
    meta: Meta

    @property
    def name(self) -> str:
        """The experiment's name, for records."""
        return str(self.meta.config["name"])


def load_trained(workdir: str | os.PathLike[str], *, checkpoint: str = "best", weights: str = "ema") -> Trained:
    """Loads a network onto one device.

    Args:
        workdir: of the training run.
        checkpoint: "best" (by validation F1), "latest", or a step.
        weights: "ema" or "raw".

    Raises:
        InputError: there is no such run or checkpoint.
    """
    workdir = pathlib.Path(workdir)
    if not (workdir / FOLDER).is_dir():
        raise InputError(
            f"{workdir} has no checkpoint: train first with `jointseg train --config=... --workdir={workdir}`"
        )
    if weights not in ("ema", "raw"):
        raise InputError(f"weights={weights} is unknown: use 'ema' or 'raw'")
    checkpoints = Stored(workdir)
    step = choose_step(checkpoints, checkpoint, workdir)
    meta = checkpoints.meta(step)
    config = ml_collections.ConfigDict(meta.config)
    try:
        model = build_model(config.model, meta.contract)
    except (AttributeError, KeyError, TypeError) as error:
        where = workdir / FOLDER / str(step)
        raise formats.damaged(where, formats.CHECKPOINT, f"its config does not describe a network: {error}") from error
    shapes = jax.eval_shape(lambda: init_params(model, jax.random.key(0)))
    target = parallel.abstract(shapes, parallel.replicated(parallel.local_mesh(1)))
    params = checkpoints.restore_weights(target, step, "ema" if weights == "ema" else "params")
    return Trained(workdir, step, weights, model, params, meta)
