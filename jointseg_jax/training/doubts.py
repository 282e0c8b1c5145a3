"""Warnings about a run, one line each: settings without effect, a network that does not learn."""

from typing import Any

import numpy as np

from jointseg_jax.training import calibration
from jointseg_jax.training.validation import ValidationResult

_IN_A_ROW = 3  # validations with one class everywhere before the warning
_RARE = 0.01  # of a class's labelled pixels: a smaller predicted share counts as none


def at_start(config: Any) -> list[str]:
    """Warnings about the settings of a run.

    Args:
        config: of the experiment, already checked against its bounds.
    """
    steps, warmup = config.steps, config.optimizer.warmup
    found = []
    if warmup >= steps:
        found.append(
            f"optimizer.warmup is {warmup} steps, but the run has only {steps}: the learning rate never reaches "
            f"{config.optimizer.learning_rate:g}"
        )
    if config.loss.segmentation_start >= steps:
        found.append(
            f"loss.segmentation_start is {config.loss.segmentation_start}, but the run has only {steps} steps: "
            "segmentation is never trained"
        )
    adversarial = config.adversarial
    weighted = adversarial.weight or adversarial.feature_matching or adversarial.perceptual
    if weighted and adversarial.start >= steps:
        found.append(
            f"adversarial.start is {adversarial.start}, but the run has only {steps} steps: the adversarial phase "
            "never begins"
        )
    return found


class Doubts:
    """Derives warnings from the validations of a run."""

    def __init__(self) -> None:
        self._one_class = 0

    def look(self, result: ValidationResult) -> list[str]:
        """Warnings about a validation; the one about a single class everywhere is given once."""
        counts, fitted = result.logits, result.fitted
        labelled = counts.sum(1)
        if not labelled.all():
            return []  # labels of one class: nothing can be judged
        found = []
        if calibration.at_limit(fitted):
            found.append(
                f"the calibration temperature is at its limit ({fitted.temperature:g}), so probabilities are not "
                "calibrated; the usual cause is a network that has learned too little"
            )
        share = calibration.predicted_share(counts, result.edges, fitted)
        predicted = np.array([1 - share, share]) * labelled.sum()
        absent = np.flatnonzero(predicted < _RARE * labelled)
        self._one_class = self._one_class + 1 if len(absent) else 0
        if self._one_class == _IN_A_ROW:
            found.append(
                f"the map was {'pervious' if absent[0] == 1 else 'impervious'} everywhere in {_IN_A_ROW} validations "
                "in a row, so the network does not learn: check the labels, optimizer.learning_rate and loss"
            )
        return found
