"""Checkpoints: the only room that knows Orbax.

    WORKDIR/checkpoints/STEP/state          the training state
                             meta           everything needed to use it: config, contract, calibration
                             digests.json   size and SHA-256 of every file of the two

A checkpoint is written in the background and committed as a whole by a rename; older ones are removed only after that.
It restores onto any number of devices, because it is always read onto an abstract tree that says shapes, dtypes and
shardings. Before anything of it is read, its files are compared with their digests.
"""

from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.checkpoints.reading import FOLDER, Stored, choose_step
from jointseg_jax.training.checkpoints.writing import Checkpoints

__all__ = ["FOLDER", "Checkpoints", "Meta", "Stored", "choose_step"]
