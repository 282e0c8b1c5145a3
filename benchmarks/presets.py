"""The configs measured: the networks of configs/yreb.py for a GPU, small ones for a CPU, and their dataset.

As a config file it gives one of them: `train.py --config=benchmarks/presets.py:default`.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any

from jointseg_jax.configs import demo, yreb
from jointseg_jax.data import dataset as datasets
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.landscape.files import make_landscape

PRESETS = ("paper", "default", "small", "toy")
SIDES = {"paper": 960, "default": 960, "small": 720, "toy": 360}  # of a made-up site, metres
STRIDE = 8  # a site of 96 or 72 input pixels then gives 25 or 49 patches


def get_config(arg: str | None = None) -> Any:
    """Config argument: the preset's name."""
    return preset(arg or "default", pathlib.Path("datasets"))


def preset(
    name: str, folder: pathlib.Path, dataset: str | None = None, batch: int | None = None, dtype: str | None = None
) -> Any:
    """The config of a preset, on one device.

    Args:
        name: "paper": configs/yreb.py:network=paper, 23 + 23 blocks, in its pixel phase, bfloat16, batches of 16;
            "default": configs/yreb.py, the same; "small": the paper's layout with 2 + 1 blocks of 32 features,
            float32, batches of 4; "toy": that with 1 + 1 blocks of 4 features, batches of 2, for rehearsals.
        folder: receives the landscape dataset of the preset, if `dataset` is not given.
        dataset: folder of a prepared dataset to read instead; its first modality must be called s2.
        batch: another batch size.
        dtype: another dtype of the computation.

    Raises:
        InputError: an unknown preset.
    """
    if name not in PRESETS:
        raise InputError(f"preset {name!r} is unknown: use one of {', '.join(PRESETS)}")
    config = yreb.get_config("network=default" if name == "default" else "network=paper")
    config.unlock()
    config.adversarial.weight = config.adversarial.feature_matching = 0.0
    config.name = f"bench-{name}"
    config.mesh.data = 1
    config.model.dtype = dtype or ("bfloat16" if name in ("paper", "default") else "float32")
    if name == "small":
        config.data.batch, config.dataset.patch = 4, 24
        config.model.blocks = (2, 1)
        config.model.features = config.model.tail_features = (32, 32)
        config.model.growth = (16, 16)
        config.model.remat = "none"
    if name == "toy":
        config.data.batch, config.dataset.patch = 2, 12
        config.model.blocks = (1, 1)
        config.model.features = config.model.tail_features = config.model.growth = (4, 4)
        config.model.widths = (4, 8, 8)
        config.model.dilations = (1, 2)
        config.model.remat = "none"
    config.data.batch = batch or config.data.batch
    config.data.threads = max(1, min(config.data.threads, len(os.sched_getaffinity(0))))
    config.dataset.stride = STRIDE
    if dataset is None:
        side = SIDES[name]
        config.dataset.name = f"bench-{side}"
        made_up = demo.get_config(f"sites=3,side={side}").dataset
        config.dataset.path = str(folder / config.dataset.name)
        config.dataset.source.kind = "landscape"
        config.dataset.source.root = str(folder / f"landscape-{side}")
        config.dataset.source.landscape = made_up.source.landscape
        config.dataset.split = made_up.split
    else:
        config.dataset.path = dataset
    return config


def ready(config: Any, say: Callable[[str], None]) -> None:
    """Makes the landscape dataset of a preset if it does not exist."""
    made_up = config.dataset.source.kind == "landscape"
    if made_up:
        make_landscape(config.dataset, say)
        prepare(config.dataset, say)
        return
    known = datasets.load(config.dataset.path)  # raises InputError if it is damaged
    first = known.contract.modalities[0].name
    if first != "s2":
        raise InputError(
            f"{config.dataset.path} has {first!r} as its first modality, but the presets need 's2': give another "
            "dataset"
        )
