"""An experiment: the objects that a config describes, and the state and the programs that follow from them."""

import dataclasses
import functools
import hashlib
import json
from typing import Any

import jax
import optax

from jointseg_jax import __version__
from jointseg_jax.data.dataset import Dataset
from jointseg_jax.data.patches import PatchReader, stack
from jointseg_jax.data.pipeline import Slice
from jointseg_jax.models.jointseg import JointSeg
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.storage import typed
from jointseg_jax.training import resume_check
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.method import Method, fresh_state, init_state
from jointseg_jax.training.programs import Steps, compile_programs
from jointseg_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The objects that a config describes.

    Attributes:
        config: the config.
        plain: the config as JSON-ready dicts.
        mesh: devices.
        data: the dataset.
        contract: of the modalities in use.
        training: reader of the training split.
        validation: reader of the validation split.
        method: network, losses, optimisers.
        vgg: weights of VGG19, if the perceptual loss has a weight.
        schedule: of the generator's learning rate.
        slice_: this process's share of a batch.
    """

    config: Any
    plain: dict[str, Any]
    mesh: parallel.Mesh
    data: Dataset
    contract: Contract
    training: PatchReader
    validation: PatchReader
    method: Method
    vgg: Any
    schedule: optax.Schedule
    slice_: Slice

    @property
    def model(self) -> JointSeg:
        """The network."""
        return self.method.model

    def meta(self, fitted: Calibration) -> Meta:
        """The metadata of a checkpoint of this experiment."""
        return Meta(
            self.plain, self.contract, fitted, {"name": str(self.data.description["name"]), "index": digest(self.data)}
        )

    def facts(self) -> dict[str, str]:
        """Values that all processes of a run must share; the location of the dataset may differ."""
        told = {
            k: v for k, v in resume_check.flat(self.plain).items() if k not in ("dataset.path", "dataset.source.root")
        }
        software = {"jointseg-jax": __version__, "jax": jax.__version__, "optax": optax.__version__}
        return {
            "software": json.dumps(software),
            "config": json.dumps(told, sort_keys=True),
            "dataset": digest(self.data) + json.dumps(typed.plain(self.contract), sort_keys=True),
        }

    def init(self) -> TrainState:
        """A fresh state on the devices."""
        return fresh_state(self.method, self.config.seed, self.shardings())

    def abstract(self) -> TrainState:
        """Shapes, dtypes and shardings of the state, without computing it."""
        return parallel.abstract(self._shapes, self.shardings())

    def shardings(self) -> TrainState:
        """The sharding of each array of the state."""
        return parallel.state_shardings(self._shapes, self.mesh, self.config.mesh.rules)

    @functools.cached_property
    def _shapes(self) -> TrainState:
        return jax.eval_shape(lambda: init_state(self.method, self.config.seed))

    def compile(self) -> tuple[Steps, Any]:
        """The jitted training steps, which donate their state, and evaluation step; each compiles at first use."""
        spread = parallel.batch_shardings(stack([self.training.masked()]), self.mesh)
        return compile_programs(self.method, self.vgg, self.mesh, self.shardings(), spread)


def digest(data: Dataset) -> str:
    """Identifies the patches of a dataset and their order."""
    return hashlib.sha256(data.index.to_csv(index=False).encode()).hexdigest()[:16]
