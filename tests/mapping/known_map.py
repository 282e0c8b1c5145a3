"""A known input for the shipped network, made by code, and what the network makes of it.

python tests/mapping/known_map.py     writes tests/data_files/shipped_map.json; run it when the network changes
"""

import json
import pathlib

import jax
import numpy as np

from jointseg_jax.landscape.files import display
from jointseg_jax.landscape.model import BANDS
from jointseg_jax.landscape.synthesis import make_scene
from jointseg_jax.mapping.predictor.predictor import predict_tiles
from jointseg_jax.mapping.predictor.weights import weights_digest
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.training.trained import Trained, load_trained

FILE = pathlib.Path(__file__).parents[1] / "data_files" / "shipped_map.json"
NAME = "dubai"
BLOCK = 40  # metres


def known_input() -> np.ndarray:
    """A part of the landscape's city as an 8-bit display at 10 m: 0 to 1, float32 [24, 24, 3]."""
    scene = make_scene("downstream", year=2021, height=240, width=240, seed=0)
    rgb = scene.reflectance[..., [BANDS.index(band) for band in ("B04", "B03", "B02")]]
    return display(block_mean(rgb, 10)).astype(np.float32) / 255


def block_probabilities(trained: Trained) -> np.ndarray:
    """The map's probability, averaged over blocks of 40 m: [6, 6]."""
    image = known_input()[None, None]
    inputs = {"s2": {"values": image, "valid": np.ones(image.shape[:-1], bool)}}
    model = trained.model.clone(scan=True)  # the same network, compiled sooner
    temperature = np.float32(trained.meta.calibration.temperature)
    with jax.default_matmul_precision("highest"):
        probability, _ = predict_tiles(model, trained.params, temperature, inputs, None, halo=0, images=False)
    return block_mean(np.asarray(probability)[0, ..., None], BLOCK)[..., 0]


if __name__ == "__main__":
    network = load_trained(NAME)
    found = np.round(block_probabilities(network).astype(float), 4).tolist()
    FILE.write_text(json.dumps({"weights": weights_digest(network.params), "probability": found}, indent=1) + "\n")
