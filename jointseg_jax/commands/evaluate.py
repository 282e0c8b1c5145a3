"""Evaluates maps of the whole test sites: jointseg evaluate --workdir=runs/demo."""

import pathlib
import shlex
import sys
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError
from jointseg_jax.flag_set import FlagSet

FLAGS = FlagSet("evaluate", __doc__)
_WORKDIR = FLAGS.text(
    "workdir",
    None,
    "Folder of the training run or of an exported network, or the name of a shipped one, such as dubai.",
)
_DATASET = FLAGS.text("dataset", None, "Prepared dataset to evaluate on; by default that of the training.")
_SPLIT = FLAGS.text("split", "test", "Split to evaluate on: train, validation or test.")
_CHECKPOINT = FLAGS.text("checkpoint", "best", "Checkpoint: best (by validation F1), latest, or a step.")
_WEIGHTS = FLAGS.text("weights", "ema", "Weights: ema (moving average) or raw.")
_OUTPUT = FLAGS.text("output", None, "Folder for the results; by default WORKDIR/evaluation/...")
_DATES = FLAGS.number(
    "dates", None, "Use only so many dates of each site, the first ones; by default all.", bounds.DATES
)
_TILE = FLAGS.number(
    "tile",
    64,
    "Side of a window in input pixels, without its halo; changes speed and memory, not the scores.",
    bounds.TILE,
)
_AUGMENT = FLAGS.switch(
    "augment",
    False,
    "Average the map over eight flips and quarter turns, and measure how well their agreement predicts errors.",
)
_UNCERTAINTY = FLAGS.switch(
    "uncertainty",
    False,
    "With --split=validation, calibrate sets of classes and intervals of fractions; then, with --split=test, measure "
    "them and the area of applicability.",
)
_ALPHA = FLAGS.number(
    "alpha", 0.1, "Of --uncertainty --split=validation: the share that sets and intervals may miss.", bounds.ALPHA
)
_DTYPE = FLAGS.choice(
    "dtype", None, ["float32", "bfloat16"], "Precision of the computation; by default that of the training."
)
FLAGS.require("workdir")


def work() -> None:
    """Runs the evaluation."""
    if _SPLIT.value not in ("train", "validation", "test"):
        raise InputError(f"--split={_SPLIT.value} is unknown; known: train, validation, test")
    from jointseg_jax.data import dataset
    from jointseg_jax.evaluation.evaluate import evaluate
    from jointseg_jax.storage.files import file_name
    from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
    from jointseg_jax.training.trained import load_trained

    use_compilation_cache()
    trained = load_trained(str(_WORKDIR.value), checkpoint=_CHECKPOINT.value, weights=_WEIGHTS.value)
    data = dataset.load(_DATASET.value or trained.dataset)
    name = _SPLIT.value if _DATASET.value is None else f"{file_name(str(data.description['name']))}-{_SPLIT.value}"
    name += "-augmented" if _AUGMENT.value else ""
    name += "" if _DATES.value is None else f"-dates{_DATES.value}"
    name += "" if _DTYPE.value is None else f"-{_DTYPE.value}"
    evaluate(
        trained,
        data,
        _SPLIT.value,
        pathlib.Path(_OUTPUT.value or pathlib.Path(str(_WORKDIR.value)) / "evaluation" / name),
        tile=_TILE.value,
        augment=_AUGMENT.value,
        dtype=_DTYPE.value,
        dates=_DATES.value,
        command=shlex.join(["jointseg", "evaluate", *sys.argv[1:]]),
        uncertainty=_UNCERTAINTY.value,
        alpha=_ALPHA.value,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(FLAGS, work, arguments)
