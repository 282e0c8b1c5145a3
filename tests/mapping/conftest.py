"""A network to map with."""

import pathlib
import sys

import jax
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


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


@pytest.fixture(scope="session")
def workdir(toy_config, trained, tmp_path_factory):
    """`trained` as training would have left it, for processes that load it themselves."""
    import contextlib

    from jointseg_jax.training.checkpoints import Checkpoints
    from jointseg_jax.training.experiment import set_up

    folder = tmp_path_factory.mktemp("workdir")
    state = set_up(toy_config).init()
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        checkpoints.save(state.replace(params=trained.params, ema=trained.params), trained.meta)
        checkpoints.wait()
    return folder


@pytest.fixture(scope="session")
def made_product(trained, data, raw, tmp_path_factory):
    """A folder of five mapped tiles in two zones, and the rows of its ledger; copy it before changing it."""
    import products

    folder = tmp_path_factory.mktemp("made") / "product"
    return folder, products.make_product(folder, trained, data, raw)


@pytest.fixture
def product(made_product, tmp_path):
    """A private copy of `made_product`."""
    import copy
    import shutil

    folder, rows = made_product
    shutil.copytree(folder, tmp_path / "product")
    return tmp_path / "product", copy.deepcopy(rows)
