"""The metadata of a checkpoint."""

import dataclasses
from typing import Any

from jointseg_jax import __version__
from jointseg_jax.rasters.contract import Contract, upgraded
from jointseg_jax.storage import formats, typed
from jointseg_jax.training.calibration import Calibration

# The first version with the segmenter of this program; older checkpoints have weights of another network.
FIRST_VERSION = 3
# Fields of `config.model`. Ignoring an unknown one would build another network.
_MODEL = {
    "stages", "blocks", "features", "growth", "tail_features", "trunk_spacing", "subpixel", "lattices", "widths",
    "segmenter_blocks", "dilations", "attention", "fusion", "back_projections", "consistent", "date_features",
    "control", "dtype", "scan", "remat",
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
    """Makes the metadata of a record.

    Raises:
        Damaged, Newer: see `typed.parse`; Newer also for a network with fields that this program does not know.
    """
    meta = typed.parse({**fields, "contract": upgraded(fields.get("contract"))}, Meta, formats.CHECKPOINT, where)
    model = meta.config.get("model")
    strange = sorted(set(model) - _MODEL) if isinstance(model, dict) else []
    if strange:
        raise formats.Newer(
            f"{where} has a network with model.{strange[0]}, which jointseg-jax {__version__} does not know: it was "
            "made by a newer version, upgrade jointseg-jax"
        )
    return meta
