"""Networks with weights drawn by NumPy, which takes no compilation: strong ones, so that nothing fades."""

import toy

from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.trained import Trained


def draw(config, folder):
    """The network of a config whose dataset is prepared; `folder` is its run's, where nothing is written."""
    return of(set_up(config), folder)


def of(experiment, folder):
    """The network of an experiment; see `draw`."""
    meta = Meta(experiment.plain, experiment.contract, Calibration(2.0, 0.45, 0), {"name": "toy", "index": ""})
    return Trained(folder, 0, "ema", experiment.model, toy.weights(experiment.model), meta)
