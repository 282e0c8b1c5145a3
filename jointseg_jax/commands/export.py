"""Exports a trained network as files that run with jax alone: jointseg export --workdir=RUN --output=DIR.

DIR/model.stablehlo        the function, for any batch, height and width, on CPU, CUDA and TPU (jax.export);
normalisation and calibration are inside
DIR/weights.safetensors    its parameters
DIR/load.py                some thirty lines that verify both files and build the function
DIR/model.json, README.md  the model card as a STAC item (MLM) and as text, with the radiometry contract
DIR/network.json           what `--workdir=DIR` of other commands reads: config, contract, calibration
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Exports a network and prints the written files; returns the exit status."""
    parser = cli.Arguments(prog="jointseg export", description=__doc__)
    parser.add_argument("--workdir", required=True, help="folder of the training run, or the name of a shipped network")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the exported files")
    parser.add_argument("--checkpoint", default="best", help="best, latest or a step")
    parser.add_argument("--weights", default="ema", help="ema or raw")
    parser.add_argument("--half", action="store_true", help="store the weights as float16, rounded, at half the size")

    def work() -> None:
        given = parser.parse_args(arguments)
        from jointseg_jax.mapping.tools.export import export
        from jointseg_jax.training.trained import load_trained

        trained = load_trained(given.workdir, checkpoint=given.checkpoint, weights=given.weights)
        for name, path in export(trained, given.output, half=given.half).items():
            print(f"{name:<22}{path.stat().st_size:>12,} bytes")

    return cli.status_of(work)
