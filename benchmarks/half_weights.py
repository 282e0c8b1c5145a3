"""Measures what storing weights as float16 changes in a map.

    python benchmarks/half_weights.py --workdir=runs/dubai --site=datasets/dubai-none/sites/scene2

Maps the middle of a site with the weights of a run and with the same weights rounded to float16, and compares.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.mapping.predictor.predictor import predict_tiles
from jointseg_jax.mapping.tools.export import rounded
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.training.trained import Trained, load_trained


def probability(trained: Trained, inputs: dict) -> np.ndarray:
    """The map of some inputs, see `predict_tiles`."""
    model = trained.model.clone(scan=True)  # the same network, compiled sooner
    temperature = np.float32(trained.meta.calibration.temperature)
    with jax.default_matmul_precision("highest"):
        found, _ = predict_tiles(model, trained.params, temperature, inputs, None, halo=0, images=False)
    return np.asarray(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the comparison as JSON; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--workdir", required=True, help="folder of the training run")
    parser.add_argument("--checkpoint", default="best", help="best, latest or a step")
    parser.add_argument("--site", type=pathlib.Path, required=True, help="a scene that the network takes")
    parser.add_argument("--side", type=cli.number(whole(8, 512)), default=64, help="of the window, input pixels")

    def work() -> None:
        given = parser.parse_args(arguments)
        trained = load_trained(given.workdir, checkpoint=given.checkpoint)
        scene = open_scene(given.site, trained.meta.contract).scene
        height, width = scene.shape
        window = Window((height - given.side) // 2, (width - given.side) // 2, given.side, given.side)
        read = scene.read(window, Handles())
        inputs = {name: {key: x[None] for key, x in parts.items()} for name, parts in read.items()}
        whole_, half = (
            probability(network, inputs)
            for network in (trained, dataclasses.replace(trained, params=rounded(trained.params)))
        )
        threshold = trained.meta.calibration.threshold
        apart = np.abs(whole_ - half)
        print(
            json.dumps(
                {
                    "step": trained.step,
                    "pixels": apart.size,
                    "largest": float(apart.max()),
                    "mean": float(apart.mean()),
                    "classes_changed": float(((whole_ >= threshold) != (half >= threshold)).mean()),
                }
            )
        )

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
