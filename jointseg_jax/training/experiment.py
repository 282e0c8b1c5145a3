"""Assembles from a config all objects that a run needs before its first step."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any, NamedTuple

import jax
import optax

from jointseg_jax import __version__
from jointseg_jax.bounds.config import check_experiment
from jointseg_jax.data import dataset as datasets
from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import Dataset
from jointseg_jax.data.patches import PatchReader, stack
from jointseg_jax.data.pipeline import Slice
from jointseg_jax.data.sensor import SensorSpread
from jointseg_jax.errors import InputError
from jointseg_jax.models import cost
from jointseg_jax.models.attention import ChannelAttention
from jointseg_jax.models.jointseg import JointSeg, Params, run
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.storage import typed
from jointseg_jax.training import accumulation, resume_check
from jointseg_jax.training.build import build_method
from jointseg_jax.training.build_network import build_model
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.initial import begin_from
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.published import load_vgg19
from jointseg_jax.training.checkpoints.writing import Checkpoints
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.method import Method, fresh_state, init_state
from jointseg_jax.training.optimizers import build_schedule
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


def set_up(config: Any) -> Experiment:
    """Opens the dataset and builds the network that a config describes.

    Raises:
        InputError: a field is out of its bounds, or fields contradict each other.
    """
    check_experiment(config)
    mesh = parallel.make_mesh(config.mesh.data, config.mesh.space)
    if not (pathlib.Path(config.dataset.path) / datasets.DESCRIPTION).exists():
        source = config.dataset.source
        hint = source.missing if source.root is None else "run `python prepare.py` with the same --config first"
        raise InputError(f"there is no prepared dataset at {config.dataset.path}: {hint}")
    data = datasets.load(config.dataset.path)
    judged = [s for s in data.sites.values() if s.pixels.get("train") or s.pixels.get("validation")]
    site_record.check_rasters(data, judged, deep=False)
    contract = datasets.select(data.contract, tuple(config.data.inputs))
    spread = None if config.data.sensor_spread is None else SensorSpread(**config.data.sensor_spread)
    training = PatchReader(data, "train", contract, spread)
    parallel.check_fit(mesh, config.data.batch, training.size[0], 3**ChannelAttention.levels // 2)
    accumulation.check(config.data.batch, mesh.shape[parallel.DATA], config.optimizer.accumulate)
    model = build_model(config.model, contract)
    method = build_method(config, model, training.size[0], label_share(data))
    perceptual = method.critic is not None and method.critic.perceptual
    return Experiment(
        config=config,
        plain=json.loads(config.to_json_best_effort()),
        mesh=mesh,
        data=data,
        contract=contract,
        training=training,
        validation=PatchReader(data, "validation", contract),
        method=method,
        vgg=load_vgg19(config.adversarial.vgg) if perceptual else None,
        schedule=build_schedule(config.optimizer, config.steps),
        slice_=Slice(jax.process_index(), jax.process_count()),
    )


class Start(NamedTuple):
    """The starting point of a run.

    Attributes:
        state: the newest of the work directory, or a fresh one.
        fitted: the calibration of that state.
        origin: describes loaded initial weights; empty for random weights and for a resumed run.
    """

    state: TrainState
    fitted: Calibration
    origin: str


def start(experiment: Experiment, checkpoints: Checkpoints, workdir: pathlib.Path) -> Start:
    """Restores the newest state of the work directory, or makes a fresh one, with weights of `config.init_from` if set.

    Raises:
        InputError: the work directory belongs to another experiment or dataset, or `config.init_from` does not fit.
    """
    if checkpoints.latest is None:
        state, origin = experiment.init(), ""
        if experiment.config.init_from:
            state, origin = begin_from(state, experiment.config.init_from, experiment.shardings())
        return Start(state, Calibration(), origin)
    meta = checkpoints.meta(checkpoints.latest)
    resume_check.check(meta.config, experiment.plain, checkpoints.latest, workdir)
    if meta.contract != experiment.contract:
        raise InputError(
            f"{workdir} was trained with other bands, units or statistics than {experiment.data.root} has now (was it "
            "prepared again?): use another --workdir"
        )
    known, found = meta.dataset["index"], digest(experiment.data)
    if known != found:
        raise InputError(
            f"{workdir} was trained on another version of dataset {meta.dataset['name']!r} (its patch index differs): "
            "use another --workdir"
        )
    return Start(checkpoints.restore(experiment.abstract(), checkpoints.latest), meta.calibration, "")


def digest(data: Dataset) -> str:
    """Identifies the patches of a dataset and their order."""
    return hashlib.sha256(data.index.to_csv(index=False).encode()).hexdigest()[:16]


def label_share(data: Dataset) -> tuple[float, float]:
    """The shares of pervious and impervious ground among the labelled pixels of the training patches."""
    rows = data.index[data.index["split"] == "train"]
    impervious = float((rows["impervious_fraction"] * rows["valid_fraction"]).sum() / rows["valid_fraction"].sum())
    return 1 - impervious, impervious


def parameter_table(params: Params) -> str:
    """Parameters per part of the network, as text."""
    rows = []
    for branch, parts in params.items():
        for name, part in parts.items():
            rows.append((f"{branch}/{name}", cost.parameters(part)))
    width = max(len(name) for name, _ in rows)
    rows.append(("total", cost.parameters(params)))
    return "\n".join(f"{name:<{width}}  {count:>12,}" for name, count in rows)


def forward_flops(model: JointSeg, params: Params, height: int, width: int) -> int:
    """Floating-point operations of one forward pass over one patch of height x width input pixels."""
    modalities = {
        spec.name: {
            "values": jax.ShapeDtypeStruct((1, model.dates, height, width, len(spec.mean)), "float32"),
            "valid": jax.ShapeDtypeStruct((1, model.dates, height, width), "bool"),
        }
        for spec in model.inputs
    }
    image = jax.ShapeDtypeStruct((1, 10 * height, 10 * width, len(model.image_index)), "float32")
    return cost.flops(lambda p, m, i: run(model, p, m, i).logits, params, modalities, image)
