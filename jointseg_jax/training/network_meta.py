"""Finds a trained network and reads its metadata: without its weights, JAX or Orbax, so that refusals come at once."""

import os
import pathlib

from jointseg_jax.errors import InputError
from jointseg_jax.shipped import names, shipped
from jointseg_jax.training.checkpoints import portable
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.records import FOLDER, Records, choose_step


def found_network(workdir: str | os.PathLike[str]) -> pathlib.Path:
    """The folder of a run, of an exported network, or of the shipped network of that name.

    Raises:
        InputError: it is none of them.
    """
    folder = pathlib.Path(workdir)
    if (folder / FOLDER).is_dir() or portable.is_portable(folder):
        return folder
    if str(workdir) in names():
        return shipped(str(workdir))
    raise InputError(
        f"{workdir} has no checkpoint: train first with `jointseg train --config=... --workdir={workdir}`, or give an "
        f"exported network ({' or '.join(['its folder', *names()])})"
    )


def check_weights(weights: str) -> None:
    """Raises `InputError` for other weights than "ema" and "raw"."""
    if weights not in ("ema", "raw"):
        raise InputError(f"weights={weights} is unknown: use 'ema' or 'raw'")


def network_meta(workdir: str | os.PathLike[str], *, checkpoint: str = "best", weights: str = "ema") -> Meta:
    """The metadata of the network that `training.trained.load_trained` loads for the same arguments.

    Raises:
        InputError: there is no such run, checkpoint or network.
    """
    folder = found_network(workdir)
    check_weights(weights)
    if portable.is_portable(folder):
        portable.check_choice(folder, checkpoint, weights)
        return portable.read_meta(folder)[2]
    records = Records(folder)
    return records.meta(choose_step(records, checkpoint, folder))
