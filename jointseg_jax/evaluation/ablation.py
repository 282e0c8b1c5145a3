"""Trains and evaluates the rows of a study over folds and seeds, and writes its report.

The config has `FOLDS` and an argument `fold`; `ablations.py` beside it has the `ROWS`. Every run is a `jointseg train`
and a `jointseg evaluate` of its own. Runs that study.json already has count as finished, so a study can move to another
machine with that file alone.
"""

import argparse
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds.number import whole
from jointseg_jax.config_file import find
from jointseg_jax.errors import InputError
from jointseg_jax.evaluation.study import crops, robustness
from jointseg_jax.evaluation.study.runs import STUDY, Run, Study


def _chosen(given: str, known: Sequence[str], flag: str) -> list[str]:
    names = list(known) if given == "all" else [part for part in given.split(",") if part]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{flag}={given}: {unknown[0]!r} is unknown; known: {', '.join(known)}")
    return names


def carry_out(given: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Carries out a study, or judges or draws the maps of a finished one.

    Args:
        given: the flags of `commands.study`.
        overrides: of the config, such as "--config.steps=1200".

    Raises:
        InputError: a flag, the config or a row cannot be used.
        Unfinished: a run failed.
    """
    try:
        seeds = [whole(0).parse(seed) for seed in given.seeds.split(",")]
        workers = int(whole(1).parse(given.workers))
    except ValueError as error:
        raise InputError(f"--seeds={given.seeds} --workers={given.workers}: {error}") from error
    found = Study(find(given.config), given.folder, overrides, workers, given.weights)
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


if __name__ == "__main__":
    cli.run_command("study")
