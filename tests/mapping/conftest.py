"""A network to map with."""

import pathlib
import sys

import jax
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(scope="session")
def experiment(toy_config):
    """A network of one stage, which is traced and compiled in half the time of two; test_predictor has those."""
    import toy

    from jointseg_jax.training.set_up import set_up

    config = toy_config.copy_and_resolve_references()
    config.unlock()
    config.model = toy.network("10")
    return set_up(config)


@pytest.fixture(scope="session")
def trained(experiment, tmp_path_factory):
    """Its network, with strong random weights."""
    import drawn_networks

    return drawn_networks.of(experiment, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def fresh(experiment):
    """Its fresh state on the host."""
    return jax.device_get(experiment.init())


@pytest.fixture(scope="session")
def workdir(fresh, data, trained, tmp_path_factory):
    """`trained` as training would have left it, with a halo, for processes that load it themselves."""
    import contextlib

    import stored_halo

    from jointseg_jax.training.checkpoints.writing import Checkpoints
    from jointseg_jax.training.trained import load_trained

    folder = tmp_path_factory.mktemp("workdir")
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        state = fresh.replace(params=trained.params, ema=trained.params)
        checkpoints.save(jax.device_put(state), trained.meta)
        checkpoints.wait()
    stored_halo.store(load_trained(folder), data.scene("d"))
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


@pytest.fixture(scope="session")
def seeing(tmp_path_factory):
    """A network for 8-bit pictures of three bands at 10 m, with strong random weights: it takes real scenes, too."""
    import toy

    from jointseg_jax.rasters.contract import Contract, Modality, Statistics
    from jointseg_jax.training.build.network import build_model
    from jointseg_jax.training.calibration import Calibration
    from jointseg_jax.training.checkpoints.meta import Meta
    from jointseg_jax.training.trained import Trained

    statistics = Statistics((0.35, 0.35, 0.3), (0.15, 0.13, 0.12), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    primary = Modality("s2", ("B04", "B03", "B02"), 10.0, "uint8", "display", 0, 1 / 255, statistics=statistics)
    contract = Contract((primary,), ("B04", "B03", "B02"))
    model = build_model(toy.network("10"), contract)
    meta = Meta({"name": "seeing", "loss": {"sr": 1.0}}, contract, Calibration(2.0, 0.45, 0), {"name": "", "index": ""})
    return Trained(tmp_path_factory.mktemp("seeing"), 0, "ema", model, toy.weights(model), meta)


@pytest.fixture(scope="session")
def picture(seeing, tmp_path_factory):
    """Makes a scene for `seeing` of stored numbers uint8 [h, w, 3]."""
    from jointseg_jax.rasters.lattice import make_lattice
    from jointseg_jax.rasters.open_scene import open_scene
    from jointseg_jax.rasters.writer import Layout, write_raster

    folder = tmp_path_factory.mktemp("pictures")

    def make(stored, name):
        height, width = stored.shape[:2]
        lattice = make_lattice("EPSG:32652", 300000.0, 4000000.0, 10, height, width)
        path = folder / f"{name}.tif"
        write_raster(path, np.ascontiguousarray(stored), Layout(lattice, "uint8", ("B04", "B03", "B02"), 0, rgb=True))
        return open_scene(path, seeing.meta.contract).scene

    return make


@pytest.fixture(scope="session")
def korea(real_data):
    """Real Sentinel-2 over Korean towns, 8-bit, stored numbers [512, 512, 3]."""
    import rasterio

    path = sorted((real_data / "sentinel2" / "korea" / "images").glob("*.tif"))[0]
    with rasterio.open(path) as raster:
        return np.moveaxis(raster.read(), 0, -1)


def stored_ground(seed, height, width):
    """Made-up ground as an 8-bit picture [h, w, 3], with a hole and a cut corner where nothing is known."""
    import toy

    image, _ = toy.ground(seed, height, width)
    stored = np.round(image.reshape(height, 10, width, 10, 3).mean((1, 3)) * 250 + 2).astype(np.uint8)
    stored[5:9, 12:15] = 0
    stored[np.add.outer(np.arange(height), np.arange(width)) < 6] = 0
    return stored


@pytest.fixture(scope="session")
def ground():
    """`stored_ground`."""
    return stored_ground
