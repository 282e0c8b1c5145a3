"""Networks with weights drawn by NumPy, which takes no compilation: strong ones, so that nothing fades."""

import jax
import numpy as np

from jointseg_jax.models.jointseg import init_params
from jointseg_jax.training.calibration import Calibration
from jointseg_jax.training.checkpoints.meta import Meta
from jointseg_jax.training.set_up import set_up
from jointseg_jax.training.trained import Trained


def draw(config, folder):
    """The network of a config whose dataset is prepared; `folder` is its run's, where nothing is written."""
    experiment = set_up(config)
    shapes, rng = jax.eval_shape(lambda: init_params(experiment.model, jax.random.key(0))), np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(0, 0.15, x.shape).astype(x.dtype), shapes)
    meta = Meta(experiment.plain, experiment.contract, Calibration(2.0, 0.45, 0), {"name": "toy", "index": ""})
    return Trained(folder, 0, "ema", experiment.model, params, meta)
