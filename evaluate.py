"""Evaluates maps of the whole test sites: python evaluate.py --workdir=runs/demo."""

import pathlib
import shlex
import sys

from absl import flags

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.errors import InputError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the training run.")
_DATASET = flags.DEFINE_string("dataset", None, "Prepared dataset to evaluate on; by default that of the training.")
_SPLIT = flags.DEFINE_string("split", "test", "Split to evaluate on: train, validation or test.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "Checkpoint: best (by validation F1), latest, or a step.")
_WEIGHTS = flags.DEFINE_string("weights", "ema", "Weights: ema (moving average) or raw.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the results; by default WORKDIR/evaluation/...")
_DATES = cli.define_number(
    "dates", None, "Use only so many dates of each site, the first ones; by default all.", bounds.DATES
)
_TILE = cli.define_number(
    "tile",
    64,
    "Side of a window in input pixels, without its halo; changes speed and memory, not the scores.",
    bounds.TILE,
)
_AUGMENT = flags.DEFINE_boolean(
    "augment",
    False,
    "Average the map over eight flips and quarter turns, and measure how well their agreement predicts errors.",
)
_UNCERTAINTY = flags.DEFINE_boolean(
    "uncertainty",
    False,
    "With --split=validation, calibrate sets of classes and intervals of fractions; then, with --split=test, measure "
    "them and the area of applicability.",
)
_ALPHA = cli.define_number(
    "alpha", 0.1, "Of --uncertainty --split=validation: the share that sets and intervals may miss.", bounds.ALPHA
)
_DTYPE = flags.DEFINE_enum(
    "dtype", None, ["float32", "bfloat16"], "Precision of the computation; by default that of the training."
)
flags.mark_flag_as_required("workdir")


def main() -> None:
    """Runs the evaluation."""
    from jointseg_jax.data import dataset
    from jointseg_jax.evaluation.evaluate import evaluate
    from jointseg_jax.storage.files import file_name
    from jointseg_jax.training.devices.compilation_cache import use_compilation_cache
    from jointseg_jax.training.trained import load_trained

    if _SPLIT.value not in ("train", "validation", "test"):
        raise InputError(f"--split={_SPLIT.value} is unknown; known: train, validation, test")
    use_compilation_cache()
    trained = load_trained(str(_WORKDIR.value), checkpoint=_CHECKPOINT.value, weights=_WEIGHTS.value)
    data = dataset.load(_DATASET.value or trained.meta.config["dataset"]["path"])
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
        command=shlex.join(["python", "evaluate.py", *sys.argv[1:]]),
        uncertainty=_UNCERTAINTY.value,
        alpha=_ALPHA.value,
    )


if __name__ == "__main__":
    cli.run(main)
