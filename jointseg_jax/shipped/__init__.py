"""The networks that come with the package: a folder each, as `mapping.tools.export` writes it, with its card README.md.

`load_trained`, and so `--workdir`, takes their names. Only a halo that was not measured yet is written
to these folders.
"""

import os
import pathlib

from jointseg_jax.errors import InputError

RED_GREEN_BLUE = "dubai"  # the one that takes a display of B04, B03 and B02, and so most rasters
_ROOT = pathlib.Path(__file__).parent
_RECORD = "network.json"  # as `training.checkpoints.portable` names it


def names() -> tuple[str, ...]:
    """The names of the networks, in alphabetical order."""
    return tuple(sorted(record.parent.name for record in _ROOT.glob(f"*/{_RECORD}")))


def shipped(name: str) -> pathlib.Path:
    """The folder of a network that comes with the package.

    Raises:
        InputError: there is none of that name.
    """
    if name not in names():
        raise InputError(f"no network {name!r} comes with this package: use one of {', '.join(names())}")
    return _ROOT / name


def is_shipped(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is that of a shipped network."""
    return pathlib.Path(folder).absolute().parent == _ROOT
