"""Sets of classes, intervals of fractions, and the area of applicability: values of a product, and the record of them.

Sets and intervals are those of split conformal prediction: calibrated on validation ground so that they hold the truth
with a stated share on ground like it. What they are worth elsewhere is measured on test ground, and a product includes
them only after that. `jointseg evaluate --uncertainty` does both; the record beside the checkpoint holds for these
weights, this calibration and this arithmetic only.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor import confidence
from jointseg_jax.mapping.predictor.applicability import AT_THRESHOLD, Applicability
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.rasters.blocks import block_mean
from jointseg_jax.rasters.contract import FINE_FACTOR
from jointseg_jax.storage import formats, typed
from jointseg_jax.training.trained import Trained

FILE = "uncertainty.json"
LEVELS = 200  # probabilities and fractions are those of the product: round(200 p)


@dataclasses.dataclass(frozen=True)
class Interval:
    """Of the cells with a predicted fraction from `start` on, in levels: the true one lies within these distances."""

    start: int
    low: int
    high: int


@dataclasses.dataclass(frozen=True)
class Covered:
    """Intervals of the fraction: number of cells, share that holds the true fraction, mean width (0 to 1)."""

    cells: int
    coverage: float | None
    width: float | None


@dataclasses.dataclass(frozen=True)
class Worth:
    """What the layers are worth on some ground; None where that ground says nothing.

    Attributes:
        coverage: per class, the share of its pixels whose set holds it.
        both, neither: shares of pixels with a set of two classes, of none.
        intervals: "10m", "30m", "100m".
        outside: share of pixels outside the area of applicability.
        error_inside, error_outside: shares of wrong pixels in the map.
        auroc: of the dissimilarity, for wrong against right pixels; 1/2 is chance.
        pixels: of 1 m.
    """

    coverage: tuple[float | None, float | None]
    both: float | None
    neither: float | None
    intervals: dict[str, Covered]
    outside: float | None
    error_inside: float | None
    error_outside: float | None
    auroc: float | None
    pixels: int


@dataclasses.dataclass(frozen=True)
class Measured:
    """Where the layers were measured, and what they are worth there: in all, and per region."""

    dataset: str
    split: str
    overall: Worth
    regions: dict[str, Worth]


@dataclasses.dataclass(frozen=True)
class Key(confidence.Key):
    """The conditions that a calibration holds for.

    Attributes:
        augment: whether the map is the mean over flips and quarter turns.
        dates: the number that --dates gives; None for all (records of earlier versions do not say it).
    """

    augment: bool
    dates: int | None = dataclasses.field(default=None, kw_only=True)


@dataclasses.dataclass(frozen=True)
class Uncertainty(Key):
    """The record.

    Attributes:
        alpha: share of the truth that sets and intervals may miss.
        highest_0, lowest_1: the set of a pixel holds class 0 up to this level of the probability, class 1 from this
            one on.
        intervals: by side of the cell ("10m"), in order of `start`.
        applicability: of the training ground.
        calibrated_on: dataset and pixels, for people.
        measured: None before that.
    """

    alpha: float
    highest_0: int
    lowest_1: int
    intervals: dict[str, tuple[Interval, ...]]
    applicability: Applicability
    calibrated_on: str
    measured: Measured | None = None

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or not all(found and found[0].start == 0 for found in self.intervals.values()):
            raise ValueError(f"alpha {self.alpha:g}, intervals of {', '.join(self.intervals) or 'no side'}")

    @property
    def digest(self) -> str:
        """Of everything that decides the values of a product."""
        record = typed.plain(dataclasses.replace(self, measured=None))
        if self.dates is None:
            del record["dates"]  # as in products that were begun before it was recorded
        return formats.checksum(record)[:16]

    def sets(self, probability: np.ndarray) -> np.ndarray:
        """The set of each pixel as a sum of 1 (class 0) and 2 (class 1); 0 is none, 3 both. uint8, as probability."""
        level = levels(probability)
        return ((level <= self.highest_0) + 2 * (level >= self.lowest_1)).astype(np.uint8)

    def fractions(self, probability: np.ndarray) -> np.ndarray:
        """Predicted fraction of 10 m pixels, its lowest and highest true value: [10h, 10w] to uint8 [h, w, 3]."""
        level = levels(block_mean(probability, FINE_FACTOR)).astype(np.int64)
        return np.stack([level, *bounds(self.intervals["10m"], level)], -1).astype(np.uint8)


def bounds(table: Sequence[Interval], level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest true fraction of cells, int64, like `level`, their predicted fraction; all in levels."""
    at = np.searchsorted([i.start for i in table], level, side="right") - 1
    low, high = (np.array(column)[at] for column in zip(*((i.low, i.high) for i in table), strict=True))
    return np.clip(level + low, 0, LEVELS), np.clip(level + high, 0, LEVELS)


def levels(probability: np.ndarray) -> np.ndarray:
    """round(200 p), uint8, as in the product."""
    return np.round(LEVELS * probability).astype(np.uint8)


def key(trained: Trained, dtype: str, augment: bool, dates: int | None = None) -> Key:
    """The conditions of a calibration today."""
    return Key(**vars(confidence.key(trained, dtype)), augment=augment, dates=dates)


def calibrated_for(predictor: Predictor, dates: int | None) -> Uncertainty:
    """Reads the record beside the checkpoint.

    Args:
        predictor: of the map.
        dates: see `Key`.

    Raises:
        InputError: there is no record, or it belongs to other weights or another arithmetic.
    """
    trained = predictor.trained
    path, ask = trained.workdir / FILE, _command(trained, "validation")
    try:
        found = typed.read(path, Uncertainty, dataclasses.replace(formats.UNCERTAINTY, again=ask))
    except FileNotFoundError:
        raise InputError(f"sets and intervals were not calibrated ({path} is missing): {ask}") from None
    for name, value in vars(key(trained, predictor.dtype, predictor.augment, dates)).items():
        known = getattr(found, name)
        if known != value:
            raise InputError(f"{path} was calibrated for {name} {known!r}, not for {value!r}: {ask}")
    return found


def measured_for(predictor: Predictor, dates: int | None = None, digest: str = "") -> Uncertainty:
    """Like `calibrated_for`, for a product.

    Args:
        predictor: of the product.
        dates: see `Key`.
        digest: of the record that earlier tiles were made with; empty for any.

    Raises:
        InputError: see `calibrated_for`; or what the layers are worth was not measured, or the digest is another.
    """
    found = calibrated_for(predictor, dates)
    path = predictor.trained.workdir / FILE
    if found.measured is None:
        ask = _command(predictor.trained, "test")
        raise InputError(f"what the sets and intervals of {path} are worth was not measured: {ask}")
    if digest and found.digest != digest:
        raise InputError(
            f"{path} was calibrated again since this product was begun: choose another --output, or restore the file"
        )
    return found


def stored_digest(trained: Trained) -> str:
    """The digest of the record beside the checkpoint; "none" without a readable one."""
    try:
        return typed.read(trained.workdir / FILE, Uncertainty, formats.UNCERTAINTY).digest
    except (OSError, InputError):
        return "none"


def _command(trained: Trained, split: str) -> str:
    return (
        f"run `jointseg evaluate --workdir={trained.workdir} --uncertainty --split={split}` with the same "
        "--checkpoint, --weights, --augment, --dates and --dtype"
    )


def tags(record: Uncertainty) -> dict[str, str]:
    """The tags of all rasters of this kind: how they were calibrated, and what they are worth on other ground."""
    measured = record.measured
    assert measured is not None
    return {
        "UNCERTAINTY": f"split conformal, to miss at most {record.alpha:g}; calibrated on {record.calibrated_on}",
        "UNCERTAINTY_MEASURED_ON": f"{measured.dataset}, {measured.split}, {measured.overall.pixels} pixels of 1 m",
    }


def set_tags(record: Uncertainty) -> dict[str, str]:
    """The tags of the sets: their codes and what they are worth."""
    worth = _worth(record)
    return {
        "SETS": f"1 up to level {record.highest_0} of the probability, + 2 from level {record.lowest_1} on",
        "SETS_COVERAGE": f"class 0 {_text(worth.coverage[0])}, class 1 {_text(worth.coverage[1])}",
        "SETS_OF_BOTH": _text(worth.both),
    }


def fraction_tags(record: Uncertainty) -> dict[str, str]:
    """The tags of the fractions: the intervals of every side in levels, and what they are worth."""
    worth = _worth(record).intervals
    return {
        f"INTERVALS_{side.upper()}": json.dumps(
            {"start_low_high": [[i.start, i.low, i.high] for i in found], **vars(worth[side])}
        )
        for side, found in record.intervals.items()
    }


def tagged_intervals(tags: Mapping[str, str], side: str) -> tuple[Interval, ...]:
    """The intervals of a side that `fraction_tags` wrote; raises `KeyError`, `TypeError` or `ValueError`."""
    found = tuple(Interval(*map(int, row)) for row in json.loads(tags[f"INTERVALS_{side.upper()}"])["start_low_high"])
    if not found or found[0].start != 0:
        raise ValueError("no interval from 0 on")
    return found


def dissimilarity_tags(record: Uncertainty) -> dict[str, str]:
    """The tags of the dissimilarity."""
    worth = _worth(record)
    return {
        "DISSIMILARITY": f"value / {AT_THRESHOLD}; above 1 is outside the area of applicability",
        "DISSIMILARITY_AUROC": f"{_text(worth.auroc)} for wrong against right pixels",
        "DISSIMILARITY_ERROR": f"inside {_text(worth.error_inside)}, outside {_text(worth.error_outside)} of pixels",
    }


def _worth(record: Uncertainty) -> Worth:
    assert record.measured is not None
    return record.measured.overall


def _text(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
