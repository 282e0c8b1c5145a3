"""Initial weights from another run or a published RRDBNet, where paths and shapes agree."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import Contract
from jointseg_jax.shipped import names, shipped
from jointseg_jax.training.checkpoints import portable
from jointseg_jax.training.checkpoints.published import load_rrdbnet
from jointseg_jax.training.checkpoints.reading import Stored
from jointseg_jax.training.checkpoints.records import FOLDER, choose_step
from jointseg_jax.training.state import TrainState

Flat = dict[str, Any]


def begin_from(state: TrainState, source: str, layout: TrainState, contract: Contract) -> tuple[TrainState, str]:
    """Replaces parameters and EMA of a fresh state by the weights of `source` where they fit.

    Args:
        state: fresh.
        source: WORKDIR (the latest step), WORKDIR:STEP or WORKDIR:best of a run, which gives its EMA weights; the
            folder of an exported network, or the name of a shipped one; or a weight file of BasicSR's or Real-ESRGAN's
            RRDBNet x4, which goes into stage 1. That network predicts the image, not a residual on the bicubic, so its
            last convolution is left out.
        layout: shardings of the state.
        contract: of the dataset.

    Returns:
        The state, and a sentence that lists the weights taken and those left fresh.

    Raises:
        InputError: `source` has no weights, or none of them fits.
    """
    own = {name: state.params[name] for name in state.ema}
    wanted, shardings = _flat(own), _flat({name: layout.params[name] for name in state.ema})
    if pathlib.Path(source).is_file():
        where, stored = source, _published(source, wanted, contract)
        found = _placed(stored, wanted, shardings)
    elif (exported := _exported(source)) is not None:
        where, stored = str(exported), portable.read_weights(exported)
        found = _placed(stored, wanted, shardings)
    else:
        where, stored, found = _run(source, wanted, shardings)
    if not found:
        raise InputError(
            f"--init-from={source} has no array with the path and shape of one in this network: give weights of a "
            "network with the same stages and sizes, or change config.model"
        )
    params = traverse_util.unflatten_dict(wanted | found, sep="/")

    # Copies, because a donated state may not hold one buffer twice.
    def spread(tree: Any, where: Any) -> Any:
        return jax.jit(lambda x: jax.tree.map(jnp.copy, x), out_shardings=where)(tree)

    state = dataclasses.replace(
        state,
        params=state.params | spread(params, {name: layout.params[name] for name in state.ema}),
        ema=spread(params, layout.ema),
    )
    return state, f"{where}: {_account(wanted, stored, found)}"


def _flat(tree: Mapping[str, Any]) -> Flat:
    return dict(traverse_util.flatten_dict(tree, sep="/"))


def _placed(stored: Flat, wanted: Flat, shardings: Flat) -> Flat:
    """The arrays that fit, on the devices."""
    fitting = [name for name, x in stored.items() if name in wanted and x.shape == wanted[name].shape]
    return {name: jax.device_put(stored[name], shardings[name]) for name in fitting}


def _exported(source: str) -> pathlib.Path | None:
    """The folder of an exported network, or of the shipped one of that name; None for anything else."""
    if portable.is_portable(source):
        return pathlib.Path(source)
    return shipped(source) if source in names() and not (pathlib.Path(source) / FOLDER).is_dir() else None


def _published(path: str, wanted: Flat, contract: Contract) -> Flat:
    stage = load_rrdbnet(path)
    arrays = _flat({"sr": {"stage1": {**stage, "conv_first": for_normalised(stage["conv_first"], contract)}}})
    if "sr/stage1/conv_up2/kernel" not in wanted:
        raise InputError(
            f"--init-from={path} is a network of factor 4, but stage 1 of this network has another factor: let "
            "model.stages begin with 4"
        )
    return {name: x for name, x in arrays.items() if "/conv_last/" not in name}


def for_normalised(first: dict[str, np.ndarray], contract: Contract) -> dict[str, np.ndarray]:
    """The first convolution of a network that expects display values 0 to 1, for input normalised by the contract.

    Kernel [3, 3, in, out] and bias [out]. Unchanged if the image bands are not a display stretch or not the whole
    input: the published networks were not trained on those.
    """
    bands = list(contract.image_index)  # red, green, blue
    if contract.primary.units != "display" or not first["kernel"].shape[2] == len(bands) == len(contract.primary.bands):
        return first
    kernel = np.empty_like(first["kernel"])
    kernel[:, :, bands] = first["kernel"]
    mean, std = contract.primary.normalisation()
    return {"kernel": kernel * std[:, None], "bias": first["bias"] + np.einsum("hwio,i->o", kernel, mean)}


def _run(source: str, wanted: Flat, shardings: Flat) -> tuple[str, Flat, Flat]:
    """Returns the origin of the weights, all their shapes, and the weights that fit."""
    folder, colon, step = source.rpartition(":")
    if not colon or (pathlib.Path(source) / FOLDER).is_dir():
        folder, step = source, "latest"
    if not (pathlib.Path(folder) / FOLDER).is_dir():
        raise InputError(
            f"--init-from={source} is neither a weight file nor the folder of a run with checkpoints or of an exported "
            "network: give one of them"
        )
    checkpoints = Stored(folder)
    chosen = choose_step(checkpoints, step, folder)
    checkpoints.meta(chosen)  # refuses a checkpoint of a newer version
    stored = checkpoints.shapes(chosen, "ema")
    fitting = {
        name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=shardings[name])
        for name, x in wanted.items()
        if name in stored and tuple(stored[name].shape) == x.shape
    }
    found: Flat = {}
    if fitting:
        tree = traverse_util.unflatten_dict(fitting, sep="/")
        found = _flat(checkpoints.restore_weights(tree, chosen, "ema", partial=True))
    return f"{folder}, step {chosen}", stored, found


def _account(wanted: Flat, stored: Flat, found: Flat) -> str:
    count = sum(math.prod(x.shape) for x in wanted.values())
    taken = sum(math.prod(wanted[name].shape) for name in found)
    said = f"{taken:,} of {count:,} parameters loaded"
    other = [name for name in wanted if name in stored and name not in found]
    if other:
        name = other[0]
        there, here = ("x".join(map(str, x[name].shape)) for x in (stored, wanted))
        said += (
            f"; newly initialised because shapes differ: {len(other)} arrays (such as {name}: {there} in the source, "
            f"{here} here)"
        )
    absent = sorted({"/".join(name.split("/")[:2]) for name in wanted if name not in stored})
    if absent:
        said += f"; newly initialised because the source lacks them: {', '.join(absent)}"
    left = sorted({"/".join(name.split("/")[:2]) for name in stored if name not in wanted})
    return said + (f"; not used: {', '.join(left)}" if left else "")
