"""Trains and evaluates the rows of a study over folds and seeds, and writes its report.

    python -m jointseg_jax.evaluation.ablation CONFIG FOLDER --names=bilinear,joint --seeds=0,1,2 --folds=all

CONFIG is a config file with `FOLDS` and an argument `fold`; `ablations.py` beside it has the `ROWS`. Every run is a
`train.py` and an `evaluate.py` of its own. The same command resumes: finished runs are kept, a run that was cut short
continues from its checkpoint. FOLDER receives study.json, report.md and its pictures, after every run. Runs that
study.json already has count as finished, so a study can move to another machine with that file alone.

Two flags train nothing: `--robustness` judges the finished runs under other sensors, see `robustness`; `--crops` draws
their maps of the same ground side by side, FOLDER/crops/FOLD.png.
"""

import pathlib
import sys
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.study import crops, robustness
from jointseg_jax.evaluation.study.runs import STUDY, Run, Study


def _chosen(given: str, known: Sequence[str], flag: str) -> list[str]:
    names = list(known) if given == "all" else [part for part in given.split(",") if part]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{flag}={given}: {unknown[0]!r} is unknown; known: {', '.join(known)}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Carries out a study; returns the exit status."""
    parser = cli.Arguments(
        prog="python -m jointseg_jax.evaluation.ablation", description="A study over folds and seeds."
    )
    parser.add_argument("config", type=pathlib.Path, help="config file with FOLDS, such as configs/dubai.py")
    parser.add_argument("folder", type=pathlib.Path, help="of the study")
    parser.add_argument("--names", default="all", help="rows of ablations.py, separated by commas, or all")
    parser.add_argument("--seeds", default="0", help="seeds, separated by commas")
    parser.add_argument("--folds", default="all", help="folds of the config, separated by commas, or all")
    parser.add_argument("--robustness", action="store_true", help="judge the finished runs under other sensors")
    parser.add_argument("--crops", action="store_true", help="draw the maps of the finished runs side by side")
    parser.add_argument("--weights", help="published weights (RealESRGAN_x4plus.pth) for the rows that begin with them")
    parser.add_argument("--workers", default="1", help="runs at a time, each on one core if there are several")

    def work() -> None:
        given, overrides = parser.parse_known_args(arguments)
        if strange := [flag for flag in overrides if not flag.startswith("--config.")]:
            raise InputError(f"{strange[0]} is unknown: overrides of the config look like --config.steps=1200")
        try:
            seeds = [whole(0).parse(seed) for seed in given.seeds.split(",")]
            workers = int(whole(1).parse(given.workers))
        except ValueError as error:
            raise InputError(f"--seeds={given.seeds} --workers={given.workers}: {error}") from error
        found = Study(given.config, given.folder, overrides, workers, given.weights)
        names = _chosen(given.names, list(found.rows), "--names")
        if (
            given.names == "all"
            and given.weights is None
            and (lacking := [n for n in names if found.rows[n].needs_weights])
        ):
            print(f"left out without --weights: {', '.join(lacking)}")
            names = [name for name in names if name not in lacking]
        folds = _chosen(given.folds, found.folds, "--folds")
        # Rows come last, so that every row is seen on one fold before any is seen on two.
        runs = [Run(row, fold, int(seed)) for seed in seeds for fold in folds for row in names]
        if given.robustness:
            robustness.Robustness(found).run(runs)
            print(f"written to {given.folder}: {robustness.RECORDS}, {robustness.REPORT}")
            return
        if given.crops:
            crops.draw(found, runs)
            found.report()
            return
        found.run(runs)
        found.report()
        print(f"written to {given.folder}: {STUDY}, report.md and its pictures")

    return cli.status_of(work)


if __name__ == "__main__":
    sys.exit(main())
