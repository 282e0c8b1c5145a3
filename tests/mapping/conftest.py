"""A network to map with."""

import jax
import numpy as np
import pytest


@pytest.fixture(scope="session")
def trained(toy_config, tmp_path_factory):
    """A network with strong random weights: nothing fades because it is untrained."""
    from jointseg_jax.training.calibration import Calibration
    from jointseg_jax.training.checkpoints import Meta
    from jointseg_jax.training.experiment import set_up
    from jointseg_jax.training.trained import Trained

    experiment = set_up(toy_config)
    params = jax.device_get(experiment.init().params)
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(0)
    params = jax.tree.unflatten(tree, [x + rng.normal(0, 0.12, x.shape).astype(x.dtype) for x in leaves])
    meta = Meta(experiment.plain, experiment.contract, Calibration(2.0, 0.45, 0), {"name": "toy", "index": ""})
    return Trained(tmp_path_factory.mktemp("trained"), 0, "ema", experiment.model, params, meta)
