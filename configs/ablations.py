"""The ablations of the method, as arguments of any config that knows `stages` and `control`.

    python -m configs.ablations configs/dubai.py runs/ablation      prints the commands

The controls separate the effects of SR supervision (joint) and capacity alone (capacity), of one stage and several, of
fusion and sequence, of the true 1 m image (fine) and 10 m input (coarse).
"""

import sys
from collections.abc import Sequence

from jointseg_jax import cli

ABLATIONS = {
    "joint": "",
    "capacity": "control=capacity",
    "bilinear": "control=bilinear",
    "sequential": "control=sequential",
    "coarse": "control=coarse",
    "fine": "control=fine",
    "stages-10": "stages=10",
    "stages-2x5": "stages=2x5",
    "stages-5x2": "stages=5x2",
    "stages-2x2x2.5": "stages=2x2x2.5",
}


def commands(config: str, folder: str) -> list[str]:
    """The command lines that train and evaluate every ablation of a config file."""
    lines = []
    for name, arg in ABLATIONS.items():
        lines.append(f"python train.py --config={config}{':' + arg if arg else ''} --workdir={folder}/{name}")
        lines.append(f"python evaluate.py --workdir={folder}/{name}")
    names = " ".join(f"{folder}/{n}" for n in ABLATIONS)
    return [*lines, f"python -m jointseg_jax.evaluation.compare {names}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the commands; returns the exit status."""
    parser = cli.Arguments(prog="python -m configs.ablations", description="The commands of the ablations.")
    parser.add_argument("config", help="configs/NAME.py, one that knows stages and control")
    parser.add_argument("folder", help="for the runs")

    def work() -> None:
        given = parser.parse_args(arguments)
        print("\n".join(commands(given.config, given.folder)))

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
