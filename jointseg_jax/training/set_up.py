"""Sets up an experiment from a config: checks it, opens the dataset, builds network, losses and optimisers."""

import json
import pathlib
from typing import Any

import jax

from jointseg_jax.bounds.config import check_experiment
from jointseg_jax.data import dataset as datasets
from jointseg_jax.data import site_record
from jointseg_jax.data.dataset import Dataset
from jointseg_jax.data.patches import PatchReader
from jointseg_jax.data.pipeline import Slice
from jointseg_jax.data.sensor import SensorSpread
from jointseg_jax.errors import InputError
from jointseg_jax.models.attention import ChannelAttention
from jointseg_jax.training import accumulation
from jointseg_jax.training.build.method import build_method
from jointseg_jax.training.build.network import build_model
from jointseg_jax.training.build.optimizers import build_schedule
from jointseg_jax.training.checkpoints.published import load_vgg19
from jointseg_jax.training.devices import parallel
from jointseg_jax.training.experiment import Experiment


def set_up(config: Any) -> Experiment:
    """Opens the dataset and builds the network that a config describes.

    Raises:
        InputError: a field is out of its bounds, or fields contradict each other.
    """
    check_experiment(config)
    mesh = parallel.make_mesh(config.mesh.data, config.mesh.space)
    if not (pathlib.Path(config.dataset.path) / datasets.DESCRIPTION).exists():
        source = config.dataset.source
        hint = source.missing if source.root is None else "run `jointseg prepare` with the same --config first"
        raise InputError(f"there is no prepared dataset at {config.dataset.path}: {hint}")
    data = datasets.load(config.dataset.path)
    judged = [s for s in data.sites.values() if s.pixels.get("train") or s.pixels.get("validation")]
    site_record.check_rasters(data, judged, deep=False)
    contract = datasets.select(data.contract, tuple(config.data.inputs))
    spread = None if config.data.sensor_spread is None else SensorSpread(**config.data.sensor_spread)
    training = PatchReader(data, "train", contract, spread, config.data.get("date_dropout", 0.0))
    parallel.check_fit(mesh, config.data.batch, training.size[0], 3**ChannelAttention.levels // 2)
    accumulation.check(config.data.batch, mesh.shape[parallel.DATA], config.optimizer.accumulate)
    model = build_model(config.model, contract)
    method = build_method(config, model, training.size[0], label_share(data))
    perceptual = method.adversarial is not None and method.adversarial.perceptual
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


def label_share(data: Dataset) -> tuple[float, float]:
    """The shares of pervious and impervious ground among the labelled pixels of the training patches."""
    rows = data.index[data.index["split"] == "train"]
    impervious = float((rows["impervious_fraction"] * rows["valid_fraction"]).sum() / rows["valid_fraction"].sum())
    return 1 - impervious, impervious
