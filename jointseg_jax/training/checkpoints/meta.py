"""The metadata of a checkpoint, and reading that of older versions."""

import copy
import dataclasses
from typing import Any

from jointseg_jax import __version__
from jointseg_jax.rasters.contract import Contract, upgraded
from jointseg_jax.storage import formats, typed
from jointseg_jax.training.calibration import Calibration

# Config fields added after the first checkpoints, with the values that give the earlier behaviour.
_LATER: dict[str, Any] = {
    "max_skipped": 20,
    "incidents": 3,
    "init_from": None,
    "wandb": None,
    "data.jitter": 0.0,
    "data.sensor_spread": None,
    "model.scan": None,
    "model.remat": "none",
    "mesh.space": 1,
    "mesh.rules": [],
    "optimizer.frozen": [],
    "optimizer.accumulate": 1,
    "loss.shift": 0.0,
    "loss.class_balance": 0.0,
    "loss.boundary": 0.0,
    "loss.boundary_reach": 3,
    "loss.affinity": 0.0,
    "loss.affinity_grid": 16,
    "loss.weighting": "fixed",
    "loss.segmentation_start": 0,
    "loss.segmentation_ramp": 0,
    "adversarial.weight": 0.0,
    "adversarial.kind": "vanilla",
    "adversarial.feature_matching": 0.0,
    "adversarial.perceptual": 0.0,
    "adversarial.vgg": None,
    "adversarial.layers": [["conv1_2", 0.1], ["conv2_2", 0.1], ["conv3_4", 1.0], ["conv4_4", 1.0], ["conv5_4", 1.0]],
    "adversarial.start": 0,
    "adversarial.ramp": 0,
    "adversarial.features": 64,
    "adversarial.sees_input": False,
    "adversarial.crop": 0,
    "adversarial.learning_rate": 1e-4,
}
# Fields of `config.model`. Ignoring an unknown one would build another network.
_MODEL = {
    "stages", "blocks", "features", "growth", "tail_features", "trunk_spacing", "lattices", "widths",
    "segmenter_blocks", "control", "dtype", "scan", "remat",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Meta:
    """The metadata of a checkpoint.

    Attributes:
        config: the resolved config, as plain dicts and lists.
        contract: the radiometry contract of the training data.
        calibration: of the last validation.
        dataset: name of the dataset and a digest of its index.
    """

    config: dict[str, Any]
    contract: Contract
    calibration: Calibration
    dataset: dict[str, str]


def parse(fields: dict[str, Any], where: object = "the checkpoint") -> Meta:
    """Makes the metadata of the record that this or an older version wrote.

    Raises:
        Damaged, Newer: see `typed.parse`.
    """
    meta = typed.parse({**fields, "contract": upgraded(fields.get("contract"))}, Meta, formats.CHECKPOINT, where)
    return dataclasses.replace(meta, config=complete(meta.config, where))


def complete(config: dict[str, Any], where: object = "the checkpoint") -> dict[str, Any]:
    """Fills in the config fields that an older checkpoint lacks.

    Raises:
        Newer: its network has fields that this program does not know.
    """
    strange = sorted(set(config["model"]) - _MODEL) if isinstance(config.get("model"), dict) else []
    if strange:
        raise formats.Newer(
            f"{where} has a network with model.{strange[0]}, which jointseg-jax {__version__} does not know: it was "
            "made by a newer version, upgrade jointseg-jax"
        )
    config = copy.deepcopy(config)
    for path, value in _LATER.items():
        *groups, key = path.split(".")
        group = config
        for name in groups:
            group = group.setdefault(name, {})
        group.setdefault(key, copy.deepcopy(value))
    return config
