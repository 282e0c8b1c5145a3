"""The confidence of a pixel's class: the agreement over the eight flips and quarter turns of the input.

A score from 0 to 1 looks convincing even if it does not rank errors. A product includes it only after its AUROC for
wrong against right pixels was measured by `jointseg evaluate --augment` on reference data. The record beside the
checkpoint holds for these weights, this calibration and this arithmetic only.
"""

import dataclasses

import numpy as np

from jointseg_jax.bounds.flags import check_augmented
from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.storage import formats, typed
from jointseg_jax.training.trained import Trained

FILE = "confidence.json"
LEVELS = 200  # the product stores round(200 c)
_TAGGED = 10  # points of the risk-coverage curve in the raster's tags; the record holds all of them


@dataclasses.dataclass(frozen=True)
class Point:
    """The risk (share of wrong pixels) of the most confident pixels, `coverage` of all."""

    coverage: float
    risk: float


@dataclasses.dataclass(frozen=True)
class Key:
    """The conditions that a measurement holds for."""

    step: int
    weights: str
    temperature: float
    threshold: float
    dtype: str


@dataclasses.dataclass(frozen=True)
class Worth(Key):
    """What a product cites of the record; the curve is risk by coverage."""

    auroc: float
    curve: tuple[Point, ...]
    dataset: str
    split: str
    pixels: int

    def __post_init__(self) -> None:
        if not 0 <= self.auroc <= 1 or not self.curve:
            raise ValueError(f"an AUROC of {self.auroc:g}, {len(self.curve)} points")


def levels(spread: np.ndarray) -> np.ndarray:
    """round(200 c) with c = 1 - 2 spread, 0 to 200; the spread of values in [0, 1] is at most 1/2. uint8."""
    return np.round(LEVELS * np.clip(1 - 2 * spread, 0, 1)).astype(np.uint8)


def key(trained: Trained, dtype: str) -> Key:
    """The conditions of a measurement today."""
    calibration = trained.meta.calibration
    return Key(trained.step, trained.weights, calibration.temperature, calibration.threshold, dtype)


def measured_for(predictor: Predictor) -> Worth:
    """The record that holds for a predictor; raises `InputError` without augmentation, or see `measured`."""
    check_augmented(predictor.augment)
    return measured(predictor.trained, predictor.dtype)


def measured(trained: Trained, dtype: str) -> Worth:
    """Reads the record beside the checkpoint, which `evaluation.evaluate` writes.

    Raises:
        InputError: there is no record, or it belongs to other weights or another arithmetic.
    """
    path = trained.workdir / FILE
    ask = (
        f"run `jointseg evaluate --workdir={trained.workdir} --augment` with the same --checkpoint, --weights and "
        "--dtype, or map without --confidence"
    )
    try:
        worth = typed.read(path, Worth, dataclasses.replace(formats.CONFIDENCE, again=ask), partial=True)
    except FileNotFoundError:
        raise InputError(f"the quality of the confidence was not measured ({path} is missing): {ask}") from None
    for name, value in vars(key(trained, dtype)).items():
        found = getattr(worth, name)
        if found != value:
            raise InputError(f"{path} was measured for {name} {found!r}, not for {value!r}: {ask}")
    return worth


def tags(worth: Worth) -> dict[str, str]:
    """The tags of a confidence raster: its encoding, its measured quality, and where that was measured."""
    curve = worth.curve
    shown = [curve[round(i * (len(curve) - 1) / (_TAGGED - 1))] for i in range(_TAGGED)]
    points = dict.fromkeys(f"{p.coverage:.3f}:{p.risk:.4f}" for p in shown)
    return {
        "CONFIDENCE": f"value / {LEVELS}, 1 - 2 x standard deviation of the probability over eight members",
        "CONFIDENCE_AUROC": f"{worth.auroc:.4f} for wrong against right pixels",
        "CONFIDENCE_RISK_COVERAGE": "share of pixels kept, most confident first:share of them wrong "
        + " ".join(points),
        "CONFIDENCE_MEASURED_ON": f"{worth.dataset}, {worth.split}, {worth.pixels} pixels of 1 m",
    }
