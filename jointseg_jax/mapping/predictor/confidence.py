"""Confidence in the map's class at a pixel: how far the eight flips and quarter turns of the input agree.

A number between 0 and 1 persuades, whether or not it says where a map errs. So it is delivered only with what it was
found to be worth: how well it ranks wrong pixels below right ones, measured by `evaluate.py --augment` on reference
data and kept beside the checkpoint for exactly these weights, this calibration and this arithmetic.
"""

from typing import Any

import numpy as np

from jointseg_jax.errors import InputError
from jointseg_jax.storage import formats
from jointseg_jax.training.trained import Trained

FILE = "confidence.json"
LEVELS = 200  # the product stores round(200 c)
_TAGGED = 10  # points of the risk-coverage curve that stand in the tags; the record has them all


def levels(spread: np.ndarray) -> np.ndarray:
    """round(200 c) of c = 1 - 2 spread, 0 to 200: the spread of numbers between 0 and 1 is at most 1/2. uint8."""
    return np.round(LEVELS * np.clip(1 - 2 * spread, 0, 1)).astype(np.uint8)


def key(trained: Trained, dtype: str) -> dict[str, Any]:
    """What a measurement holds for, and nothing else."""
    calibration = trained.meta.calibration
    return {
        "step": trained.step,
        "weights": trained.weights,
        "temperature": calibration.temperature,
        "threshold": calibration.threshold,
        "dtype": dtype,
    }


def measured(trained: Trained, dtype: str) -> dict[str, Any]:
    """The record kept beside the checkpoint: what `evaluation.confidence` found.

    Raises:
        InputError: there is none, or one of other weights or another arithmetic.
    """
    path = trained.workdir / FILE
    ask = (
        f"measure it on reference data first with `python evaluate.py --workdir={trained.workdir} --augment`, with the "
        "same --checkpoint, --weights and --dtype, or map without it"
    )
    try:
        record = formats.read_record(path, formats.CONFIDENCE)
        auroc, curve = float(record["auroc"]), [(float(p["coverage"]), float(p["risk"])) for p in record["curve"]]
    except FileNotFoundError:
        raise InputError(
            f"what the confidence of this network is worth is not known ({path} is missing): {ask}"
        ) from None
    except formats.Newer:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error!r}): {ask}") from error
    if not 0 <= auroc <= 1 or not curve:
        raise InputError(f"{path} is damaged (an AUROC of {auroc:g}, {len(curve)} points): {ask}")
    for name, value in key(trained, dtype).items():
        if record.get(name) != value:
            raise InputError(f"{path} was measured for {name} {record.get(name)!r}, not for {value!r}: {ask}")
    return dict(record)


def tags(record: dict[str, Any]) -> dict[str, str]:
    """What a confidence raster says of itself: what is stored, what it is worth, and where that was measured."""
    curve = record["curve"]
    shown = [curve[round(i * (len(curve) - 1) / (_TAGGED - 1))] for i in range(_TAGGED)]
    points = dict.fromkeys(f"{p['coverage']:.3f}:{p['risk']:.4f}" for p in shown)
    return {
        "CONFIDENCE": f"value / {LEVELS}, 1 - 2 x standard deviation of the probability over eight members",
        "CONFIDENCE_AUROC": f"{record['auroc']:.4f} for wrong against right pixels",
        "CONFIDENCE_RISK_COVERAGE": "share of pixels kept, most confident first:share of them wrong "
        + " ".join(points),
        "CONFIDENCE_MEASURED_ON": f"{record['dataset']}, {record['split']}, {record['pixels']} pixels of 1 m",
    }
