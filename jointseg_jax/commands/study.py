"""Trains and evaluates the rows of a study over folds and seeds, and writes its report.

    jointseg study CONFIG FOLDER --names=bilinear,joint --seeds=0,1,2 --folds=all

CONFIG is a config file with `FOLDS` and an argument `fold`, or the name of a shipped one; `ablations.py` beside it has
the `ROWS`. The same command resumes: finished runs are kept, a run that was cut short continues from its checkpoint.
FOLDER receives study.json, report.md and its pictures, after every run. Two flags train nothing: `--robustness` judges
the finished runs under other sensors; `--crops` draws their maps of the same ground side by side. Overrides of the
config such as --config.steps=1200 apply to every run.
"""

import pathlib
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.errors import InputError


def _parser() -> cli.Arguments:
    parser = cli.Arguments(prog="jointseg study", description=__doc__)
    parser.add_argument("config", help="config file with FOLDS, or the name of a shipped one, such as dubai")
    parser.add_argument("folder", type=pathlib.Path, help="of the study")
    parser.add_argument("--names", default="all", help="rows of ablations.py, separated by commas, or all")
    parser.add_argument("--seeds", default="0", help="seeds, separated by commas")
    parser.add_argument("--folds", default="all", help="folds of the config, separated by commas, or all")
    parser.add_argument("--robustness", action="store_true", help="judge the finished runs under other sensors")
    parser.add_argument("--crops", action="store_true", help="draw the maps of the finished runs side by side")
    parser.add_argument("--weights", help="published weights (RealESRGAN_x4plus.pth) for the rows that begin with them")
    parser.add_argument("--workers", default="1", help="runs at a time, each on one core if there are several")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Carries out a study; returns the exit status."""
    parser = _parser()

    def work() -> None:
        given, overrides = parser.parse_known_args(arguments)
        if strange := [flag for flag in overrides if not flag.startswith("--config.")]:
            raise InputError(f"{strange[0]} is unknown: overrides of the config look like --config.steps=1200")
        from jointseg_jax.evaluation.ablation import carry_out

        carry_out(given, overrides)

    return cli.status_of(work)
