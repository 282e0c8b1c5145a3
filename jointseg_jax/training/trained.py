"""Loads a trained network for evaluation and mapping: from a run, an exported folder, or the package itself."""

import dataclasses
import datetime
import os
import pathlib
from typing import Any

import jax
import ml_collections

from jointseg_jax.errors import InputError
from jointseg_jax.models.jointseg import JointSeg, Params, init_params
from jointseg_jax.storage import formats
from jointseg_jax.training.build.network import build_model
from jointseg_jax.training.checkpoints import portable
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.records import FOLDER, choose_step
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.network_meta import check_weights, found_network


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network with its weights and the metadata of its training.

    Attributes:
        workdir: of the training run, or the folder of an exported or shipped network.
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

    @property
    def stored(self) -> pathlib.Path:
        """The folder that holds the weights."""
        return self.workdir if portable.is_portable(self.workdir) else self.workdir / FOLDER / str(self.step)

    @property
    def written(self) -> str | None:
        """When the checkpoint was written, ISO 8601; None if its folder is missing."""
        if portable.is_portable(self.workdir):
            return portable.written(self.workdir)
        if not self.stored.exists():
            return None
        moment = datetime.datetime.fromtimestamp(self.stored.stat().st_mtime, datetime.UTC)
        return moment.isoformat(timespec="seconds")

    @property
    def dataset(self) -> str:
        """Path of the dataset of its training.

        Raises:
            InputError: the network is an exported one, which does not name it.
        """
        if "dataset" not in self.meta.config:
            raise InputError(f"{self.workdir} does not name the dataset of its training: give one with --dataset=DIR")
        return str(self.meta.config["dataset"]["path"])


def load_trained(workdir: str | os.PathLike[str], *, checkpoint: str = "best", weights: str = "ema") -> Trained:
    """Loads a network onto one device.

    Args:
        workdir: of the training run; a folder that `mapping.tools.export` wrote; or the name of a shipped network,
            unless a run has that path.
        checkpoint: "best" (by validation F1), "latest", or a step.
        weights: "ema" or "raw".

    Raises:
        InputError: there is no such run, checkpoint or network.
    """
    folder = found_network(workdir)
    check_weights(weights)
    if portable.is_portable(folder):
        portable.check_choice(folder, checkpoint, weights)
        step, _, meta = portable.read_meta(folder)
        model = _model(meta, folder)
        params = portable.read_params(folder, _shapes(model))
        return Trained(folder, step, weights, model, jax.device_put(params, _whole()), meta)
    from jointseg_jax.training.checkpoints.reading import Stored  # loads Orbax, which exported networks do not need

    checkpoints = Stored(folder)
    step = choose_step(checkpoints, checkpoint, folder)
    meta = checkpoints.meta(step)
    model = _model(meta, folder / FOLDER / str(step))
    target = parallel.abstract(_shapes(model), _whole())
    params = checkpoints.restore_weights(target, step, "ema" if weights == "ema" else "params")
    return Trained(folder, step, weights, model, params, meta)


def _model(meta: Meta, where: pathlib.Path) -> JointSeg:
    try:
        return build_model(ml_collections.ConfigDict(meta.config).model, meta.contract)
    except (AttributeError, KeyError, TypeError) as error:
        raise formats.damaged(where, formats.CHECKPOINT, f"its config does not describe a network: {error}") from error


def _shapes(model: JointSeg) -> Params:
    return jax.eval_shape(lambda: init_params(model, jax.random.key(0)))


def _whole() -> Any:
    return parallel.replicated(parallel.local_mesh(1))
