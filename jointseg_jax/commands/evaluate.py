"""Evaluates maps of the whole test sites: jointseg evaluate --workdir=runs/demo."""

import pathlib
import shlex
import sys
from collections.abc import Sequence

from jointseg_jax import cli
from jointseg_jax.bounds import flags as bounds
from jointseg_jax.commands import predict
from jointseg_jax.errors import InputError
from jointseg_jax.flag_set import FlagSet

FLAGS = FlagSet("evaluate", __doc__)
FLAGS.share(predict.FLAGS, "workdir", "checkpoint", "weights")
_DATASET = FLAGS.text("dataset", None, "Prepared dataset to evaluate on; by default that of the training.")
_SPLIT = FLAGS.text("split", "test", "Split to evaluate on: train, validation or test.")
_OUTPUT = FLAGS.text("output", None, "Folder for the results; by default WORKDIR/evaluation/...")
_DATES = FLAGS.number(
    "dates", None, "Use only so many dates of each site, the first ones; by default all.", bounds.DATES
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
_LPIPS = FLAGS.texts(
    "lpips",
    [],
    "Also measure LPIPS of the 1 m image, with these weights: torchvision's AlexNet or VGG16 (.pth) and the linear "
    "weights of the package lpips for it (alex.pth or vgg.pth).",
)
FLAGS.share(predict.FLAGS, "tile", "dtype")
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

    values = FLAGS.values
    use_compilation_cache()
    trained = load_trained(str(values.workdir), checkpoint=values.checkpoint, weights=values.weights)
    data = dataset.load(_DATASET.value or trained.dataset)
    name = _SPLIT.value if _DATASET.value is None else f"{file_name(str(data.description['name']))}-{_SPLIT.value}"
    name += "-augmented" if _AUGMENT.value else ""
    name += "" if _DATES.value is None else f"-dates{_DATES.value}"
    name += "" if values.dtype is None else f"-{values.dtype}"
    evaluate(
        trained,
        data,
        _SPLIT.value,
        pathlib.Path(_OUTPUT.value or pathlib.Path(str(values.workdir)) / "evaluation" / name),
        tile=values.tile,
        augment=_AUGMENT.value,
        dtype=values.dtype,
        dates=_DATES.value,
        command=shlex.join(["jointseg", "evaluate", *sys.argv[1:]]),
        uncertainty=_UNCERTAINTY.value,
        alpha=_ALPHA.value,
        lpips=_LPIPS.value,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(FLAGS, work, arguments)
